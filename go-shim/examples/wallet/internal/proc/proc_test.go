package proc

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string) (*Process, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := Start(Spec{Name: "script", Bin: "/bin/sh", Args: []string{"-c", script}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(time.Second) })
	return p, log
}

func TestAFailedStartShowsTheLastLines(t *testing.T) {
	p, _ := shell(t, "echo first; echo port is taken >&2; exit 69")
	err := p.Await("readiness", time.Minute, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "  | port is taken") {
		t.Fatalf("got %v", err)
	}
	if code := p.ExitCode(); code != 69 {
		t.Fatalf("exit code %d", code)
	}
}

func TestAwaitEndsWhenItsTimeIsUp(t *testing.T) {
	p, _ := shell(t, "sleep 100")
	err := p.Await("the impossible", 30*time.Millisecond, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "the impossible") {
		t.Fatalf("got %v", err)
	}
}

func TestStopKillsWhatIgnoresTheRequest(t *testing.T) {
	p, log := shell(t, "trap '' TERM; echo ready; while true; do sleep 0.05; done")
	if err := p.Await("ready", time.Minute, func() bool { return LastLines(log, 1) == "ready" }); err != nil {
		t.Fatal(err)
	}
	p.Stop(50 * time.Millisecond)
	if p.ExitCode() != -1 {
		t.Fatalf("exit code %d", p.ExitCode())
	}
}

func TestTheLifelineStaysOpenUntilStop(t *testing.T) {
	p, err := Start(Spec{
		Name: "cat", Bin: "/bin/cat", Log: filepath.Join(t.TempDir(), "log"), Lifeline: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !Exists(p.Pid()) {
		t.Fatal("ended though its input is open")
	}
	p.Stop(time.Minute)
	if Exists(p.Pid()) {
		t.Fatal("still there")
	}
}

func TestOurOwnAccountGrows(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		now, err := CPU(os.Getpid())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no more than %v: %v", before, err)
		}
		if now >= before+5*tick {
			break
		}
	}
	account, err := AccountOf(os.Getpid())
	if err != nil || account.RSS < 1<<20 || account.Parent != os.Getppid() {
		t.Fatalf("%+v, %v", account, err)
	}
}

func TestStatWithAHostileNameIsRead(t *testing.T) {
	text := "7 (a) b (c) S 3 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 5 1000 12 18446744073709551615"
	got, err := parseStat(text)
	want := Account{Name: "a) b (c", Parent: 3, CPU: 3 * time.Second, RSS: 12 * int64(os.Getpagesize())}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 3", strings.Replace(text, " 250 ", " x ", 1)} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestChildrenAreFoundByName(t *testing.T) {
	p, _ := shell(t, "sleep 100 & wait")
	var children []int
	err := p.Await("its child", time.Minute, func() bool {
		children, _ = Children(p.Pid(), "sleep")
		return len(children) == 1
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(children[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.ExitCode(); code == -1 {
		t.Fatal("the shell itself was killed")
	}
}

func TestLastLinesOfALongLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("some line\n", 10_000)+"the end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := LastLines(path, 2); got != "some line\nthe end" {
		t.Fatalf("got %q", got)
	}
	if got := LastLines(path+"x", 2); !strings.HasPrefix(got, "(no log: ") {
		t.Fatalf("got %q", got)
	}
}

func TestTheSidecarsSettingsAreNotInherited(t *testing.T) {
	t.Setenv("HOTPATHD_THREADS", "x")
	t.Setenv("PROC_TEST", "y")
	p, log := shell(t, "echo [$HOTPATHD_THREADS$PROC_TEST]")
	<-p.Done()
	if got := LastLines(log, 1); got != "[y]" {
		t.Fatalf("got %s", got)
	}
}

func TestOpenFilesAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "open")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		open, err := OpenFiles(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range open {
			if target == path {
				n++
			}
		}
		return n
	}
	if n := count(); n != 1 {
		t.Errorf("open %d times", n)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("closed, and open %d times", n)
	}
	if _, err := OpenFiles(-1); err == nil {
		t.Error("files of no process")
	}
}
