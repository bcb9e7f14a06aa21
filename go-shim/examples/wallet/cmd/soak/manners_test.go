package main

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/position"
)

func TestTheSharesAreAHundredPerCent(t *testing.T) {
	sum := 0
	for m, share := range shares {
		if sum += share; share == 0 {
			t.Errorf("%s never comes", manner(m))
		}
	}
	if sum != 100 {
		t.Errorf("%d", sum)
	}
}

func TestOnlyWhoWentAwayGoesWithoutAnAnswer(t *testing.T) {
	at := func(p uint64, code codes.Code) ask.Answer {
		return ask.Answer{Code: code, Position: p, HasPosition: true}
	}
	notReached := ask.Answer{Code: codes.FailedPrecondition, Details: fmt.Appendf(nil, "%x", position.ReasonNotReached)}
	bare := func(code codes.Code) ask.Answer { return ask.Answer{Code: code} }
	for _, c := range []struct {
		manner manner
		answer ask.Answer
		right  bool
	}{
		{patient, at(7, codes.OK), true},
		{patient, at(9, codes.NotFound), true},
		{patient, at(6, codes.OK), false},
		{patient, at(0, codes.InvalidArgument), true},
		{patient, bare(codes.OK), false},
		{patient, bare(codes.Unavailable), false},
		{patient, bare(codes.Internal), false},
		{patient, bare(codes.ResourceExhausted), false},
		{patient, bare(codes.Canceled), false},
		{patient, bare(codes.DeadlineExceeded), false},
		{patient, notReached, false},
		{large, bare(codes.ResourceExhausted), false},
		{cancelling, bare(codes.Canceled), true},
		{cancelling, bare(codes.Unavailable), false},
		{hurried, bare(codes.DeadlineExceeded), true},
		{hurried, bare(codes.Internal), false},
		{ahead, notReached, true},
		{ahead, bare(codes.FailedPrecondition), false},
		{ahead, at(6, codes.OK), false},
		{expiring, bare(codes.DeadlineExceeded), true},
		{expiring, at(6, codes.OK), false},
		{malformed, bare(codes.Internal), true},
		{malformed, bare(codes.Unavailable), false},
	} {
		r := request{manner: c.manner, least: 7, reference: bare(codes.Internal)}
		if wrong := r.wrong(c.answer); (wrong == "") != c.right {
			t.Errorf("%s got %s: %q", c.manner, c.answer, wrong)
		}
	}
}
