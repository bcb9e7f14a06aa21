// Package importer posts the rows of CSV files, gzipped or not.
//
// An import can be stopped or killed at any time and run again. For each file, identified by a hash of its bytes, the
// store keeps a mark: how many rows are dealt with. It commits the mark together with the transactions, so a second run
// goes on where the first ended. If the file was edited, its hash is new and there is no mark. Then the store
// recognizes the transaction_ids of what was posted before and does not post it again.
//
//	file ──> parser (a goroutine): rows ──> groups ──> batches ──> fileRun: Ledger.AppendBatch, with a mark
package importer

import (
	"context"
	"errors"
	"fmt"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/store"
)

var (
	// ErrBadData means that rows break rules. The report says which. Mend them and import the file again.
	ErrBadData = errors.New("bad rows: mend them and run the same import again, what is posted stays posted")
	// ErrNoInput means that a file cannot be opened or read.
	ErrNoInput = errors.New("cannot open the file: check its name and permissions")
)

const (
	// DefaultBatchSize is large, because all transactions of a batch share an fsync and the rewrite of index pages.
	DefaultBatchSize = 50_000
	// MaxBadRows is how many bad rows a report lists, and after how many an import without KeepGoing gives up.
	MaxBadRows = 20
)

// Ledger takes the transactions. [store.Store] implements it.
type Ledger interface {
	AppendBatch(ctx context.Context, txs []*walletv1.Transaction, keepGoing bool, mark func(accepted int) store.Mark) (store.Appended, error)
	Mark(ctx context.Context, source string) (store.Mark, error)
}

// Options says what to import.
type Options struct {
	Format Format
	Files  []string
	// KeepGoing leaves bad rows out instead of stopping at the first. The import still fails in the end.
	KeepGoing bool
	// BatchSize is how many transactions are made durable at once; 0 means DefaultBatchSize.
	BatchSize int
	// Progress, if set, is called after each batch.
	Progress func(Progress)
}

// Progress says how much of one file is imported.
type Progress struct {
	File         string
	Bytes, Total int64
	Rows         int64
}

// Report says what was imported of one file.
type Report struct {
	File string
	// Resumed is the number of rows that an earlier run dealt with. All other figures are of this run.
	Resumed int64
	Rows    int64
	// Posted and Repeated count transactions. Skipped counts rows without an amount.
	Posted, Repeated, Skipped int64
	// BadRows has the first MaxBadRows of the BadCount bad rows.
	BadRows  []BadRow
	BadCount int64
}

// BadRow says which rule a file breaks, and where.
type BadRow struct {
	File         string
	Line, Column int
	// Rule starts with the name of the CSV column, or of the transaction's field.
	Rule string
}

func (b BadRow) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", b.File, b.Line, b.Column, b.Rule)
}

// Run imports the files in order. Also if it fails, it returns a report of each file that it started on.
func Run(ctx context.Context, ledger Ledger, options Options) ([]Report, error) {
	var reports []Report
	bad := false
	if options.BatchSize < 1 {
		options.BatchSize = DefaultBatchSize
	}
	for _, name := range options.Files {
		run := fileRun{ledger: ledger, options: options, report: Report{File: name}}
		err := run.do(ctx)
		reports = append(reports, run.report)
		if err != nil {
			return reports, fmt.Errorf("import %s: %w", name, err)
		}
		if run.report.BadCount > 0 {
			bad = true
			if !options.KeepGoing {
				break
			}
		}
	}
	if bad {
		return reports, ErrBadData
	}
	return reports, nil
}

// fileRun imports one file. The parser reads ahead while the store writes.
type fileRun struct {
	ledger  Ledger
	options Options
	report  Report
	mark    store.Mark
	// skipped is the number of skipped rows in the mark before this run.
	skipped int64
}

func (r *fileRun) do(ctx context.Context) error {
	f, err := openFile(r.report.File)
	if err != nil {
		return err
	}
	defer f.close()
	if r.mark, err = r.ledger.Mark(ctx, string(r.options.Format)+":"+f.hash); err != nil {
		return err
	}
	r.report.Resumed, r.skipped = r.mark.Records, r.mark.Skipped
	if r.mark.Complete {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan parsedBatch, 1)
	failed := make(chan error, 1)
	go func() {
		defer close(batches)
		failed <- newParser(f, r.options, r.mark).run(ctx, batches)
	}()
	for b := range batches {
		if err := r.post(ctx, b); err != nil {
			cancel()
			return errors.Join(err, ignoreCancel(<-failed))
		}
		if r.options.Progress != nil {
			r.options.Progress(Progress{r.report.File, b.bytes, f.size, r.report.Resumed + r.report.Rows})
		}
	}
	return <-failed
}

// post writes one batch and reports its bad rows. After the first bad row it posts nothing more, except with KeepGoing,
// but it still reports further bad rows.
func (r *fileRun) post(ctx context.Context, b parsedBatch) error {
	if r.report.BadCount == 0 || r.options.KeepGoing {
		if err := r.append(ctx, b); err != nil {
			return err
		}
	}
	for _, bad := range b.bad {
		r.addBad(bad)
	}
	return nil
}

func (r *fileRun) append(ctx context.Context, b parsedBatch) error {
	mark := r.mark
	appended, err := r.ledger.AppendBatch(ctx, b.txs, r.options.KeepGoing, func(accepted int) store.Mark {
		mark = r.markAfter(b, accepted)
		return mark
	})
	if err != nil {
		return err
	}
	dealtWith := b.dealtWith
	if len(appended.Rejected) > 0 && !r.options.KeepGoing {
		dealtWith = rowCount{mark.Records, mark.Skipped}
	}
	r.report.Rows = dealtWith.rows - r.report.Resumed
	r.report.Skipped = dealtWith.skipped - r.skipped
	r.report.Posted += int64(appended.Posted)
	r.report.Repeated += int64(appended.Repeated)
	r.mark = mark
	for _, rejected := range appended.Rejected {
		r.addBad(BadRow{r.report.File, b.ends[rejected.Index].line, 1, rejected.Err.Error()})
	}
	return nil
}

// markAfter returns the mark of a batch. A mark never passes the first bad row, so that the next run reads that row
// again. The next run recognizes posted transactions behind that row by their transaction_id.
func (r *fileRun) markAfter(b parsedBatch, accepted int) store.Mark {
	mark := r.mark
	switch {
	case r.report.BadCount > 0:
	case accepted == len(b.txs):
		mark.Records, mark.Skipped = b.beforeBad.rows, b.beforeBad.skipped
		mark.Complete = b.last && len(b.bad) == 0
	case accepted > 0:
		end := b.ends[accepted-1]
		mark.Records, mark.Skipped = end.rows, end.skipped
	}
	return mark
}

func (r *fileRun) addBad(bad BadRow) {
	r.report.BadCount++
	if len(r.report.BadRows) < MaxBadRows {
		r.report.BadRows = append(r.report.BadRows, bad)
	}
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
