//go:build datatest

package data

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strconv"
	"testing"
	"time"
)

// row is a line of a normalised file, read without the importer, to check the importer.
type row struct {
	account      string
	counterparty string
	amount       int64
	// occurredAt is midnight UTC of the row's date, in microseconds since 1970.
	occurredAt int64
	// balance is the bank's own figure, or 0 if there is none.
	balance int64
	// position is the position of the row's transaction. A skipped row has the position of the last transaction before
	// it.
	position uint64
	skipped  bool
}

// rows reads a normalised file. A row's amount includes its residual_minor, if the file has that column.
func rows(t *testing.T, ledger string) []row {
	t.Helper()
	open, err := os.Open(file(found.data, ledger))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	unzipped, err := gzip.NewReader(bufio.NewReaderSize(open, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	lines := csv.NewReader(unzipped)
	lines.ReuseRecord = true
	head, err := lines.Read()
	if err != nil {
		t.Fatal(err)
	}
	column := make(map[string]int)
	for i, name := range head {
		column[name] = i + 1
	}
	var all []row
	var position uint64
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		one := row{
			account: line[column["account_id"]-1], counterparty: line[column["counterparty"]-1],
			amount:  number(t, line, column["amount_minor"]) + number(t, line, column["residual_minor"]),
			balance: number(t, line, column["balance_after"]),
		}
		date, err := time.Parse(time.DateOnly, line[column["timestamp"]-1])
		if err != nil {
			t.Fatalf("%v: %v", line, err)
		}
		one.occurredAt = date.UnixMicro()
		if one.skipped = one.amount == 0; !one.skipped {
			position++
		}
		one.position = position
		all = append(all, one)
	}
}

// number returns a field as a number, or 0 if the field is absent (column 0) or empty.
func number(t *testing.T, line []string, column int) int64 {
	if column == 0 || line[column-1] == "" {
		return 0
	}
	n, err := strconv.ParseInt(line[column-1], 10, 64)
	if err != nil {
		t.Fatalf("%v: %v", line, err)
	}
	return n
}

func kept(all []row) (n uint64) {
	for _, one := range all {
		if !one.skipped {
			n++
		}
	}
	return n
}
