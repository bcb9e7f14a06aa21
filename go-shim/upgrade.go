package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"hotpath.dev/go-shim/internal/supervise"
)

// This file puts a new process in the place of a supervised sidecar, while requests go on:
//
//	asked:  old ─────────────────────────────────> new, and old if new gives no answer ──> new
//	new:    started ──> fed ──> has caught up ──>  settles                             ──> stays
//	                     │                           │
//	                     └── ends, is refused, refuses more than old, is too late, or is ill ──> new is drained and ended; old stays
//	old:    goes on, and is restarted if it dies                                       ──> drained, ended
//
// While the new one settles, the two are a pair as with Config.Sidecars 2 (either.go). With two sidecars, the new one settles
// beside the one whose turn it is not, and the one whose place it takes is kept until then. trial.go judges the new one.

// Errors of Upgrade. The last four say that the new sidecar was given up, and that the one before it stays.
var (
	ErrNotSupervised  = errors.New("the service does not run the sidecar itself: set Config.Run to Supervise, or restart the sidecar where it is run")
	ErrUpgrading      = errors.New("an upgrade is under way")
	ErrClosed         = errors.New("the shim is closed")
	ErrUpgradeCrashed = errors.New("the new sidecar ended")
	ErrUpgradeRefused = errors.New("the new sidecar does not fit")
	ErrUpgradeTooLate = errors.New("the new sidecar did not catch up in time")
	ErrUpgradeUnwell  = errors.New("the new sidecar caught up, but was not well when it was asked")
)

// Upgrade is about an upgrade of the supervised sidecars.
type Upgrade struct {
	// Running is true until the upgrade is over. Sidecar is then the index of the sidecar whose turn it is, and Phase what it
	// waits for: "filling", "settling" or "draining".
	Running bool
	Sidecar int
	Phase   string
	// By says who asked for it.
	By           string
	Began, Ended time.Time
	// Err says why it failed; nil if it did not, or is not over.
	Err error
}

// upgrades lets one upgrade run at a time.
type upgrades struct {
	mu     sync.Mutex
	closed bool
	last   Upgrade
	// lives is how many sidecars upgrades have started.
	lives int
}

func (u *upgrades) status() Upgrade {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// begin also has Close wait for the upgrade.
func (u *upgrades) begin(who string, closing *sync.WaitGroup) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.closed:
		return ErrClosed
	case u.last.Running:
		return ErrUpgrading
	}
	u.last = Upgrade{Running: true, By: who, Began: time.Now()}
	closing.Add(1)
	return nil
}

func (u *upgrades) phase(sidecar int, phase string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last.Sidecar, u.last.Phase = sidecar, phase
}

func (u *upgrades) end(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last.Running, u.last.Phase, u.last.Ended, u.last.Err = false, "", time.Now(), err
}

func (u *upgrades) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
}

func (u *upgrades) nextLife() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lives++
	return u.lives
}

// upgradeResults are the labels of the metric. The first is that of an upgrade that was done, the last that of one which could
// not begin.
func upgradeResults() []string {
	return []string{"done", "crashed", "refused", "too_late", "ill", "stopped", "failed"}
}

func upgradeResult(err error) string {
	for result, of := range map[string][]error{
		"crashed": {ErrUpgradeCrashed}, "refused": {ErrUpgradeRefused}, "too_late": {ErrUpgradeTooLate}, "ill": {ErrUpgradeUnwell},
		"stopped": {ErrClosed, context.Canceled, context.DeadlineExceeded},
	} {
		for _, one := range of {
			if errors.Is(err, one) {
				return result
			}
		}
	}
	if err != nil {
		return "failed"
	}
	return "done"
}

// Upgrade replaces each supervised sidecar by one that runs the program as it is on disk now. It returns when the old ones are
// gone, or when the upgrade is given up. Then the error says why, and the sidecars that were not replaced yet go on. The end
// of ctx gives the upgrade up. who is for the log and Status.
func (s *Side) Upgrade(ctx context.Context, who string) error {
	if s.cfg.Run != Supervise {
		return ErrNotSupervised
	}
	if err := s.upgrades.begin(who, &s.background); err != nil {
		return err
	}
	defer s.background.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(ErrClosed) })()
	s.log.Info("upgrading the sidecar", "by", who, "program", s.cfg.Supervisor.Bin)
	var err error
	for _, index := range s.upgradeOrder() {
		if err = s.replace(ctx, index); err != nil {
			err = fmt.Errorf("sidecar %d: %w", index, err)
			s.log.Error("the upgrade was given up; the sidecar that it was to replace goes on", "by", who, "cause", err)
			break
		}
	}
	s.metrics.Upgraded(upgradeResult(err))
	s.upgrades.end(err)
	return err
}

// upgradeOrder has the one that is asked come last.
func (s *Side) upgradeOrder() []int {
	asked := s.chooser.Asked().index
	if len(s.sidecars) == 1 {
		return []int{asked}
	}
	return []int{1 - asked, asked}
}

// replace puts a new sidecar in the place of one.
func (s *Side) replace(ctx context.Context, index int) error {
	old := s.sidecars[index].Load()
	c, err := s.candidate(index)
	if err != nil {
		return err
	}
	s.upgrades.phase(index, "filling")
	c.start(s.life)
	if err := c.catchUp(ctx, old); err != nil {
		c.end()
		return err
	}
	// beside is asked when the new one gives no answer.
	beside := old
	if len(s.sidecars) > 1 {
		beside = s.sidecars[1-index].Load()
	}
	s.upgrades.phase(index, "settling")
	c.log.Info("the new sidecar has caught up, and is asked from now on", "pid", c.supervisor.PID(), "position", c.link.Position(), "head", s.source.Head())
	s.sidecars[index].Store(c)
	s.ask(c, beside)
	leave(old, c)
	if err := c.settle(ctx, old); err != nil {
		s.sidecars[index].Store(old)
		if beside == old {
			s.ask(old, nil)
		} else {
			s.ask(beside, old)
		}
		leave(c, beside)
		s.upgrades.phase(index, "draining")
		c.end()
		return err
	}
	if beside == old {
		s.ask(c, nil)
		leave(old, c)
	}
	s.upgrades.phase(index, "draining")
	was := old.supervisor.PID()
	old.end()
	c.log.Info("the sidecar is upgraded", "pid", c.supervisor.PID(), "pid_before", was, "socket", c.socket)
	return nil
}

// ask has these two asked, the first one first. other may be nil.
func (s *Side) ask(first, other *sidecar) {
	all := []*sidecar{first}
	if other != nil {
		other.other.Store(first)
		all = append(all, other)
	}
	first.other.Store(other)
	s.chooser.Set(first, all...)
	s.chooser.Look()
}

// leave takes a sidecar out, unless it is still the other one of its successor. A request that is on its way to it, and gets no
// answer there, asks the successor.
func leave(c, successor *sidecar) { c.other.Store(successor) }

// candidate makes a sidecar that is to take a place. Its socket has the lowest number that no other one has.
func (s *Side) candidate(index int) (*sidecar, error) {
	taken := make(map[int]bool)
	for _, c := range s.current() {
		taken[c.number] = true
	}
	number := 0
	for taken[number] {
		number++
	}
	if socket := SocketOf(s.cfg.Socket, number); len(socket) > MaxSocketBytes {
		return nil, fmt.Errorf("the new sidecar's socket would be %s, which is longer than %d bytes: shorten Socket", socket, MaxSocketBytes)
	}
	c := s.newSidecar(index, number, s.logOf(index).With("upgrade", s.upgrades.nextLife()))
	c.trial = new(trial)
	return c, c.prepare()
}

// end lets the sidecar finish what it was asked, and ends it. Nothing new must reach it.
func (c *sidecar) end() {
	c.awaitIdle()
	c.endLink()
	c.supervisor.Close()
	_ = os.Remove(readyFile(c.socket))
}

// programLooks is how often the shim looks at the program's file.
const programLooks = time.Second

// watchProgram upgrades when the program's file is another one than that which runs, and has stopped changing. What has failed
// once is not tried again until the file changes once more.
func (s *Side) watchProgram(ctx context.Context) {
	ticker := time.NewTicker(programLooks)
	defer ticker.Stop()
	var before, tried string
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := supervise.Program(s.cfg.Supervisor.Bin)
		if now != "" && now == before && now != tried && s.runsOtherThan(now) {
			tried = now
			_ = s.Upgrade(ctx, "a change of the program's file") // which logs
		}
		before = now
	}
}

func (s *Side) runsOtherThan(program string) bool {
	for _, c := range s.current() {
		if started := c.supervisor.Started(); started != "" && started != program {
			return true
		}
	}
	return false
}
