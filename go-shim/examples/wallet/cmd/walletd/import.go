package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/importer"
	"hotpath.dev/go-shim/examples/wallet/store"
)

const importUsage = `usage: walletd import --db PATH --format FORMAT FILE...

Posts the rows of CSV files (gzipped or not) to the store at PATH, which is created if need be. walletd must not be
serving it meanwhile. Interrupted or killed, run the same command again: it goes on where it stopped, and never posts a
row twice.

formats:
  berka, cdnow, uk   public data sets, a transaction a row:
                     account_id,seq,timestamp,amount_minor,kind,counterparty,...
  generic            an entry a row; consecutive rows of one transaction_id are one transaction:
                     transaction_id,occurred_at,external,account_id,asset,amount_minor,phase,kind,counterparty
                     occurred_at is RFC 3339, a date, or microseconds since 1970; phase is POSTED, HOLD or RELEASE.

Rows without an amount are skipped and counted (generic: they are bad). A bad row ends the import: what stands before it
is posted, up to 20 bad rows are reported by file, line, column and rule, and the exit code is 65.

example:
  walletd import --db wallet.db --format uk payments.csv.gz`

func runImport(ctx context.Context, args []string, out streams) error {
	f := newFlags("import", importUsage, true)
	db := f.String("db", "", "the store, a file that is created if need be")
	var options store.Options
	f.takeEmpty(&options.New)
	format := f.String("format", "", "what the files hold: "+joinFormats())
	keepGoing := f.Bool("keep-going", false, "leave bad rows out instead of stopping at the first; the exit code is 65 all the same")
	f.required = []string{"db", "format"}
	files, err := f.parse(args, out)
	if err != nil {
		return err
	}
	if *format != "" && !slices.Contains(importer.Formats(), importer.Format(*format)) {
		f.mistake("--format %q: must be one of %s", *format, joinFormats())
	}
	if len(files) == 0 {
		f.mistake("name at least one file to import")
	}
	if err := f.check(); err != nil {
		return err
	}
	ledger, err := store.Open(ctx, *db, options)
	if err != nil {
		return err
	}
	bar := newProgress(out.stderr)
	reports, err := importer.Run(ctx, ledger, importer.Options{
		Format: importer.Format(*format), Files: files, KeepGoing: *keepGoing,
		Progress: func(p importer.Progress) { bar.show(p.File, p.Bytes, p.Total, p.Rows, "rows") },
	})
	bar.done()
	for i := range reports {
		r := &reports[i]
		if err != nil && r.Rows+r.Resumed+r.BadCount == 0 {
			continue // the file could not be read, and the error says why
		}
		printReport(out, r)
	}
	return errors.Join(err, ledger.Close())
}

func printReport(out streams, r *importer.Report) {
	for _, bad := range r.BadRows {
		fmt.Fprintln(out.stderr, bad)
	}
	fmt.Fprintf(out.stdout, "%s: %d rows, %d transactions posted, %d posted before, %d rows skipped without an amount, %d bad",
		r.File, r.Rows, r.Posted, r.Repeated, r.Skipped, r.BadCount)
	if r.Resumed > 0 {
		fmt.Fprintf(out.stdout, " (%d rows were dealt with by an earlier import)", r.Resumed)
	}
	fmt.Fprintln(out.stdout)
}

func joinFormats() string {
	names := make([]string, 0, len(importer.Formats()))
	for _, format := range importer.Formats() {
		names = append(names, string(format))
	}
	return strings.Join(names, ", ")
}
