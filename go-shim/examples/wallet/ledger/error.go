package ledger

import "fmt"

// Kind says which promise an [Error] breaks, independently of any transport.
type Kind int

// The kinds of a verdict of the ledger.
const (
	// InvalidArgument: a field of the request breaks its rule, whatever the ledger holds.
	InvalidArgument Kind = iota + 1
	// NotFound: what was asked about does not exist.
	NotFound
	// OutOfRange: a figure of the answer does not fit its field.
	OutOfRange
	// FailedPrecondition: the ledger as it stands does not allow the transaction.
	FailedPrecondition
	// AlreadyExists: the transaction_id belongs to another transaction.
	AlreadyExists
)

// Error is a verdict of the ledger on a request. Its text, "<field>: <rule>", is part of the API.
type Error struct {
	Kind  Kind
	Field string
	Rule  string
}

func (e *Error) Error() string { return e.Field + ": " + e.Rule }

// Is makes verdicts comparable by value, so that the exported ones work with [errors.Is].
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && *e == *other
}

// Verdicts that carry nothing of the request.
var (
	// ErrNoEntries: the account never had an entry; check the id, or post one first.
	ErrNoEntries error = &Error{NotFound, "account_id", "has no entries"}
	// ErrOtherBody: post the transaction under a new transaction_id.
	ErrOtherBody error = &Error{AlreadyExists, "transaction_id", "already posted with another body"}
)

// DoesNotFit is the verdict on a figure beyond int64.
func DoesNotFit(field string) error { return &Error{OutOfRange, field, "does not fit int64"} }

// ReleasesTooMuch is the verdict on the entry whose release exceeds what is held.
func ReleasesTooMuch(entry int) error {
	return &Error{FailedPrecondition, fmt.Sprintf("entries[%d]", entry), "releases more than is held"}
}

func invalid(field, rule string) error { return &Error{InvalidArgument, field, rule} }
