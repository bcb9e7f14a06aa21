package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const (
	stopGrace = 10 * time.Second
	// stalled is how long hotpathd may publish nothing although something is due.
	stalled = time.Minute
	// lookEvery is how often the published position is looked at. It only reads a number in this process.
	lookEvery = time.Millisecond
	// restLimit bounds the wait for memory to settle, once no old version is kept.
	restLimit = 30 * time.Second
	// restEvery is how often memory is read meanwhile.
	restEvery = 250 * time.Millisecond
)

// These are the errors of a run that measured something else than it should.
var (
	errLost    = errors.New("the feed was lost or refused; hotpathd.log and shim.log say why")
	errStalled = fmt.Errorf("hotpathd has published nothing for %v", stalled)
	errMetric  = errors.New("the shim has no metric " + positionMetric)
)

// sidecar is a hotpathd, and the shim that feeds it.
type sidecar struct {
	*rig.Hotpathd
	source *source
	meter  *meter
	// socket is the path of the Unix socket, in a folder of its own, because such a path must be short.
	folder, socket, out string
	side                *shim.Side
	log                 *os.File
}

// startSidecar starts an empty hotpathd, and does not feed it yet.
func startSidecar(c config, of *source) (*sidecar, error) {
	folder, err := os.MkdirTemp("", "ingest-")
	if err != nil {
		return nil, fmt.Errorf("folder of the socket: %w", err)
	}
	s := &sidecar{source: of, meter: &meter{}, folder: folder, socket: filepath.Join(folder, "s"), out: c.out}
	s.Hotpathd, err = rig.StartHotpathd(rig.HotpathdSpec{
		Bin: c.hotpathd, Dir: c.out, Socket: s.socket, Args: []string{"--retain-ms", strconv.Itoa(c.retainMS)},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, nil
}

// feed lets the shim feed the source's events.
func (s *sidecar) feed(ctx context.Context) error {
	var err error
	if s.log, err = os.Create(filepath.Join(s.out, "shim.log")); err != nil {
		return fmt.Errorf("log of the shim: %w", err)
	}
	s.side, err = shim.Open(ctx, shim.Config{
		Run: shim.Attach, Methods: ask.Hot[:], Socket: s.socket, Metrics: s.meter,
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}, s.source)
	if err != nil {
		return err
	}
	if s.meter.position == nil {
		return errMetric
	}
	// Without a server for the hot methods the shim would complain. This one never listens.
	server := grpc.NewServer(s.side.ServerOptions(nil)...)
	walletv1.RegisterWalletServiceServer(s.side.Wrap(server), walletv1.UnimplementedWalletServiceServer{})
	return s.side.Check()
}

// close ends the shim and hotpathd. It may be called again.
func (s *sidecar) close() {
	if s.side != nil {
		_ = s.side.Close()
	}
	s.Stop(stopGrace)
	if s.log != nil {
		_ = s.log.Close()
	}
	_ = os.RemoveAll(s.folder)
}

// alive returns a context that ends with hotpathd.
func (s *sidecar) alive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, fail := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.Done():
			fail(s.Explain(proc.ErrEnded))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { fail(nil) }
}

// sound returns an error if the feed was lost, or if a method was refused.
func (s *sidecar) sound() error {
	for _, one := range s.meter.forbidden {
		if one() != 0 {
			return s.Explain(fmt.Errorf("hotpathd refuses one of %s", strings.Join(ask.Hot[:], ", ")))
		}
	}
	if s.meter.reopened.n.Load()+s.meter.refused.n.Load() > 0 {
		return s.Explain(errLost)
	}
	return nil
}

// published waits until hotpathd has published a position.
func (s *sidecar) published(ctx context.Context, position uint64) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last, moved := uint64(0), time.Now()
	for {
		now := uint64(s.meter.position())
		if err := s.sound(); err != nil || now >= position {
			return err
		}
		if now > last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > stalled {
			return s.Explain(fmt.Errorf("%w: it is at position %d of %d", errStalled, now, position))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// rested is resident memory at rest.
type rested struct {
	proc.Memory
	// Settled is false if memory still changed when the wait was given up.
	Settled bool `json:"settled"`
}

// rest waits until hotpathd keeps no old version, no merge is under way and resident memory stays the same.
func (s *sidecar) rest(ctx context.Context, c config) (rested, error) {
	end := time.Now().Add(restLimit + time.Duration(c.retainMS)*time.Millisecond)
	last, still := int64(0), time.Now()
	for {
		now, _, err := s.look(ctx)
		if err != nil {
			return rested{}, err
		}
		// A thousandth is what the allocator does by itself.
		change := max(now.Resident-last, last-now.Resident)
		if change > last/1000 || now.UnderWay > 0 || now.Versions > 1 {
			still = time.Now()
		}
		last = now.Resident
		settled := time.Since(still) >= c.settle
		if settled || time.Now().After(end) {
			memory, err := proc.MemoryOf(s.Pid())
			return rested{memory, settled}, err
		}
		if err := pause(ctx, restEvery); err != nil {
			return rested{}, err
		}
	}
}

// pause waits, or returns why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
