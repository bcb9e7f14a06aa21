//go:build container

// Package container runs walletd with a supervised hotpathd as a container would: as PID 1 of a namespace, by a user without
// any capability, on a root file system that is read-only but for one volume. `make container` runs it, and says what it needs.
package container

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/shimadmin"
)

const testTimeout = time.Minute

// enter runs a program in the container. Its first part is root of a new user namespace, for the mounts alone. Flags of mounts
// that were there before may not be taken away, so each is made read-only as it is. A mount of which that is not true any more
// at the end is an error, except for those of the kernel.
const enter = `#!/bin/sh
exec unshare --user --map-root-user --mount --pid --fork --kill-child --mount-proc sh -c '
set -e
mount --bind "$VOLUME" "$VOLUME"
while read -r _ _ _ _ point options _; do
  case "$point" in "$VOLUME"|/proc*|/sys*|/dev*) continue;; esac
  keep=$(printf "%s" "$options" | tr , "\n" | grep -E "^(nosuid|nodev|noexec|noatime|nodiratime|relatime)$" | paste -sd, -)
  mount -o "remount,bind,ro${keep:+,$keep}" "$point" 2>/dev/null || true
done < /proc/self/mountinfo
for folder in / /tmp; do
  if touch "$folder/is-writable" 2>/dev/null; then echo "$folder is not read-only" >&2; exit 70; fi
done
exec unshare --user --map-user=65532 --map-group=65532 "$@"' sh "$WALLETD" "$@"
`

// starts has a process of its own beside it, which nobody ends but walletd.
const starts = `#!/bin/sh
sleep 100000 &
exec "$HOTPATHD" "$@"
`

// contained is a walletd in a container. volume is where it may write.
type contained struct {
	*rig.Walletd
	t      *testing.T
	volume string
	conn   *grpc.ClientConn
}

func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func spec(t *testing.T, env ...string) rig.WalletdSpec {
	t.Helper()
	volume, err := os.MkdirTemp("", "container-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(volume) })
	hotpathd, err := rig.FindHotpathd()
	if err != nil {
		t.Fatal(err)
	}
	walletd, err := rig.FindWalletd(volume)
	if err != nil {
		t.Fatal(err)
	}
	return rig.WalletdSpec{
		Bin: script(t, volume, "enter", enter), Dir: volume, DB: filepath.Join(volume, "ledger.db"), Sidecar: rig.Supervise,
		SidecarBin: script(t, volume, "sidecar", starts),
		Env:        append([]string{"VOLUME=" + volume, "WALLETD=" + walletd, "HOTPATHD=" + hotpathd}, env...),
	}
}

func start(t *testing.T) *contained {
	t.Helper()
	s := spec(t)
	s.Env = append(s.Env, "TMPDIR="+s.Dir)
	w, err := rig.StartWalletd(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Stop(10 * time.Second)
		if t.Failed() {
			t.Log(proc.LastLines(w.Log(), 60))
		}
	})
	conn, err := ask.Dial(w.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &contained{Walletd: w, t: t, volume: s.Dir, conn: conn}
}

func (c *contained) awaitServing() {
	c.t.Helper()
	before, err := c.AwaitCaughtUp(testTimeout)
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = c.AwaitShim("the sidecar answers", testTimeout, func(now rig.Shim) bool {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if answer := ask.Put(ctx, c.conn, ask.New(0, &walletv1.GetBalanceRequest{AccountId: "a"}), ask.Want()); !answer.Decided() {
			c.t.Fatalf("no answer: %s", answer)
		}
		return now.Served[rig.SidecarMode] > before.Served[rig.SidecarMode]
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// process is one of the container's, as seen from outside.
type process struct {
	pid, parent int
	name        string
	state       byte
}

// processes are those in the container. Its first one has the id 1 there.
func (c *contained) processes() (all []process, first process) {
	c.t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		c.t.Fatal(err)
	}
	own := namespace(c.t, "self")
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		p := process{name: field(text, "Name")}
		p.pid, _ = strconv.Atoi(field(text, "Pid"))
		p.parent, _ = strconv.Atoi(field(text, "PPid"))
		p.state = field(text, "State")[0]
		inside := strings.Fields(field(text, "NSpid"))
		// It belongs to this container if what is above it began this container.
		if len(inside) < 2 || !c.isAbove(p.pid) || namespace(c.t, strconv.Itoa(p.pid)) == own {
			continue
		}
		all = append(all, p)
		if inside[len(inside)-1] == "1" {
			first = p
		}
	}
	return all, first
}

func namespace(t *testing.T, pid string) string {
	t.Helper()
	link, err := os.Readlink("/proc/" + pid + "/ns/pid")
	if err != nil {
		return "gone" // a zombie has none
	}
	return link
}

// isAbove says whether the process that started the container is above this one.
func (c *contained) isAbove(pid int) bool {
	for pid > 1 {
		if pid == c.Pid() {
			return true
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return false
		}
		pid, _ = strconv.Atoi(field(text, "PPid"))
	}
	return false
}

func field(status []byte, name string) string {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name+":"))
	if name == "Name" {
		rest = bytes.TrimPrefix(status, []byte("Name:"))
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strings.TrimSpace(string(line))
}

func (c *contained) named(name string) (found []process) {
	all, _ := c.processes()
	for _, p := range all {
		if p.name == name {
			found = append(found, p)
		}
	}
	return found
}

func (c *contained) await(what string, check func() bool) {
	c.t.Helper()
	if err := c.Await(what, testTimeout, check); err != nil {
		c.t.Fatal(err)
	}
}

func (c *contained) upgrade() {
	c.t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+c.Admin+shimadmin.Prefix+"upgrade", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set(shimadmin.WhoHeader, "container")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer reply.Body.Close()
	var said map[string]string
	if err := json.NewDecoder(reply.Body).Decode(&said); err != nil || reply.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %v: %v", reply.Status, said, err)
	}
}

func TestWalletdIsPID1OfAContainer(t *testing.T) {
	c := start(t)
	c.awaitServing()
	_, first := c.processes()
	if first.name != "walletd" {
		t.Fatalf("PID 1 is %+v", first)
	}
	for _, p := range append(c.named("hotpathd"), first) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		if caps := field(status, "CapEff"); err != nil || strings.Trim(caps, "0") != "" {
			t.Errorf("%s has the capabilities %s: %v", p.name, caps, err)
		}
	}

	// What its program had started becomes a child of PID 1, which has to end and reap it.
	sidecar, left := c.named("hotpathd"), c.named("sleep")
	if len(sidecar) != 1 || len(left) != 1 {
		t.Fatalf("%+v and %+v", sidecar, left)
	}
	if err := syscall.Kill(sidecar[0].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.await("another sidecar runs", func() bool {
		now := c.named("hotpathd")
		return len(now) == 1 && now[0].pid != sidecar[0].pid
	})
	c.awaitServing()
	c.upgrade()
	c.awaitServing()
	c.await("nobody is left, dead or alive", func() bool {
		all, _ := c.processes()
		for _, p := range all {
			if p.state == 'Z' || p.pid == left[0].pid {
				return false
			}
		}
		return len(c.named("hotpathd")) == 1 && len(c.named("sleep")) == 1
	})

	if err := syscall.Kill(first.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(testTimeout):
		t.Fatal("PID 1 does not heed SIGTERM")
	}
	if c.ExitCode() != 0 {
		t.Errorf("exit code %d", c.ExitCode())
	}
	if left, err := filepath.Glob(filepath.Join(c.volume, "hotpath-run-*")); err != nil || len(left) > 0 {
		t.Errorf("left on the volume: %v, %v", left, err)
	}
}

func TestWithoutAWritableFolderWalletdSaysWhatItNeeds(t *testing.T) {
	s := spec(t, "TMPDIR=/tmp")
	w, err := rig.StartWalletd(s)
	if err == nil {
		w.Stop(time.Second)
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "read-only file system") || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("it says %v", err)
	}
}
