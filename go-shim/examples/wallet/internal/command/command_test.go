package command

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// asCommand, if set, makes this test binary a program that takes long to end.
const asCommand = "COMMAND_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	os.Exit(Command[struct{}]{
		Name:      "slow",
		Configure: func([]string, func(string) string, io.Writer) (c struct{}, err error) { return c, nil },
		Run: func(ctx context.Context, _ struct{}, say *console.Console) (bool, error) {
			say.Line("running")
			<-ctx.Done()
			time.Sleep(30 * time.Second)
			return true, nil
		},
		Interrupted: "interrupted",
	}.Main())
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), asCommand+"=1")
		output, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		restore := proc.NotIgnored(signal)
		err = cmd.Start()
		restore()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var exit *exec.ExitError
		if err := proc.SignalUntilEnded(ended, cmd.Process, signal); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != signal {
			t.Errorf("after two of %v: %v", signal, err)
		}
	}
}
