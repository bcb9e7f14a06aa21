package importer

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// parser turns the rows of one file into batches of valid transactions. It reads ahead of the store.
type parser struct {
	file    *file
	options Options
	resume  store.Mark
	mapping mapping
	columns []int

	batch parsedBatch
	open  *group
	// read counts the rows read, and dealtWith those of finished groups. beforeBad is dealtWith before the first bad
	// row.
	read      int64
	dealtWith rowCount
	beforeBad rowCount
	bad       int
}

type parsedBatch struct {
	txs       []*walletv1.Transaction
	ends      []txEnd
	bad       []BadRow
	dealtWith rowCount
	beforeBad rowCount
	bytes     int64
	last      bool
}

type rowCount struct{ rows, skipped int64 }

// txEnd holds the line where a transaction starts, and how many rows are dealt with once it is posted.
type txEnd struct {
	line int
	rowCount
}

// group holds the rows of one transaction.
type group struct {
	tx     *walletv1.Transaction
	places []place
	skip   bool
	bad    *BadRow
}

// place says where a row is in the file. It has columns only in a grouped format.
type place struct {
	line    int
	columns []int
}

func newParser(f *file, options Options, mark store.Mark) *parser {
	return &parser{file: f, options: options, resume: mark, mapping: mappings[options.Format]}
}

// run sends batches until the file ends or has too many bad rows. The last batch has last set.
func (p *parser) run(ctx context.Context, batches chan<- parsedBatch) (err error) {
	if p.columns, err = p.file.indexOf(p.mapping.columns, p.mapping.foreign); err != nil {
		return err
	}
	if err := p.skipDone(); err != nil {
		return err
	}
	for !p.batch.last {
		if err := p.step(); err != nil {
			return err
		}
		if len(p.batch.txs) < p.options.BatchSize && !p.batch.last {
			continue
		}
		p.batch.dealtWith, p.batch.beforeBad, p.batch.bytes = p.dealtWith, p.beforeBad, p.file.read.Load()
		select {
		case batches <- p.batch:
		case <-ctx.Done():
			return ctx.Err()
		}
		p.batch = parsedBatch{last: p.batch.last}
	}
	return nil
}

func (p *parser) skipDone() error {
	for ; p.read < p.resume.Records; p.read++ {
		if _, err := p.file.rows.Read(); err != nil {
			return p.readError(err)
		}
	}
	p.dealtWith = rowCount{p.resume.Records, p.resume.Skipped}
	p.beforeBad = p.dealtWith
	return nil
}

// step reads one row, or notes the end of the file.
func (p *parser) step() error {
	fields, err := p.file.rows.Read()
	var broken *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		p.finish()
		p.batch.last = true
		return nil
	case errors.As(err, &broken):
		p.finish()
		p.read++
		p.open = &group{bad: &BadRow{p.file.name, broken.Line, broken.Column, broken.Err.Error()}}
		p.finish()
		return nil
	case err != nil:
		return p.readError(err)
	}
	r := row{file: p.file, mapping: &p.mapping, columns: p.columns, fields: fields}
	if p.open != nil && p.open.tx.GetTransactionId() != p.mapping.id(&r) {
		p.finish()
	}
	p.read++
	if p.open == nil {
		p.open = new(group)
	}
	p.mapping.add(p.open, &r)
	p.open.places = append(p.open.places, r.place())
	if p.open.bad == nil {
		p.open.bad = r.bad
	}
	if !p.mapping.grouped {
		p.finish()
	}
	return nil
}

// finish ends the open group. The group becomes a transaction or a bad row of the batch, or counts as skipped.
func (p *parser) finish() {
	g := p.open
	if g == nil {
		return
	}
	p.open = nil
	if g.bad == nil && !g.skip {
		g.bad = p.validate(g)
	}
	if g.bad != nil {
		p.bad++
		p.batch.bad = append(p.batch.bad, *g.bad)
		p.batch.last = p.batch.last || p.bad >= MaxBadRows && !p.options.KeepGoing
	}
	if p.bad > 0 && !p.options.KeepGoing {
		return
	}
	p.dealtWith.rows = p.read
	if g.skip {
		p.dealtWith.skipped++
	}
	if p.bad == 0 {
		p.beforeBad = p.dealtWith
	}
	if g.bad == nil && !g.skip {
		p.batch.txs = append(p.batch.txs, g.tx)
		p.batch.ends = append(p.batch.ends, txEnd{g.places[0].line, p.dealtWith})
	}
}

// validate applies the ledger's rules. It returns the column that breaks one, or nil.
func (p *parser) validate(g *group) *BadRow {
	err := ledger.Validate(g.tx)
	if err == nil {
		return nil
	}
	bad := &BadRow{p.file.name, g.places[0].line, 1, err.Error()}
	var verdict *ledger.Error
	if !errors.As(err, &verdict) {
		return bad
	}
	place := g.places[0]
	var entry int
	if n, _ := fmt.Sscanf(verdict.Field, "entries[%d]", &entry); n == 1 && p.mapping.grouped {
		place = g.places[entry]
	}
	field := verdict.Field[strings.LastIndexByte(verdict.Field, '.')+1:]
	if i := slices.Index(p.mapping.columns, p.mapping.fieldColumns[field]); i >= 0 {
		bad.Line, bad.Rule = place.line, p.mapping.columns[i]+": "+verdict.Rule
		bad.Column = p.columnAt(place, i)
	}
	return bad
}

// columnAt returns the column of field i in the line of the file. The CSV reader keeps this only for its last row. In a
// grouped format that is another row by now, so the place has the columns.
func (p *parser) columnAt(at place, i int) int {
	if p.mapping.grouped {
		return at.columns[i]
	}
	_, column := p.file.rows.FieldPos(p.columns[i])
	return column
}

func (p *parser) readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
		return fmt.Errorf("%w: the file is cut short or damaged after row %d: %w", ErrBadData, p.read, err)
	}
	return err
}
