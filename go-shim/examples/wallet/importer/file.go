package importer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
)

// file is an open CSV file whose header has been read.
type file struct {
	name    string
	size    int64
	hash    string
	raw     *os.File
	read    atomic.Int64
	rows    *csv.Reader
	columns []string
}

func openFile(name string) (*file, error) {
	raw, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoInput, err)
	}
	f := &file{name: name, raw: raw}
	if err := f.start(); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return f, nil
}

func (f *file) start() error {
	hash := sha256.New()
	var err error
	if f.size, err = io.Copy(hash, f.raw); err != nil {
		return fmt.Errorf("%w: %w", ErrNoInput, err)
	}
	f.hash = hex.EncodeToString(hash.Sum(nil))
	if _, err := f.raw.Seek(0, io.SeekStart); err != nil {
		return err
	}
	text, err := uncompress(bufio.NewReaderSize(f, 1<<18))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadData, err)
	}
	f.rows = csv.NewReader(bufio.NewReaderSize(text, 1<<18))
	header, err := f.rows.Read()
	if err != nil {
		return fmt.Errorf("%w: the header cannot be read: %w", ErrBadData, err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // spreadsheets often write a byte order mark
	f.columns = header
	f.rows.ReuseRecord = true
	return nil
}

// Read counts the bytes of the file itself, not the uncompressed ones, because only their total is known beforehand.
func (f *file) Read(b []byte) (int, error) {
	n, err := f.raw.Read(b)
	f.read.Add(int64(n))
	return n, err
}

func (f *file) close() { _ = f.raw.Close() }

// uncompress recognizes gzip by the first bytes, not by the file's name.
func uncompress(r *bufio.Reader) (io.Reader, error) {
	magic, _ := r.Peek(2)
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return r, nil
	}
	return gzip.NewReader(r)
}

// indexOf returns the indexes of the columns that a format needs. It fails if one is missing, or if the file has a
// column of another format.
func (f *file) indexOf(needed, foreign []string) ([]int, error) {
	for _, name := range foreign {
		if slices.Contains(f.columns, name) {
			return nil, fmt.Errorf("%w: the header has %s; is it the right --format?", ErrBadData, name)
		}
	}
	var missing []string
	found := make([]int, len(needed))
	for i, name := range needed {
		found[i] = slices.Index(f.columns, name)
		if found[i] < 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: the header lacks %s; is it the right --format?", ErrBadData, strings.Join(missing, ", "))
	}
	return found, nil
}
