package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/doors"
)

// These are the ways to ask: as most do, compressed, and with metadata that no door knows.
const (
	plain       = "plain"
	compressed  = "gzip"
	withCookies = "metadata"
)

// answerers are the clients that write down each answer.
func answerers() (all []client) {
	for _, how := range []string{plain, compressed, withCookies} {
		all = append(all, client{"grpc-go", how, askByGo(how)})
	}
	for _, program := range []struct {
		name string
		run  func(config) ([]string, error)
		hows []string
	}{
		{"grpcio (Python)", python, []string{plain, compressed, withCookies}},
		{"grpc-java", java, []string{plain, compressed, withCookies}},
		{"tonic", tonic, []string{plain, withCookies}}, // our tonic is built without gzip
	} {
		for _, how := range program.hows {
			all = append(all, client{program.name, how, askBy(program.run, how)})
		}
	}
	return all
}

func python(c config) ([]string, error) {
	interpreter, err := c.tool("python/bin/python")
	if err != nil {
		return nil, err
	}
	script, err := c.tool("ask.py")
	return []string{interpreter, script}, err
}

func java(c config) ([]string, error) {
	classes, err := c.tool("java")
	return []string{"java", "-cp", classes + ":" + classes + "/*", "Ask"}, err
}

func tonic(c config) ([]string, error) {
	program, err := c.tool("bin/tonic-ask")
	return []string{program}, err
}

var errAnswers = errors.New("the client has not answered every question")

// askBy lets a program ask: its arguments are the address, the way, and the file with the questions. It prints a line for
// each: code, text, details and reply, the last three in hex.
func askBy(program func(config) ([]string, error), how string) func(context.Context, *run, *doors.Door) (sight, error) {
	return func(ctx context.Context, r *run, d *doors.Door) (sight, error) {
		argv, err := program(r.config)
		if err != nil {
			return sight{}, err
		}
		out, err := output(ctx, append(argv, d.Addr, how, r.file)...)
		if err != nil {
			return sight{}, err
		}
		return r.answers(strings.Split(strings.TrimRight(string(out), "\n"), "\n"))
	}
}

// output runs a program. An error has the end of what it printed.
func output(ctx context.Context, argv ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var failed bytes.Buffer
	command.Stderr = &failed
	out, err := command.Output()
	if err != nil {
		tail := append(out, failed.Bytes()...)
		return out, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, tail[max(0, len(tail)-2_000):])
	}
	return out, nil
}

func (r *run) answers(lines []string) (sight, error) {
	if len(lines) != len(r.list) {
		return sight{}, fmt.Errorf("%w: %d of %d: %.200q", errAnswers, len(lines), len(r.list), lines)
	}
	ok := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "0\t") {
			ok++
		}
	}
	return sight{short: fmt.Sprintf("%d OK, %d other", ok, len(lines)-ok), lines: lines}, nil
}

// askByGo asks by grpc-go's client, 16 calls at once on one connection.
func askByGo(how string) func(context.Context, *run, *doors.Door) (sight, error) {
	return func(ctx context.Context, r *run, d *doors.Door) (sight, error) {
		options := []grpc.DialOption{}
		if how == compressed {
			options = append(options, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
		}
		conn, err := ask.Dial(d.Addr, options...)
		if err != nil {
			return sight{}, err
		}
		defer conn.Close()
		var md metadata.MD
		if how == withCookies {
			md = metadata.Pairs("authorization", "Bearer of-nothing", "x-cookie-bin", "\x00\xff")
		}
		lines := make([]string, len(r.list))
		next := make(chan int)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for i := range next {
					a := ask.Put(ctx, conn, r.list[i], md)
					lines[i] = fmt.Sprintf("%d\t%x\t%x\t%x", a.Code, a.Message, a.Details, a.Reply)
				}
			})
		}
		for i := range lines {
			next <- i
		}
		close(next)
		all.Wait()
		return r.answers(lines)
	}
}
