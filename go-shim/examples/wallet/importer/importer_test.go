package importer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/importer"
	"hotpath.dev/go-shim/examples/wallet/store"
)

const bankHeader = "account_id,seq,timestamp,amount_minor,kind,counterparty,balance_after,memo\n"

// bench is a store and a folder of files.
type bench struct {
	t      *testing.T
	folder string
}

func newBench(t *testing.T) bench { return bench{t, t.TempDir()} }

func (b bench) file(name, content string) string {
	b.t.Helper()
	path := filepath.Join(b.folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b bench) run(format importer.Format, keepGoing bool, files ...string) ([]importer.Report, error) {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), filepath.Join(b.folder, "wallet.db"), store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	return importer.Run(b.t.Context(), s, importer.Options{Format: format, Files: files, KeepGoing: keepGoing})
}

type sink struct{ txs []*walletv1.Transaction }

func (s *sink) Apply(tx *walletv1.Transaction) { s.txs = append(s.txs, tx) }

// ledger returns a text line for each transaction in the store.
func (b bench) ledger() (lines []string) {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), filepath.Join(b.folder, "wallet.db"), store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	var all sink
	if err := s.Load(b.t.Context(), &all, nil); err != nil {
		b.t.Fatal(err)
	}
	for _, tx := range all.txs {
		line := fmt.Sprintf("%d %s %d %v", tx.GetPosition(), tx.GetTransactionId(), tx.GetOccurredAtUs(), tx.GetExternal())
		for _, e := range tx.GetEntries() {
			line += fmt.Sprintf(" | %s %s %d %s %s %s", e.GetAccountId(), e.GetAsset(), e.GetAmount(),
				strings.TrimPrefix(e.GetPhase().String(), "PHASE_"), e.GetKind(), e.GetCounterparty())
		}
		lines = append(lines, line)
	}
	return lines
}

func (b bench) expect(want ...string) {
	b.t.Helper()
	if got := b.ledger(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		b.t.Errorf("the ledger holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBankFormats(t *testing.T) {
	const rows = bankHeader +
		"7,1,1993-01-02,1000,in,9,,5\n" + // the figures of berka add up to 1005
		"7,2,1993-01-02,0,in,9,,0\n" +
		"8,1,1993-01-01,-30,credit_note,7,,30\n"
	const day1, day2 = "725846400000000", "725932800000000"
	for format, want := range map[importer.Format][]string{
		importer.Berka: {"1 berka:7:1 " + day2 + " true | berka:7 CZK 1005 POSTED in "},
		importer.CDNow: {
			"1 cdnow:7:1 " + day2 + " true | cdnow:7 USD 1000 POSTED in cdnow",
			"2 cdnow:8:1 " + day1 + " true | cdnow:8 USD -30 POSTED credit_note cdnow",
		},
		importer.UK: {
			"1 uk:7:1 " + day2 + " false | uk:7 GBP 1000 POSTED in uk:9 | uk:9 GBP -1000 POSTED in uk:7",
			"2 uk:8:1 " + day1 + " false | uk:8 GBP -30 POSTED credit_note uk:7 | uk:7 GBP 30 POSTED credit_note uk:8",
		},
	} {
		b := newBench(t)
		mark := map[importer.Format]string{importer.Berka: "residual_minor", importer.UK: "body", importer.CDNow: "memo"}[format]
		reports, err := b.run(format, false, b.file("rows.csv", strings.Replace(rows, "memo", mark, 1)))
		if err != nil || reports[0].Rows != 3 || reports[0].Skipped+reports[0].Posted != 3 || int(reports[0].Posted) != len(want) {
			t.Errorf("%s: %+v, %v", format, reports, err)
		}
		b.expect(want...)
	}
}

func TestAFileOfAnotherFormatIsRefused(t *testing.T) {
	for format, column := range map[importer.Format]string{
		importer.CDNow: "residual_minor", importer.UK: "residual_minor", importer.Berka: "body", importer.Generic: "memo",
	} {
		b := newBench(t)
		rows := strings.Replace(bankHeader, "memo", column, 1) + "7,1,1993-01-02,1000,in,9,,5\n"
		if _, err := b.run(format, false, b.file("rows.csv", rows)); !errors.Is(err, importer.ErrBadData) {
			t.Errorf("%s with %s: %v", format, column, err)
		}
		b.expect()
	}
}

func TestBankRowsThatNoBankWrote(t *testing.T) {
	for row, c := range map[string]struct {
		format       importer.Format
		column, rule string
	}{
		"7,1,1993-01-02,1000,in,,,x\n":                   {importer.UK, "body", "counterparty: must not be empty"},
		"7,1,1993-01-02,9,in,,,9223372036854775807\n":    {importer.Berka, "residual_minor", "residual_minor: must be at most 10^15 in size"},
		"7,1,1993-01-02,9223372036854775807,in,,,1000\n": {importer.Berka, "residual_minor", "amount_minor: must be at most 10^15 in size"},
	} {
		b := newBench(t)
		reports, err := b.run(c.format, false, b.file("rows.csv", strings.Replace(bankHeader, "memo", c.column, 1)+row))
		if !errors.Is(err, importer.ErrBadData) || len(reports[0].BadRows) != 1 || reports[0].BadRows[0].Rule != c.rule {
			t.Errorf("%s: %+v, %v", row, reports, err)
		}
	}
}

const genericHeader = "transaction_id,occurred_at,external,account_id,asset,amount_minor,phase,kind,counterparty\n"

func TestGenericFormatAndGzip(t *testing.T) {
	b := newBench(t)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	fmt.Fprint(w, "\ufeff"+genericHeader+
		"t1,1970-01-01T00:00:01Z,true,a,GBP,-10,hold,card,b\n"+
		"t2,1970-01-02,,a,GBP,-4,POSTED,\"a, b\",b\n"+
		"t2,1970-01-02,false,b,GBP,4,posted,,a\n"+
		"t3,-1,1,a,GBP,-10,release,,\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The importer recognizes gzip by the first bytes. The name does not end in .gz.
	if _, err := b.run(importer.Generic, false, b.file("rows.csv", zipped.String())); err != nil {
		t.Fatal(err)
	}
	b.expect("1 t1 1000000 true | a GBP -10 HOLD card b",
		"2 t2 86400000000 false | a GBP -4 POSTED a, b b | b GBP 4 POSTED  a",
		"3 t3 -1 true | a GBP -10 RELEASE  ")
}

func TestBadRowsAreReportedWhereTheyAre(t *testing.T) {
	good := "good,0,true,a,GBP,1,POSTED,,\n"
	for row, want := range map[string]string{
		"t,yesterday,true,a,GBP,1,POSTED,,\n":                       ":3:3: occurred_at: must be RFC 3339, a date such as 2010-12-31, or microseconds since 1970",
		"t,0,perhaps,a,GBP,1,POSTED,,\n":                            ":3:5: external: must be true, false or empty",
		"t,0,true,a,GBP,1.5,POSTED,,\n":                             ":3:16: amount_minor: must be a whole number of minor units",
		"t,0,true,a,GBP,1,MOVED,,\n":                                ":3:18: phase: must be POSTED, HOLD or RELEASE",
		"t,0,true,a b,GBP,1,POSTED,,\n":                             ":3:10: account_id: must be 1-64 bytes of printable ASCII without spaces",
		"t,0,true,a,GBP,0,POSTED,,\n":                               ":3:16: amount_minor: must be non-zero and at most 10^15 in size",
		"t,0,true,a,GBP,1,POSTED,\xff,\n":                           ":3:25: kind: must be UTF-8",
		"t,0,true,a,GBP,1,POSTED\n":                                 ":3:1: wrong number of fields",
		"t,0,,a,GBP,1,POSTED,,\n":                                   ":3:1: entries: must sum to zero per asset and phase unless external (GBP POSTED sums to 1)",
		"t,0,true,a,GBP,1,POSTED,,\nt,0,true,a,GBP,1,POSTED,,a b\n": ":4:26: counterparty: must be empty or 1-64 bytes of printable ASCII without spaces",
		"t,0,true,a,GBP,1,POSTED,,\nt,1,true,a,GBP,1,POSTED,,\n":    ":4:3: occurred_at: must be the same in all rows of a transaction",
		"t,0,true,a,GBP,1,RELEASE,,\n":                              ":3:1: entries[0]: releases more than is held",
		"good,1,true,a,GBP,1,POSTED,,\nz,0,1,a,GBP,1,POSTED,,\n":    ":3:6: occurred_at: must be the same in all rows of a transaction",
	} {
		b := newBench(t)
		path := b.file("rows.csv", genericHeader+good+row+"after,0,true,a,GBP,1,POSTED,,\n")
		reports, err := b.run(importer.Generic, false, path)
		if !errors.Is(err, importer.ErrBadData) || len(reports[0].BadRows) != 1 || reports[0].BadRows[0].String() != path+want {
			t.Errorf("%q: %v, %v; want %s", row, reports[0].BadRows, err, want)
		}
		if got := len(b.ledger()); got > 1 {
			t.Errorf("%q: %d transactions; nothing behind a bad row may be posted", row, got)
		}
	}
}

func TestKeepGoingLeavesOnlyBadRowsOut(t *testing.T) {
	b := newBench(t)
	rows := bankHeader
	for n := range 60 {
		amount := "5"
		if n%2 == 1 {
			amount = "five"
		}
		rows += fmt.Sprintf("1,%d,2000-01-01,%s,k,,,0\n", n, amount)
	}
	path := b.file("rows.csv", rows)
	for _, keepGoing := range []bool{true, true} {
		reports, err := b.run(importer.CDNow, keepGoing, path)
		r := reports[0]
		if !errors.Is(err, importer.ErrBadData) || r.BadCount != 30 || len(r.BadRows) != importer.MaxBadRows || r.Posted+r.Repeated != 30-r.Resumed {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if got := len(b.ledger()); got != 30 {
		t.Errorf("%d transactions", got)
	}
	// Without keepGoing the first bad row ends the import, and at most 20 bad rows are reported.
	b = newBench(t)
	reports, err := b.run(importer.CDNow, false, b.file("rows.csv", rows), b.file("next.csv", bankHeader))
	if !errors.Is(err, importer.ErrBadData) || len(reports) != 1 || reports[0].BadCount != importer.MaxBadRows || reports[0].Posted != 1 {
		t.Errorf("%+v, %v", reports, err)
	}
}

func TestMendedFilesGoOnWhereTheyStopped(t *testing.T) {
	b := newBench(t)
	rows := bankHeader + "1,1,2000-01-01,5,k,,,0\n1,2,2000-01-01,0,k,,,0\n1,3,2000-01-01,x,k,,,0\n1,4,2000-01-01,7,k,,,0\n"
	if _, err := b.run(importer.CDNow, false, b.file("rows.csv", rows)); !errors.Is(err, importer.ErrBadData) {
		t.Fatal(err)
	}
	reports, err := b.run(importer.CDNow, false, b.file("rows.csv", strings.Replace(rows, ",x,", ",6,", 1)))
	if r := reports[0]; err != nil || r.Posted != 2 || r.Repeated != 1 || r.Skipped != 1 {
		t.Errorf("%+v, %v", reports, err)
	}
	reports, err = b.run(importer.CDNow, false, filepath.Join(b.folder, "rows.csv"))
	if r := reports[0]; err != nil || r.Posted+r.Repeated != 0 || r.Resumed != 4 {
		t.Errorf("%+v, %v", reports, err)
	}
	if got := len(b.ledger()); got != 3 {
		t.Errorf("%d transactions", got)
	}
}

// dying fails after some batches. As with a killed process, what is committed stays.
type dying struct {
	*store.Store
	batches int
}

func (d *dying) AppendBatch(ctx context.Context, txs []*walletv1.Transaction, keepGoing bool, mark func(int) store.Mark) (store.Appended, error) {
	if d.batches--; d.batches < 0 {
		return store.Appended{}, context.Canceled
	}
	return d.Store.AppendBatch(ctx, txs, keepGoing, mark)
}

func TestAnInterruptedImportResumes(t *testing.T) {
	b := newBench(t)
	var rows strings.Builder
	rows.WriteString(bankHeader)
	const count = 3_000 // three batches
	for n := range count {
		fmt.Fprintf(&rows, "%d,%d,2000-01-01,%d,k,,,0\n", n%100, n, n%10)
	}
	path := b.file("rows.csv", rows.String())
	s, err := store.Open(t.Context(), filepath.Join(b.folder, "wallet.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = importer.Run(t.Context(), &dying{s, 2}, importer.Options{Format: importer.CDNow, Files: []string{path}, BatchSize: 1000})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	s.Close()
	reports, err := b.run(importer.CDNow, false, path)
	r := reports[0]
	if err != nil || r.Resumed == 0 || r.Repeated != 0 || r.Resumed+r.Rows != count || r.Posted == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := len(b.ledger()); got != count*9/10 {
		t.Errorf("%d transactions", got)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	b := newBench(t)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	fmt.Fprint(w, bankHeader, strings.Repeat("1,1,2000-01-01,1,k,,,0\n", 1000))
	w.Close()
	for name, want := range map[string]error{
		filepath.Join(b.folder, "missing.csv"):                importer.ErrNoInput,
		b.folder:                                              importer.ErrNoInput,
		b.file("empty.csv", ""):                               importer.ErrBadData,
		b.file("other.csv", "name,age\n"):                     importer.ErrBadData,
		b.file("short.gz", zipped.String()[:zipped.Len()-20]): importer.ErrBadData,
		b.file("tiny.gz", "\x1f\x8b"):                         importer.ErrBadData,
	} {
		if _, err := b.run(importer.CDNow, false, name); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", filepath.Base(name), err, want)
		}
	}
}
