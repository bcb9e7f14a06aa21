package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/command"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const (
	startWithin, stopGrace = time.Minute, 10 * time.Second
	// surveyed is how many transactions are read to learn which accounts are busy.
	surveyed = 500
	// answersBefore is how many answers of the sidecar, or comparisons, come before the fault.
	answersBefore = 20
)

// stage is where one drill takes place: a folder with a ledger, a walletd, a sidecar and callers.
type stage struct {
	config config
	door   rig.Door
	drill  drill
	dir    string
	// modes is the path of the modes file.
	modes    string
	walletd  *rig.Walletd
	sidecars []*rig.Hotpathd
	proxy    *proxy
	callers  *callers
	result   *result
	// round counts from 0.
	round int
	// ended sums up what walletds counted that are no more.
	ended rig.Shim
	// logFrom is how long walletd's log was before the last step.
	logFrom int64
	// burst ends what a drill has added to the load.
	burst context.CancelFunc
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// socket is what walletd connects to; sidecarSocket is where an attached sidecar listens.
func (s *stage) socket() string { return s.path("s.sock") }

func (s *stage) sidecarSocket() string {
	if s.drill.setup.proxied {
		return s.path("r.sock")
	}
	return s.socket()
}

func (s *stage) note(format string, a ...any) {
	s.result.Notes = append(s.result.Notes, fmt.Sprintf(format, a...))
}

// play carries out the whole drill. What goes wrong is in the result.
func play(ctx context.Context, c config, d drill, door rig.Door) *result {
	start := time.Now()
	s := &stage{
		config: c, door: door, drill: d, dir: filepath.Join(c.Out, d.name, string(door)),
		callers: &callers{seed: c.Seed},
		result: &result{
			Drill: d.name, Door: door, Fault: d.fault, Shows: d.shows, Information: d.tellsAnswers, DetectedMs: never,
			RecoveredMs: never,
		},
	}
	defer s.close()
	err := s.carryOut(ctx)
	// Answers are compared even if the drill was not carried out to its end: they may show why.
	if s.walletd != nil && ctx.Err() == nil {
		err = errors.Join(err, s.finish(ctx))
	}
	s.tell(err)
	s.result.Seconds = time.Since(start).Seconds()
	s.result.judge()
	return s.result
}

func (s *stage) carryOut(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	s.load(ctx)
	for s.round = range max(1, s.drill.rounds) {
		if err := s.once(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// once strikes, waits until it shows, mends, and waits until it is over.
func (s *stage) once(ctx context.Context) error {
	struck := time.Now()
	before, err := s.after(ctx, s.drill.strike)
	if err != nil {
		return fmt.Errorf("strike: %w", err)
	}
	if err := s.await(ctx, "the fault shows: "+s.drill.shows, s.drill.seen, before); err != nil {
		return err
	}
	longest(&s.result.DetectedMs, time.Since(struck))
	if s.drill.checks != nil {
		if err := s.drill.checks(ctx, s); err != nil {
			return fmt.Errorf("while the fault is there: %w", err)
		}
	}
	began := struck
	if s.drill.mend != nil {
		s.load(ctx)
		began = time.Now()
		if before, err = s.after(ctx, s.drill.mend); err != nil {
			return fmt.Errorf("mend: %w", err)
		}
	}
	if err := s.await(ctx, "it is over", s.drill.back, before); err != nil {
		s.result.RecoveredMs = never
		return err
	}
	// Whatever the sidecar answers from here on, it answers after the fault.
	over, err := s.view(ctx)
	if err != nil {
		return err
	}
	if err := s.await(ctx, "the sidecar is asked again", s.works(), over); err != nil {
		s.result.RecoveredMs = never
		return err
	}
	longest(&s.result.RecoveredMs, time.Since(began))
	return s.afterwards(ctx, over)
}

// afterwards lets the load go on, and looks whether it is still over then.
func (s *stage) afterwards(ctx context.Context, over view) error {
	s.load(ctx)
	now, err := s.view(ctx)
	if err == nil && s.drill.stays != nil && !s.drill.stays(over, now) {
		err = fmt.Errorf("it did not stay over: %+v, and then %+v", over.Shim, now.Shim)
	}
	return errors.Join(err, ctx.Err())
}

// after does a step, and returns what walletd showed before it.
func (s *stage) after(ctx context.Context, do step) (view, error) {
	before, err := s.view(ctx)
	if err != nil && !s.drill.goDies {
		return before, err
	}
	if info, err := os.Stat(s.walletd.Log()); err == nil {
		s.logFrom = info.Size()
	}
	return before, do(ctx, s)
}

// load lets the callers go on for a third of the time.
func (s *stage) load(ctx context.Context) { pause(ctx, s.config.lasts/3) }

// works is a sign that the sidecar answers, or is compared with if the mode has it not answer.
func (s *stage) works() sign {
	return metrics(func(before, now view) bool {
		if s.drill.setup.mode == "shadow" {
			return now.Compared["equal"] >= before.Compared["equal"]+answersBefore
		}
		return now.Served[rig.SidecarMode] >= before.Served[rig.SidecarMode]+answersBefore
	})
}

// await waits for a sign.
func (s *stage) await(ctx context.Context, what string, seen sign, before view) error {
	for began := time.Now(); !seen(ctx, s, before); pause(ctx, 20*time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > s.config.within {
			now, _ := s.view(ctx)
			return fmt.Errorf("not within %v: %s (%s has more): %+v", s.config.within, what, s.walletd.Log(), now.Shim)
		}
	}
	return nil
}

func (s *stage) view(ctx context.Context) (view, error) {
	page, err := probe.Scrape(ctx, s.walletd.Admin)
	if err != nil {
		return view{}, err
	}
	return view{rig.ShimOf(page), page}, nil
}

// newLog returns what walletd has logged since before the last step.
func (s *stage) newLog() string {
	file, err := os.Open(s.walletd.Log())
	if err != nil {
		return ""
	}
	defer file.Close()
	text, _ := io.ReadAll(io.NewSectionReader(file, s.logFrom, 64<<20))
	return string(text)
}

// start starts everything, and returns once callers are answered.
func (s *stage) start(ctx context.Context) error {
	// A folder of an earlier run may hold evidence and demotions.
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o755)); err != nil {
		return err
	}
	if err := copyFile(s.path(command.LedgerFile), s.config.Path(command.LedgerFile)); err != nil {
		return err
	}
	s.modes = s.path("modes.toml")
	if s.drill.setup.prepare != nil {
		if err := s.drill.setup.prepare(ctx, s); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.modes); err != nil {
		if err := rig.WriteModes(s.modes, s.mode()); err != nil {
			return err
		}
	}
	if s.drill.setup.sidecar == rig.Attach {
		if err := s.attach(s.bin(), s.faultEnv(s.drill.setup.faulty)); err != nil {
			return err
		}
	}
	if s.drill.setup.proxied {
		var err error
		if s.proxy, err = startProxy(s.socket(), s.sidecarSocket()); err != nil {
			return err
		}
	}
	if err := s.serve(""); err != nil {
		return err
	}
	return s.beginToCall(ctx)
}

func (s *stage) mode() rig.Mode {
	if s.drill.setup.mode == "" {
		return rig.SidecarMode
	}
	return s.drill.setup.mode
}

func (s *stage) bin() string {
	switch {
	case s.drill.setup.faulty != "":
		return s.config.faulty
	case s.drill.setup.replaceable:
		return s.program()
	}
	return s.config.Hotpathd
}

// faultFile is the file that turns a fault of the faulty sidecar on.
func (s *stage) faultFile() string { return s.path("fault") }

func (s *stage) faultEnv(fault string) []string {
	if fault == "" {
		return nil
	}
	return []string{"FAULT=" + fault, "FAULT_WHILE=" + s.faultFile()}
}

// attach starts a sidecar that walletd does not supervise.
func (s *stage) attach(bin string, env []string) error {
	if s.drill.setup.env != nil {
		more, err := s.drill.setup.env(s)
		if err != nil {
			return err
		}
		env = append(env, more...)
	}
	h, err := rig.StartHotpathd(rig.HotpathdSpec{
		Bin: bin, Dir: s.dir, Socket: s.sidecarSocket(), Args: s.drill.setup.sidecarArgs, Env: env,
	})
	if err == nil {
		s.sidecars = append(s.sidecars, h)
	}
	return err
}

// attached is the sidecar that was started last.
func (s *stage) attached() *rig.Hotpathd { return s.sidecars[len(s.sidecars)-1] }

// serve starts walletd on an address, or on any.
func (s *stage) serve(address string) error {
	setup := s.drill.setup
	env := s.faultEnv(setup.faulty)
	if setup.env != nil {
		more, err := setup.env(s)
		if err != nil {
			return err
		}
		env = append(env, more...)
	}
	w, err := rig.StartWalletd(rig.WalletdSpec{
		Bin: s.config.Walletd, Dir: s.dir, DB: s.path(command.LedgerFile), Sidecar: setup.sidecar, SidecarBin: s.bin(),
		Socket: s.socket(), Modes: s.modes, Door: s.door, Listen: address, Env: env, StartWithin: startWithin,
		Args: append([]string{"--kill-file", s.path("KILL"), "--evidence", s.path("evidence")}, setup.args...),
	})
	if err == nil {
		s.walletd = w
	}
	return err
}

func (s *stage) beginToCall(ctx context.Context) error {
	ready := metrics(func(_, now view) bool { return now.AllReady && now.Head > 0 && now.CaughtUp() })
	if err := s.await(ctx, "the sidecar has caught up", ready, view{}); err != nil {
		return err
	}
	for range connections {
		conn, err := dial(s.walletd.GRPC)
		if err != nil {
			return err
		}
		s.callers.conns = append(s.callers.conns, conn)
	}
	shim, err := s.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	wallet := walletv1.NewWalletServiceClient(s.callers.conns[0])
	s.callers.mix, err = mix.Survey(ctx, wallet, shim.Head, surveyed, rand.New(rand.NewPCG(s.config.Seed, 0)))
	if err != nil {
		return err
	}
	s.callers.start(ctx)
	return s.await(ctx, "the sidecar is asked before the fault", s.works(), view{Shim: shim})
}

// account adds what walletd has counted so far to what earlier ones did.
func (s *stage) account(now rig.Shim) rig.Shim {
	sum := rig.Shim{
		Fallbacks: s.ended.Fallbacks + now.Fallbacks, Reasons: make(map[string]uint64), Served: make(map[rig.Mode]uint64),
	}
	for _, part := range []rig.Shim{s.ended, now} {
		for reason, n := range part.Reasons {
			sum.Reasons[reason] += n
		}
		for mode, n := range part.Served {
			sum.Served[mode] += n
		}
	}
	return sum
}

// tell fills in the result.
func (s *stage) tell(problem error) {
	s.quiet()
	r, c := s.result, s.callers
	r.problem = problem
	r.Requests, r.Posts, r.Excused = c.requests, c.posts, c.excused
	r.Failed, r.WrongOwn, r.SlowestMs = c.failed.Count(), c.own.Count(), c.slowest.Milliseconds()
	if r.Excused > 0 {
		s.note("%d calls were under way when walletd was killed, or came before it was back; posts among them were repeated", r.Excused)
	}
	r.examples = append(r.examples, slices.Concat(c.failed.Messages(), c.own.Messages())...)
}

// quiet ends all callers.
func (s *stage) quiet() {
	if s.burst != nil {
		s.burst()
	}
	s.callers.end()
}

func (s *stage) close() {
	s.quiet()
	for _, conn := range s.callers.conns {
		_ = conn.Close()
	}
	if s.walletd != nil {
		s.walletd.Stop(stopGrace)
	}
	for _, h := range s.sidecars {
		h.Stop(stopGrace)
	}
	if s.proxy != nil {
		s.proxy.close()
	}
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	copied, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(copied, source)
	return errors.Join(err, copied.Close())
}
