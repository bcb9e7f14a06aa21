package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// prSetChildSubreaper has orphans become children of the calling process, as those in a container become children of PID 1.
const prSetChildSubreaper = 36

// reaping supervises a sidecar that leaves an orphan behind. It returns the exit code.
func reaping() int {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		fmt.Println("prctl:", errno)
		return 1
	}
	// A child of the process that is none of the supervisor's business.
	other := exec.Command("sh", "-c", "exit 7")
	if err := os.Setenv(role, "leaving"); err != nil || other.Start() != nil {
		return 1
	}
	dir := os.Getenv("HOTPATH_TEST_DIR")
	ended := make(chan bool, 1)
	c := config(dir)
	c.Ended = func(error, string) bool { ended <- true; return true }
	s, err := New(c)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s.Start()
	<-ended
	text, err := os.ReadFile(filepath.Join(dir, "left"))
	left, _ := strconv.Atoi(string(text))
	if err != nil || left == 0 || !gone(left) {
		fmt.Printf("%q is not gone, nor reaped: %v\n", text, err)
		return 1
	}
	if err := other.Wait(); other.ProcessState.ExitCode() != 7 {
		fmt.Println("another child was reaped as well:", err)
		return 1
	}
	return 0
}

func TestOrphansOfASidecarAreKilledAndReaped(t *testing.T) {
	service := exec.Command(os.Args[0])
	service.Env = append(os.Environ(), role+"=reaping", "HOTPATH_TEST_DIR="+t.TempDir())
	if out, err := service.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
