package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/doors"
)

// balance is the request of the load generators: the busiest account's balance.
func (r *run) balance() *walletv1.GetBalanceRequest {
	return &walletv1.GetBalanceRequest{AccountId: r.account}
}

// ghz runs ghz, which learns the schema by reflection, and counts statuses.
func ghz(how ...string) func(context.Context, *run, *doors.Door) (sight, error) {
	return func(ctx context.Context, r *run, d *doors.Door) (sight, error) {
		program, err := r.config.tool("bin/ghz")
		if err != nil {
			return sight{}, err
		}
		data, err := protojson.Marshal(r.balance())
		if err != nil {
			return sight{}, fmt.Errorf("request: %w", err)
		}
		argv := append([]string{program, "--insecure", "--call", "wallet.v1.WalletService.GetBalance", "--data", string(data), "--format", "json"}, how...)
		out, err := output(ctx, append(argv, d.Addr)...)
		if err != nil {
			return sight{}, err
		}
		return ofGhz(out)
	}
}

// ofGhz reads ghz's report.
func ofGhz(text []byte) (sight, error) {
	var report struct {
		Count    int
		Rps      float64
		Statuses map[string]int `json:"statusCodeDistribution"`
		Errors   map[string]int `json:"errorDistribution"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return sight{}, fmt.Errorf("ghz's report: %w: %.200s", err, text)
	}
	s := sight{short: fmt.Sprintf("%d of %d OK, %.0f/s", report.Statuses["OK"], report.Count, report.Rps)}
	for _, all := range []map[string]int{report.Statuses, report.Errors} {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			s.lines = append(s.lines, fmt.Sprintf("%d %s", all[key], key))
		}
	}
	return s, nil
}

// h2load runs Debian's h2load, which knows no gRPC: it counts HTTP statuses, and the bytes of all replies.
func h2load(how ...string) func(context.Context, *run, *doors.Door) (sight, error) {
	return func(ctx context.Context, r *run, d *doors.Door) (sight, error) {
		message := ask.New(0, r.balance()).Request
		file := r.config.Path("balance.bin")
		framed := append([]byte{0, 0, 0, 0, byte(len(message))}, message...) // an account's name is short
		if err := os.WriteFile(file, framed, 0o644); err != nil {
			return sight{}, fmt.Errorf("request: %w", err)
		}
		argv := append([]string{"h2load", "--data=" + file, "-H", "content-type: application/grpc", "-H", "te: trailers"}, how...)
		out, err := output(ctx, append(argv, "http://"+d.Addr+ask.Hot[0])...)
		if err != nil {
			return sight{}, err
		}
		return ofH2load(out)
	}
}

var errH2load = errors.New("h2load printed no results")

// ofH2load reads what h2load prints.
func ofH2load(text []byte) (sight, error) {
	requests := regexp.MustCompile(`(?m)^requests: .*$`).Find(text)
	data := regexp.MustCompile(`\((\d+)\) data`).FindSubmatch(text)
	rate := regexp.MustCompile(`, ([\d.]+) req/s`).FindSubmatch(text)
	if requests == nil || data == nil || rate == nil {
		return sight{}, fmt.Errorf("%w: %s", errH2load, text)
	}
	succeeded := regexp.MustCompile(`(\d+) succeeded`).FindSubmatch(requests)
	if succeeded == nil {
		return sight{}, fmt.Errorf("%w: %s", errH2load, text)
	}
	return sight{
		short: fmt.Sprintf("%s succeeded, %s/s", succeeded[1], rate[1]),
		lines: []string{string(requests), fmt.Sprintf("%s bytes of replies", data[1])},
	}, nil
}
