package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/position"
)

// manner is how a caller behaves during one request.
type manner int

const (
	// patient waits for an answer.
	patient manner = iota
	// large asks for replies so long that a lane sends them in pieces.
	large
	// cancelling goes away at a random moment.
	cancelling
	// hurried has a deadline of a few milliseconds.
	hurried
	// ahead asks for a position that is about to be reached.
	ahead
	// expiring asks for a position far off, with little time.
	expiring
	// malformed sends bytes or metadata against the rules.
	malformed
	// cold asks for something that only walletd answers.
	cold

	manners = int(cold) + 1
)

var mannerNames = [manners]string{
	"patient", "large", "cancelling", "hurried", "ahead", "expiring", "malformed", "cold",
}

func (m manner) String() string { return mannerNames[m] }

// shares are the manners' shares of all requests, in per cent.
var shares = [manners]int{60, 3, 10, 10, 5, 2, 5, 5}

func anyManner(random *rand.Rand) manner {
	n, m := random.IntN(100), 0
	for n >= shares[m] {
		n -= shares[m]
		m++
	}
	return manner(m)
}

// These bound the times after which callers go away. On an idle machine a call over the hop takes a tenth of the
// shortest.
const (
	cancelWithin = 3 * time.Millisecond
	hurryWithin  = 4 * time.Millisecond
	expiringTime = 30 * time.Millisecond
)

// request is one question and how it is asked.
type request struct {
	manner   manner
	question ask.Question
	md       metadata.MD
	// least is the lowest position that the answer may have.
	least uint64
	// reference is Go's answer to a malformed request.
	reference ask.Answer
}

// context returns the context to make the request with.
func (r request) context(random *rand.Rand) (context.Context, context.CancelFunc) {
	switch r.manner {
	case cancelling:
		ctx, cancel := context.WithCancel(context.Background())
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(cancelWithin))), cancel)
		return ctx, func() { timer.Stop(); cancel() }
	case hurried:
		return context.WithTimeout(context.Background(), time.Duration(random.Int64N(int64(hurryWithin))))
	case expiring:
		return context.WithTimeout(context.Background(), expiringTime)
	default:
		return context.WithTimeout(context.Background(), waitLimit)
	}
}

// wrong returns the reason why an answer is wrong, or "". UNAVAILABLE, INTERNAL and RESOURCE_EXHAUSTED are wrong for
// every manner but malformed, because Go can always answer.
func (r request) wrong(a ask.Answer) string {
	switch {
	case r.manner == malformed:
		if differs := ask.Differ(r.reference, a); differs != "" {
			return "not what Go says of it: " + differs
		}
		return ""
	case r.manner == cancelling && a.Code == codes.Canceled:
		return ""
	case (r.manner == hurried || r.manner == expiring) && a.Code == codes.DeadlineExceeded:
		return ""
	case (r.manner == ahead || r.manner == expiring) && a.Code == codes.FailedPrecondition:
		// The ledger did not reach the position in time.
		if bytes.Contains(a.Details, fmt.Appendf(nil, "%x", position.ReasonNotReached)) {
			return ""
		}
		return a.String()
	case !a.Decided():
		return a.String()
	case a.Code != codes.InvalidArgument && a.Position < r.least:
		// The position of InvalidArgument is not checked, because such an answer does not depend on the position.
		return fmt.Sprintf("position %d, though %d was posted or asked for: %s", a.Position, r.least, a)
	}
	return ""
}

func atLeast(p uint64) metadata.MD { return metadata.Pairs(position.MinKey, strconv.FormatUint(p, 10)) }

// malformedRequests returns requests against the rules of protobuf or of the position metadata.
func malformedRequests() []request {
	var all []request
	for method := range ask.Hot {
		for _, bad := range []struct {
			body []byte
			md   metadata.MD
		}{
			{[]byte{0xff, 0xff}, nil}, {[]byte{10, 100, 'a'}, ask.Want()}, {[]byte{10, 1, 0xff}, nil},
			{nil, metadata.Pairs(position.AtKey, "x")}, {nil, metadata.Pairs(position.MinKey, "1", position.MinKey, "2")},
		} {
			all = append(all, request{
				manner: malformed, question: ask.Question{Method: method, Request: bad.body}, md: bad.md,
			})
		}
	}
	return all
}

// hoursAsked is a number of buckets just below the service's limit.
const hoursAsked = 9_900

// largeQuestion returns a batch of as many accounts as fit, or a series of hours for more than a year.
func (t *traffic) largeQuestion(random *rand.Rand) ask.Question {
	if random.IntN(2) == 0 {
		return ask.New(1, &walletv1.BatchGetBalancesRequest{AccountIds: t.crowd})
	}
	place, to := t.mix.Place(random), t.mix.LastUs()+1
	return ask.New(4, &walletv1.GetTimeSeriesRequest{
		AccountId: place.Account, Asset: place.Asset, Step: walletv1.Step_STEP_HOUR,
		FromUs: to - hoursAsked*int64(time.Hour/time.Microsecond), ToUs: to,
	})
}
