package e2e

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
)

// readyFile reads a ready file of walletd or hotpathd. ok is false until it is written.
func readyFile(path string) (at struct {
	Pid    int    `json:"pid"`
	Listen string `json:"listen"`
}, ok bool) {
	text, err := os.ReadFile(path)
	return at, err == nil && json.Unmarshal(text, &at) == nil
}

// TestBothGoOnWhenNobodyReadsTheirLog checks that both processes outlive the reader of their log. The reader of a pipe
// may end earlier, for example if journald is restarted or a `| tee` is killed.
func TestBothGoOnWhenNobodyReadsTheirLog(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ready := filepath.Join(p.dir, "ready.json")
	walletd := exec.CommandContext(t.Context(), binaries.walletd, "serve", "--db", p.db, "--listen", "127.0.0.1:0", "--admin",
		"127.0.0.1:0", "--ready-file", ready, "--sidecar", "supervise", "--sidecar-bin", binaries.hotpathd, "--sidecar-socket", p.socket)
	walletd.Stdout, walletd.Stderr = writer, writer
	if err := walletd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	ended := make(chan error, 1)
	go func() { ended <- walletd.Wait() }()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, reader)
	}()
	sidecarReady := p.socket + ".ready"
	awaitTrue(t, "both are up", func() bool {
		_, service := readyFile(ready)
		_, sidecar := readyFile(sidecarReady)
		return service && sidecar
	})
	_ = reader.Close()
	<-read

	service, _ := readyFile(ready)
	sidecar, _ := readyFile(sidecarReady)
	if err := syscall.Kill(sidecar.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitTrue(t, "walletd, which had that to log, starts another, whose lines it has to pass on", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("walletd ended: %v", err)
		default:
		}
		again, up := readyFile(sidecarReady)
		return up && again.Pid != sidecar.Pid
	})
	question := ask.New(0, &walletv1.GetBalanceRequest{AccountId: "nobody"})
	if answer := put(dial(t, service.Listen), question, false, 0); !answer.Decided() {
		t.Errorf("no answer: %s", answer)
	}
	if err := walletd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it must end in good order: %v", err)
	}
	if _, err := os.Stat(p.socket); !os.IsNotExist(err) {
		t.Errorf("the sidecar left its socket: %v", err)
	}
}
