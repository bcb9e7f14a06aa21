package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// contents returns the contents of the files in a folder, by name.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[file.Name()] = string(text)
	}
	return all
}

func TestIDsListsTheBusiestFirst(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db, rows := filepath.Join(folder, "wallet.db"), filepath.Join(folder, "rows.csv")
	const text = `transaction_id,occurred_at,external,account_id,asset,amount_minor,phase,kind,counterparty
t1,50,true,bob,GBP,10,POSTED,,
t1,50,true,ann,GBP,10,POSTED,,
t2,-7,true,ann,EUR,10,HOLD,,zoe
t3,9,true,Cid,GBP,10,POSTED,,
t3,9,true,bob,GBP,10,POSTED,,
t4,8,true,ann,GBP,-10,POSTED,,
t5,8,true,ann,GBP,-10,HOLD,,
`
	const all = "# position 5\n# accounts 3\n# entries 7\n" +
		"ann\tGBP\t3\t8\t50\n" +
		"bob\tGBP\t2\t9\t50\n" +
		"Cid\tGBP\t1\t9\t9\n" +
		"ann\tEUR\t1\t-7\t-7\n"
	if err := os.WriteFile(rows, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runWalletd(t, "import", "--db", db, "--format", "generic", rows).want(t, 0)
	before := contents(t, folder)
	for flag, want := range map[string]string{
		"": all, "0": all, "9": all, "2": strings.Join(strings.SplitAfter(all, "\n")[:5], ""),
	} {
		args := []string{"ids", "--db", db}
		if flag != "" {
			args = append(args, "--at-most", flag)
		}
		if got := runWalletd(t, args...); got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("--at-most %q: got %d\n%s%s\nwant\n%s", flag, got.code, got.stdout, got.stderr, want)
		}
	}
	if after := contents(t, folder); !maps.Equal(before, after) {
		t.Errorf("files changed: %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
}

func TestIDsReadsAStoreThatIsServedOrWasKilled(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "wallet.db")
	s := startServing(t, db)
	runWalletd(t, "ids", "--db", db).want(t, 0, "# position 0\n# accounts 0\n# entries 0\n")
	_, err := walletv1.NewWalletServiceClient(s.conn).PostTransaction(t.Context(), &walletv1.PostTransactionRequest{
		TransactionId: "mine", External: true, OccurredAtUs: 3,
		Entries: []*walletv1.Entry{{AccountId: "me", Asset: "GBP", Amount: 7, Phase: walletv1.Phase_PHASE_POSTED}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "# position 1\n# accounts 1\n# entries 1\nme\tGBP\t1\t3\t3\n"
	runWalletd(t, "ids", "--db", db).want(t, 0, want)
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
	runWalletd(t, "ids", "--db", db).want(t, 0, want)
}

func TestIDsMakesNoStore(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	runWalletd(t, "ids", "--db", in("none.db")).want(t, 66, "there is no store", "none.db")
	runWalletd(t, "ids", "--db", folder).want(t, 66, "there is no store")
	for name, text := range map[string]string{"empty": "", "letter": strings.Repeat("dear reader, ", 100)} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		runWalletd(t, "ids", "--db", in(name)).want(t, 65, "not a walletd store")
	}
	if found := contents(t, folder); found["empty"] != "" || found["none.db"] != "" {
		t.Error("a store was made")
	}
}
