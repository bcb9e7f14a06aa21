package ledger

import "fmt"

// Kind classifies an [Error], independently of any transport.
type Kind int

// These are the kinds of errors.
const (
	// InvalidArgument means that a field of the request breaks its rule, whatever the ledger holds.
	InvalidArgument Kind = iota + 1
	// NotFound means that the subject of the request does not exist.
	NotFound
	// OutOfRange means that a figure of the answer does not fit its field.
	OutOfRange
	// FailedPrecondition means that the ledger's present state does not allow the transaction.
	FailedPrecondition
	// AlreadyExists means that the transaction_id belongs to another transaction.
	AlreadyExists
)

// Error says why the ledger refuses a request. Its text, "<field>: <rule>", is part of the API.
type Error struct {
	Kind  Kind
	Field string
	Rule  string
}

func (e *Error) Error() string { return e.Field + ": " + e.Rule }

// Is compares by value, so that the exported errors work with [errors.Is].
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && *e == *other
}

// These errors do not depend on the request.
var (
	// ErrNoEntries means that the account never had an entry. Check the id, or post an entry first.
	ErrNoEntries error = &Error{NotFound, "account_id", "has no entries"}
	// ErrOtherBody means that the transaction_id is taken. Post the transaction under a new one.
	ErrOtherBody error = &Error{AlreadyExists, "transaction_id", "already posted with another body"}
)

// DoesNotFit returns the error for a figure beyond int64.
func DoesNotFit(field string) error { return &Error{OutOfRange, field, "does not fit int64"} }

// ReleasesTooMuch returns the error for an entry that releases more than is held. entry is its index.
func ReleasesTooMuch(entry int) error {
	return &Error{FailedPrecondition, fmt.Sprintf("entries[%d]", entry), "releases more than is held"}
}

func invalid(field, rule string) error { return &Error{InvalidArgument, field, rule} }
