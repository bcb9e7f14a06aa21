package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
)

// safeBuffer is a buffer that is safe for concurrent use.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (s *served) post(ctx context.Context, id string) error {
	_, err := walletv1.NewWalletServiceClient(s.conn).PostTransaction(ctx, &walletv1.PostTransactionRequest{
		TransactionId: id, External: true, OccurredAtUs: 3,
		Entries: []*walletv1.Entry{{AccountId: "me", Asset: "GBP", Amount: 7, Phase: walletv1.Phase_PHASE_POSTED}},
	})
	return err
}

// posted checks the number of posts, in both the read model and the store.
func (s *served) posted(t *testing.T, want int) {
	t.Helper()
	wallet := walletv1.NewWalletServiceClient(s.conn)
	balance, err := wallet.GetBalance(t.Context(), &walletv1.GetBalanceRequest{AccountId: "me"})
	if err != nil || balance.GetBalances()[0].GetPosted() != int64(7*want) {
		t.Errorf("balance %v, %v, want %d", balance, err, 7*want)
	}
	entries, err := wallet.ListEntries(t.Context(), &walletv1.ListEntriesRequest{AccountId: "me", PageSize: 100})
	if err != nil || len(entries.GetEntries()) != want {
		t.Errorf("%d entries, %v, want %d", len(entries.GetEntries()), err, want)
	}
}

func (s *served) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
}

func (s *served) stop(t *testing.T) {
	t.Helper()
	err := errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), s.cmd.Wait())
	if err != nil {
		t.Fatal(err)
	}
}

func makeLedger(t *testing.T, db string, flags ...string) result {
	t.Helper()
	return runWalletd(t, append([]string{"generate", "--db", db, "--accounts", "20", "--transactions", "500"}, flags...)...)
}

func TestALedgerIsOpenedOnceByWhateverName(t *testing.T) {
	db, other := filepath.Join(t.TempDir(), "wallet.db"), t.TempDir()
	symbolic, hard := filepath.Join(other, "symbolic.db"), filepath.Join(other, "hard.db")
	s := startServing(t, db)
	if err := errors.Join(os.Symlink(db, symbolic), os.Link(db, hard), s.post(t.Context(), "1")); err != nil {
		t.Fatal(err)
	}
	rows := filepath.Join(other, "rows.csv")
	if err := os.WriteFile(rows, []byte("account_id,seq,timestamp,amount_minor,kind,counterparty,balance_after\n1,1,2000-01-01,5,k,,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{db, symbolic, hard} {
		const taken = "another process has the store open"
		makeLedger(t, name).want(t, 69, taken, name)
		runWalletd(t, "import", "--db", name, "--format", "cdnow", rows).want(t, 69, taken)
		runWalletd(t, "serve", "--db", name, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--lifeline").want(t, 69, taken)
	}
	if err := s.post(t.Context(), "2"); err != nil {
		t.Error(err)
	}
	s.kill(t)
	// Under the other name SQLite would miss the log that the killed process left.
	makeLedger(t, hard).want(t, 65, "the file has more than one name", "it has 2")
	runWalletd(t, "ids", "--db", hard).want(t, 65, "the file has more than one name")
	if err := os.Remove(hard); err != nil {
		t.Fatal(err)
	}
	runWalletd(t, "ids", "--db", symbolic).want(t, 0, "# position 2\n")
	startServing(t, symbolic).posted(t, 2)
}

func TestReadersLeaveNothingBehind(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "wallet.db")
	beside := func(when string, want ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(contents(t, folder))); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	makeLedger(t, db).want(t, 0)
	beside("generated", "wallet.db")
	runWalletd(t, "ids", "--db", db).want(t, 0)
	beside("listed", "wallet.db")
	s := startServing(t, db)
	runWalletd(t, "ids", "--db", db).want(t, 0)
	beside("served and listed", "wallet.db", "wallet.db-shm", "wallet.db-wal")
	s.stop(t)
	beside("stopped", "wallet.db")
}

func TestAnEmptyFileIsRefusedWithoutNew(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "wallet.db")
	if err := os.WriteFile(db, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serve := []string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--lifeline", "--db", db}
	runWalletd(t, serve...).want(t, 65, "the file is empty", "add --new")
	makeLedger(t, db).want(t, 65, "add --new")
	s := startServing(t, db, "--new")
	if log := s.log.String(); !strings.Contains(log, "a new, empty one was created") {
		t.Errorf("the log is\n%s", log)
	}
	s.stop(t)
	makeLedger(t, db, "--new").want(t, 0, "500 transactions posted")
	// A missing file counts as a lost ledger only if there is a log.
	s = startServing(t, db)
	if err := s.post(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	s.kill(t)
	if err := os.Remove(db); err != nil {
		t.Fatal(err)
	}
	before := contents(t, folder)
	runWalletd(t, serve...).want(t, 65, "its write-ahead log is not", db+"-wal")
	makeLedger(t, db, "--new").want(t, 65, "its write-ahead log is not")
	if !maps.Equal(before, contents(t, folder)) {
		t.Error("files were changed")
	}
}

// withoutOverride starts a process that file permissions bind even if it runs as root.
func withoutOverride(cmd *exec.Cmd) error {
	const dropFromBoundingSet, dacOverride = 24, 1
	started := make(chan error)
	go func() {
		// The thread stays locked, so that it ends with this goroutine: it has lost the capability for good.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, dropFromBoundingSet, dacOverride, 0); errno != 0 {
				started <- fmt.Errorf("this test gives up a capability, or runs as another user than root: %w", errno)
				return
			}
		}
		started <- cmd.Start()
	}()
	return <-started
}

func TestAReadOnlyLedgerIsServedAndSaidToBeSo(t *testing.T) {
	for name, modes := range map[string][2]os.FileMode{
		"file": {0o400, 0o700}, "folder": {0o600, 0o500}, "both": {0o400, 0o500},
	} {
		for _, model := range readmodel.AllNames() {
			t.Run(name+" "+model, func(t *testing.T) { checkAReadOnlyLedger(t, modes, model) })
		}
	}
}

func checkAReadOnlyLedger(t *testing.T, modes [2]os.FileMode, model string) {
	t.Helper()
	folder := t.TempDir()
	db := filepath.Join(folder, "wallet.db")
	s := startServing(t, db, "--read-model", model)
	if err := s.post(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	if err := errors.Join(os.Chmod(db, modes[0]), os.Chmod(folder, modes[1])); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	s = startServingBy(t, withoutOverride, db, "--read-model", model)
	s.posted(t, 1)
	err := s.post(t.Context(), "2")
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("got %v", err)
	}
	if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "the database is read-only") {
		t.Errorf("the log is\n%s", log)
	}
	// Other processes may read the ledger too.
	runWalletd(t, "ids", "--db", db).want(t, 0, "# position 1\n")
	s.stop(t)
	wantRefused(t, []string{"generate", "--db", db}, "the database is read-only")
	if model != readmodel.NameStore {
		wantRefused(t, []string{"serve", "--db", db, "--read-model", "store", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"},
			"the read tables are not up to date", "the database is read-only")
	}
	if got := slices.Sorted(maps.Keys(contents(t, folder))); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

// wantRefused runs a command that needs to write and may not.
func wantRefused(t *testing.T, args []string, texts ...string) {
	t.Helper()
	cmd := walletd(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := withoutOverride(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	result{cmd.ProcessState.ExitCode(), "", stderr.String()}.want(t, 73, texts...)
}

// fullDisk, if set, is the largest length in bytes of any file that walletd, run by this test binary, may write. It
// simulates a full disk.
const fullDisk = "WALLETD_TEST_FILE_BYTES"

// setFileLimit sets the largest length of files that a process may write. pid 0 is this process.
func setFileLimit(pid int, bytes uint64) error {
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set the largest length of a file: %w", errno)
	}
	return nil
}

func TestAFullDiskIsServedAndPostsComeBackWithSpace(t *testing.T) {
	for _, model := range readmodel.AllNames() {
		t.Run(model, func(t *testing.T) { checkAFullDisk(t, model) })
	}
}

func checkAFullDisk(t *testing.T, model string) {
	t.Helper()
	db := filepath.Join(t.TempDir(), "wallet.db")
	s := startServing(t, db, "--read-model", model)
	if err := s.post(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	full := func(cmd *exec.Cmd) error {
		cmd.Env = append(cmd.Env, fullDisk+"=1024")
		return cmd.Start()
	}
	s = startServingBy(t, full, db, "--read-model", model)
	s.posted(t, 1)
	if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "the disk is full") {
		t.Errorf("the log is\n%s", log)
	}
	for range 3 {
		if err := s.post(t.Context(), "2"); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
	}
	s.posted(t, 1)
	if err := setFileLimit(s.cmd.Process.Pid, ^uint64(0)); err != nil {
		t.Fatal(err)
	}
	var posts sync.WaitGroup
	for n := range 50 {
		posts.Go(func() {
			if err := s.post(t.Context(), fmt.Sprint(2+n)); err != nil {
				t.Error(err)
			}
			_, err := walletv1.NewWalletServiceClient(s.conn).ListEntries(t.Context(), &walletv1.ListEntriesRequest{AccountId: "me", PageSize: 100})
			if err != nil {
				t.Error(err)
			}
		})
	}
	posts.Wait()
	s.posted(t, 51)
	s.kill(t)
	startServing(t, db, "--read-model", model).posted(t, 51)
}

func TestReadModelsTakeTurnsOnALedger(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "wallet.db")
	makeLedger(t, db).want(t, 0)
	for n, model := range []string{"store", "legacy", "store", "best", "best", "store"} {
		s := startServing(t, db, "--read-model", model)
		if err := s.post(t.Context(), fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
		s.posted(t, n+1)
		page := s.page(t, "/metrics")
		for _, want := range []string{"walletd_store_reads_running 0\n", "walletd_store_reads_waiting 0\n", "walletd_store_reads_refused_total 0\n",
			"walletd_read_model{model=\"" + model + "\"} 1\n", "walletd_read_model_switching 0\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: %s is not on /metrics", model, want)
			}
		}
		s.stop(t)
	}
}

func TestAStoreIsNotMadeOnAFullDisk(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(fullDisk, "1024")
	makeLedger(t, filepath.Join(folder, "wallet.db")).want(t, 74, "the disk is full")
	if left := contents(t, folder); len(left) > 0 {
		t.Errorf("left behind: %v", slices.Sorted(maps.Keys(left)))
	}
}

func TestOfCommandsAtOnceOneGetsTheStore(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "wallet.db")
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := make(map[int]int)
	for range 6 {
		all.Go(func() {
			got := makeLedger(t, db)
			mu.Lock()
			defer mu.Unlock()
			codes[got.code]++
			if got.code == 69 && !strings.Contains(got.stderr, "another process has the store open") {
				t.Error(got.stderr)
			}
		})
	}
	all.Wait()
	if codes[0] == 0 || codes[0]+codes[69] != 6 {
		t.Errorf("exit codes %v", codes)
	}
	runWalletd(t, "ids", "--db", db).want(t, 0, "# position 500\n")
	if left := contents(t, folder); len(left) != 1 {
		t.Errorf("left behind: %v", slices.Sorted(maps.Keys(left)))
	}
}

// TestKilledWhileTheStoreIsMade kills the command as soon as one of its files is there. It must succeed when it runs
// again.
func TestKilledWhileTheStoreIsMade(t *testing.T) {
	for _, file := range []string{"wallet.db.new", "wallet.db", "wallet.db-wal"} {
		folder := t.TempDir()
		db := filepath.Join(folder, "wallet.db")
		cmd := walletd(t, "generate", "--db", db, "--accounts", "20", "--transactions", "500")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait()
		}()
		for waiting := true; waiting; {
			select {
			case <-ended:
				waiting = false
			default:
				_, err := os.Stat(filepath.Join(folder, file))
				waiting = err != nil
			}
		}
		_ = cmd.Process.Kill()
		<-ended
		makeLedger(t, db).want(t, 0)
		runWalletd(t, "ids", "--db", db).want(t, 0, "# position 500\n")
		if left := contents(t, folder); len(left) != 1 {
			t.Errorf("killed at %s: left behind: %v", file, slices.Sorted(maps.Keys(left)))
		}
	}
}
