package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/position"
)

// checked is how many balances are compared in the end, that of the long account among them.
const checked = 20

// check compares what hotpathd holds in the end with what it was fed. What is wrong goes to the report.
func (r *run) check(ctx context.Context) error {
	now, page, err := r.sidecar.look(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	head := r.source.Head()
	for _, one := range []struct {
		metric string
		want   uint64
	}{
		{"hotpathd_position", head}, {"hotpathd_events_applied_total", head}, {"hotpathd_feed_refusals_total", 0},
		{"hotpathd_chores_failed_total", 0},
	} {
		value, offered := page.Sum(one.metric, nil)
		if !offered || uint64(value) != one.want {
			wrong = append(wrong, fmt.Errorf("%s is %.0f, not %d", one.metric, value, one.want))
		}
	}
	if now.Entries != r.maker.made {
		wrong = append(wrong, fmt.Errorf("%d entries are published, not %d", now.Entries, r.maker.made))
	}
	random := rand.New(rand.NewPCG(r.config.seed, 0))
	for id := r.long; r.report.Checked < checked; id = r.readers.accounts[random.IntN(len(r.readers.accounts))] {
		r.report.Checked++
		wrong = append(wrong, r.compare(ctx, id, head))
	}
	wrong = append(wrong, r.sidecar.sound())
	if err := errors.Join(wrong...); err != nil {
		r.report.Wrong = err.Error()
	}
	return context.Cause(ctx)
}

// compare compares hotpathd's balances of an account with the maker's.
func (r *run) compare(ctx context.Context, id string, head uint64) error {
	question := ask.New(balances, &walletv1.GetBalanceRequest{AccountId: id})
	md := metadata.Pairs(position.MinKey, strconv.FormatUint(head, 10))
	answer, err := answered(ctx, r.readers.conns[0], question, md)
	if err != nil {
		return err
	}
	got, want := new(walletv1.GetBalanceResponse), r.maker.balances(id)
	if err := proto.Unmarshal(answer.Reply, got); err != nil {
		return fmt.Errorf("balances of %s: %w", id, err)
	}
	if !proto.Equal(got, want) || answer.Position != head {
		return fmt.Errorf("balances of %s at position %d: %v; added up to position %d: %v", id, answer.Position, got, head, want)
	}
	return nil
}
