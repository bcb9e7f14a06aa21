// Package position reads and writes the request metadata that ties an answer to a ledger position.
//
// The metadata is part of the contract that the Go service and the sidecar share; wallet_service.proto states it.
package position

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Metadata keys.
const (
	// Prefix begins every key. A request with any such key gets Key in its response header.
	Prefix = "x-hotpath-"
	// Key in a request asks which position answers. In a response it is that position.
	Key = "x-hotpath-position"
	// MinKey asks for an answer at this position or later.
	MinKey = "x-hotpath-min-position"
	// AtKey asks for the answer exactly as of this position.
	AtKey = "x-hotpath-at-position"
)

// Domain is the domain of google.rpc.ErrorInfo. The others are reasons in it.
const (
	Domain            = "hotpath"
	ReasonNotReached  = "POSITION_NOT_REACHED"
	ReasonNotRetained = "POSITION_NOT_RETAINED"
)

// Want is what a request says about positions.
type Want struct {
	// Asked is true if the request carried any x-hotpath-* key. The response then names its position.
	Asked bool
	// Min is the lowest position that may answer; 0 if any may.
	Min uint64
	// At is the exact position asked for, if HasAt.
	At    uint64
	HasAt bool
}

// ErrBadWant is wrapped by every error of FromIncoming.
var ErrBadWant = errors.New("bad position metadata")

type wantError struct{ key, rule string }

func (e *wantError) Error() string { return e.key + ": " + e.rule }
func (e *wantError) Unwrap() error { return ErrBadWant }

// FromIncoming reads the keys of an incoming request. The text of its error is "<key>: <rule>", to be sent as
// INVALID_ARGUMENT. Want.Asked is right even with an error.
func FromIncoming(ctx context.Context) (Want, error) {
	w, _, err := Read(ctx)
	return w, err
}

// FromMetadata is like FromIncoming, for metadata that the caller has already.
func FromMetadata(md metadata.MD) (Want, error) {
	w := Want{}
	w.Asked, _ = scan(md)
	return w.read(md)
}

func (w Want) read(md metadata.MD) (Want, error) {
	if !w.Asked {
		return w, nil
	}
	var err error
	if w.Min, _, err = parse(md, MinKey); err != nil {
		return w, err
	}
	if w.At, w.HasAt, err = parse(md, AtKey); err != nil {
		return w, err
	}
	if w.HasAt && w.At < w.Min {
		return w, &wantError{AtKey, "must not be below " + MinKey}
	}
	return w, nil
}

func parse(md metadata.MD, key string) (uint64, bool, error) {
	values := md[key]
	switch len(values) {
	case 0:
		return 0, false, nil
	case 1:
	default:
		return 0, false, &wantError{key, "must be given once"}
	}
	n, err := strconv.ParseUint(values[0], 10, 64)
	if err != nil || values[0][0] == '+' {
		return 0, false, &wantError{key, "must be an unsigned 64-bit decimal"}
	}
	return n, true, nil
}

// FromAnswer returns the position in the header or trailer of an answer. It returns false if there is none, more than
// one, or one that is not a number.
func FromAnswer(md metadata.MD) (uint64, bool) {
	n, ok, err := parse(md, Key)
	return n, ok && err == nil
}

// NotReached returns the status for a request that asks for a position ahead of the ledger's head.
func NotReached(asked, head uint64) error {
	return refusal(ReasonNotReached, fmt.Sprintf("position %d is not reached: the ledger is at %d", asked, head))
}

// NotRetained returns the status for a request that asks for a position whose version is no longer kept.
func NotRetained(asked uint64) error {
	return refusal(ReasonNotRetained, fmt.Sprintf("position %d is no longer retained", asked))
}

func refusal(reason, message string) error {
	st, err := status.New(codes.FailedPrecondition, message).
		WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: Domain})
	if err != nil {
		return status.Error(codes.FailedPrecondition, message)
	}
	return st.Err()
}

// Reason returns the ErrorInfo reason of an error in domain Domain, or "" if there is none.
func Reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason()
		}
	}
	return ""
}
