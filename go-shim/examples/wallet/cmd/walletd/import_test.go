package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/importer"
)

func TestAKilledImportGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db, file := filepath.Join(folder, "wallet.db"), filepath.Join(folder, "rows.csv")
	const rows = importer.DefaultBatchSize + 5000
	var text strings.Builder
	text.WriteString("account_id,seq,timestamp,amount_minor,kind,counterparty,balance_after\n")
	for n := range rows {
		fmt.Fprintf(&text, "%d,%d,2000-01-01,1,k,,\n", n%50, n)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	killed := walletd(t, "import", "--db", db, "--format", "cdnow", file)
	stderr, err := killed.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	// The first line of progress means that the first batch is durable.
	if line, err := bufio.NewReader(stderr).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()

	resumed := runWalletd(t, "import", "--db", db, "--format", "cdnow", file)
	resumed.want(t, 0, "0 posted before, 0 rows skipped")
	var posted, before int
	figures := regexp.MustCompile(`(\d+) transactions posted.* \((\d+) rows were dealt with`).FindStringSubmatch(resumed.stdout)
	if figures == nil {
		t.Fatalf("got %s", resumed.stdout)
	}
	_, _ = fmt.Sscan(figures[1], &posted)
	_, _ = fmt.Sscan(figures[2], &before)
	if before < importer.DefaultBatchSize || posted+before != rows {
		t.Errorf("%d rows before the kill and %d after it, want %d together", before, posted, rows)
	}
}
