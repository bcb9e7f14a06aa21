package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// crashEnv, if set, makes this test binary post to the store at that path until it is killed.
const crashEnv = "WALLET_STORE_CRASH_TEST"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		postUntilKilled(path)
	}
	os.Exit(m.Run())
}

// postUntilKilled prints each acknowledged post as "position id".
func postUntilKilled(path string) {
	s, err := Open(context.Background(), path, Options{})
	if err == nil {
		err = s.Load(context.Background(), new(recorder), nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	start := int(s.Head())
	var mu sync.Mutex
	for p := range 8 {
		go func() {
			for n := start + p; ; n += 8 {
				position, _, err := s.Post(context.Background(), deposit(n))
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println(position, fmt.Sprintf("tx-%d", n))
				mu.Unlock()
			}
		}()
	}
	select {}
}

func TestKillLosesNothingThatWasAcknowledged(t *testing.T) {
	path := tempPath(t)
	acknowledged := map[uint64]string{}
	for round := range 4 {
		killAfter(t, path, 60+round*45, acknowledged)
		checkAfterKill(t, path, acknowledged)
	}
}

// killAfter starts a child process that posts, and kills it after it has acknowledged that many posts.
func killAfter(t *testing.T, path string, posts int, acknowledged map[uint64]string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		var position uint64
		var id string
		if _, err := fmt.Sscan(lines.Text(), &position, &id); err != nil {
			continue // the line that the kill cut short
		}
		if acknowledged[position] != "" && acknowledged[position] != id {
			t.Fatalf("position %d was given to %s and to %s", position, acknowledged[position], id)
		}
		acknowledged[position] = id
		if n == posts {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if child.Wait() == nil {
		t.Fatal("the child ended by itself")
	}
}

func checkAfterKill(t *testing.T, path string, acknowledged map[uint64]string) {
	t.Helper()
	s, model := openLoaded(t, path, Options{}) // fails if a position is missing
	defer s.Close()
	for position, id := range acknowledged {
		if position > s.Head() {
			t.Fatalf("%s was acknowledged at %d, the store ends at %d", id, position, s.Head())
		}
		tx := model.applied[position-1]
		if tx.GetTransactionId() != id || tx.GetPosition() != position {
			t.Errorf("position %d holds %s, acknowledged was %s", position, tx.GetTransactionId(), id)
		}
	}
	for _, tx := range model.applied {
		found, err := s.TransactionByID(t.Context(), tx.GetTransactionId())
		if err != nil || found.GetPosition() != tx.GetPosition() {
			t.Errorf("%s: %v, %v", tx.GetTransactionId(), found, err)
		}
		if string(ledger.AppendBody(nil, found)) != string(ledger.AppendBody(nil, tx)) {
			t.Errorf("%s changed", tx.GetTransactionId())
		}
	}
}
