package importer

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// row reads the fields of one CSV record by their index in mapping.columns, and remembers the first invalid one.
type row struct {
	file    *file
	mapping *mapping
	columns []int
	fields  []string
	bad     *BadRow
}

func (r *row) place() place {
	line, _ := r.file.rows.FieldPos(0)
	at := place{line: line}
	if r.mapping.grouped {
		for _, i := range r.columns {
			_, column := r.file.rows.FieldPos(i)
			at.columns = append(at.columns, column)
		}
	}
	return at
}

func (r *row) reject(i int, rule string) {
	if r.bad == nil {
		line, column := r.file.rows.FieldPos(r.columns[i])
		r.bad = &BadRow{r.file.name, line, column, r.mapping.columns[i] + ": " + rule}
	}
}

func (r *row) text(i int) string { return r.fields[r.columns[i]] }

// label returns free text. It must be UTF-8, because protobuf strings are.
func (r *row) label(i int) string {
	s := r.text(i)
	if !utf8.ValidString(s) {
		r.reject(i, "must be UTF-8")
	}
	return s
}

func (r *row) integer(i int) int64 {
	v, err := strconv.ParseInt(r.text(i), 10, 64)
	if err != nil {
		r.reject(i, "must be a whole number of minor units")
	}
	return v
}

// date returns the midnight, UTC, of a date YYYY-MM-DD, in Unix microseconds.
func (r *row) date(i int) int64 {
	t, err := time.Parse(time.DateOnly, r.text(i))
	if err != nil {
		r.reject(i, "must be a date such as 2010-12-31")
	}
	return t.UnixMicro()
}

// instant returns the Unix microseconds of an RFC 3339 time, a date, or a number of microseconds since the epoch.
func (r *row) instant(i int) int64 {
	text := r.text(i)
	if us, err := strconv.ParseInt(text, 10, 64); err == nil {
		return us
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMicro()
		}
	}
	r.reject(i, "must be RFC 3339, a date such as 2010-12-31, or microseconds since 1970")
	return 0
}
