// Package evidence keeps what a comparison found, as files in a folder:
//
//	mismatch-20261128T101500.123Z-a.B_C.json   a request that the two sides answered differently: see Capture
//	demoted-a.B_C.json                         while it is there, Go answers this method: see Demotion
//
// Whoever may write into the folder may remove either. Other files in it are left alone.
package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"hotpath.dev/go-shim/internal/shadow"
)

const (
	// MaxMessageBytes is the longest request or reply that is kept. A longer one is left out of its capture.
	MaxMessageBytes = 1 << 20
	// version is that of the format.
	version = 1

	capturePrefix, demotionPrefix, suffix = "mismatch-", "demoted-", ".json"
	// maxFileBytes bounds what Read takes: three messages, each as base64 and as JSON, and the rest.
	maxFileBytes = 64 << 20
)

// Errors.
var (
	// ErrFull is the error of Folder.Keep if there are as many captures as may be.
	ErrFull = errors.New("the folder holds as many captures as it may: remove some")
	// ErrNoCapture is the error of Read for other files.
	ErrNoCapture = errors.New("is no capture of this version")
)

// Capture is a request that the two sides answered differently at one position.
type Capture struct {
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	Ledger  string    `json:"ledger"`
	// Method is "/package.Service/Method".
	Method   string `json:"method"`
	Position uint64 `json:"position"`
	// Answered says whose answer the caller got: "go" or "sidecar".
	Answered string  `json:"answered"`
	Request  Message `json:"request"`
	Go       Reply   `json:"go"`
	Sidecar  Reply   `json:"sidecar"`
	// Differences are at most shadow.MaxDifferences.
	Differences []shadow.Difference `json:"differences"`
	// Redacted is true if the service has removed something. Then the bytes are not those that were sent, and may not replay.
	Redacted bool `json:"redacted,omitempty"`
}

// Message is an encoded message, and what it says.
type Message struct {
	// Bytes and JSON are missing if the message is longer than MaxMessageBytes.
	Bytes []byte `json:"bytes"`
	// JSON is the message as protojson writes it; missing if the bytes cannot be decoded.
	JSON json.RawMessage `json:"json,omitempty"`
	// Length is how long the message is, in bytes.
	Length int `json:"length"`
}

// Reply is an answer: a message, or a status.
type Reply struct {
	Message
	// Status is an encoded google.rpc.Status; missing for OK.
	Status []byte `json:"status,omitempty"`
	// Code and Text are those of the status.
	Code string `json:"code"`
	Text string `json:"text,omitempty"`
}

// Demotion says why Go answers a method that the mode would forward.
type Demotion struct {
	Method string    `json:"method"`
	Time   time.Time `json:"time"`
	// Capture is the name of the file with the evidence; empty if it could not be kept.
	Capture string `json:"capture,omitempty"`
	// Field is the first difference.
	Field string `json:"field,omitempty"`
}

// Folder is where they are kept. Its methods may be called from any goroutine.
type Folder struct {
	path string
	most int

	mu   sync.Mutex
	held int
}

// Open makes the folder if need be, for its owner alone. most is how many captures it may hold.
func Open(path string, most int) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	// A folder that cannot be written to must not be found out by the first mismatch.
	probe, err := os.CreateTemp(path, ".probe-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, err
	}
	captures, err := List(path)
	if err != nil {
		return nil, err
	}
	return &Folder{path: path, most: most, held: len(captures)}, nil
}

// Keep writes a capture, and returns the name of its file.
func (f *Folder) Keep(c *Capture) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held >= f.most {
		// Somebody may have removed some.
		captures, err := List(f.path)
		if f.held = len(captures); err != nil || f.held >= f.most {
			return "", errors.Join(ErrFull, err)
		}
	}
	c.Version = version
	stem := capturePrefix + c.Time.UTC().Format("20060102T150405.000Z") + "-" + plain(c.Method)
	name := stem + suffix
	for n := 2; exists(filepath.Join(f.path, name)); n++ {
		name = fmt.Sprintf("%s-%d%s", stem, n, suffix)
	}
	if err := write(filepath.Join(f.path, name), c); err != nil {
		return "", err
	}
	f.held++
	return name, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Demote leaves the mark of a demotion.
func (f *Folder) Demote(d Demotion) error { return write(DemotionPath(f.path, d.Method), d) }

// DemotionPath is where the mark of a method's demotion is. Removing it lifts the demotion.
func DemotionPath(folder, method string) string {
	return filepath.Join(folder, demotionPrefix+plain(method)+suffix)
}

// ReadDemotion reads the mark of a demotion.
func ReadDemotion(path string) (d Demotion, err error) {
	return d, read(path, &d)
}

// plain makes a part of a file's name of a method's name.
func plain(method string) string {
	return strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", "_")
}

// List returns the paths of the captures in a folder, oldest first.
func List(folder string) ([]string, error) { return list(folder, capturePrefix) }

// ListDemotions returns the paths of the marks of demotions in a folder.
func ListDemotions(folder string) ([]string, error) { return list(folder, demotionPrefix) }

func list(folder, prefix string) (paths []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			paths = append(paths, filepath.Join(folder, name))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// Read reads a capture.
func Read(path string) (*Capture, error) {
	var c Capture
	if err := read(path, &c); err != nil {
		return nil, err
	}
	if c.Version != version || !strings.HasPrefix(c.Method, "/") {
		return nil, fmt.Errorf("%s %w", path, ErrNoCapture)
	}
	return &c, nil
}

func read(path string, into any) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() > maxFileBytes:
		return fmt.Errorf("%s %w", path, ErrNoCapture)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s %w: %w", path, ErrNoCapture, err)
	}
	return nil
}

// write puts the whole file into place at once. No file of that name may be open for writing elsewhere.
func write(path string, value any) (err error) {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(append(content, '\n'))
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
