package modes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"
)

// DefaultKey is the key in a modes file of the mode of all methods that it does not name.
const DefaultKey = "default"

// authorPrefix begins the first line of a file that Change has written.
const authorPrefix = "# changed by "

// Author returns who changed a modes file last, when, and how, if that was by Change.
func Author(content []byte) string {
	first, _, _ := strings.Cut(string(content), "\n")
	by, _ := strings.CutPrefix(first, authorPrefix)
	if len(by) == len(first) {
		return ""
	}
	return by
}

// Change puts another mode into a modes file, as Edit does, and says in its first line that who did. It returns the mode that
// the file named before; empty if none.
func Change(path, key string, mode Mode, who string, at time.Time) (before string, err error) {
	content, err := Read(path)
	if err != nil {
		return "", err
	}
	named, err := Entries(content)
	if err != nil {
		return "", err
	}
	edited, err := Edit(content, key, mode)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	before = named[key]
	was := before
	if was == "" {
		was = "not named"
	}
	return before, Replace(path, Sign(edited, who, fmt.Sprintf("%s is %s, was %s", key, mode, was), at))
}

// Sign returns the content of a modes file with a first line for Author: who made which change.
func Sign(content []byte, who, change string, at time.Time) []byte {
	if Author(content) != "" {
		_, content, _ = bytes.Cut(content, []byte("\n"))
	}
	line := fmt.Sprintf("%s%s at %s: %s\n", authorPrefix, oneLine(who), at.UTC().Format(time.RFC3339), oneLine(change))
	return append([]byte(line), content...)
}

// oneLine makes a name harmless in a comment.
func oneLine(who string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, who)
}

// Edit returns the content of a modes file with another mode for a method, or for DefaultKey. All other lines stay as they are,
// comments included. It fails if the result would not say that, and nothing else.
func Edit(content []byte, key string, mode Mode) ([]byte, error) {
	before, err := Entries(content)
	if err != nil {
		return nil, err
	}
	if key != DefaultKey && !strings.HasPrefix(key, "/") {
		return nil, fmt.Errorf("%s: must be default, or the full name of a method, such as /package.Service/Method", key)
	}
	edited := put(content, key, mode, before)
	after, err := Entries(edited)
	before[key] = mode.String()
	if err != nil || len(after) != len(before) {
		return nil, ErrUneditable
	}
	for name, value := range before {
		if after[name] != value {
			return nil, ErrUneditable
		}
	}
	return edited, nil
}

// ErrUneditable is the error of Edit if it cannot tell the lines of the file apart.
var ErrUneditable = errors.New("the file is written in a way that cannot be edited: edit it by hand")

// Entries returns the modes that the content of a file names, by method or DefaultKey.
func Entries(content []byte) (map[string]string, error) {
	var f struct {
		Default string            `toml:"default"`
		Methods map[string]string `toml:"methods"`
	}
	if _, err := toml.Decode(string(content), &f); err != nil {
		return nil, err
	}
	named := make(map[string]string, len(f.Methods)+1)
	for name, mode := range f.Methods {
		named[name] = mode
	}
	if f.Default != "" {
		named[DefaultKey] = f.Default
	}
	return named, nil
}

func put(content []byte, key string, mode Mode, named map[string]string) []byte {
	name := key
	if key != DefaultKey {
		name = strconv.Quote(key)
	}
	entry := fmt.Sprintf("%s = %q", name, mode)
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if _, known := named[key]; known {
		if at := lineOf(content, key); at > 0 {
			// A comment behind the value stays.
			if _, comment, found := strings.Cut(lines[at-1], "#"); found {
				entry += " #" + comment
			}
			lines[at-1] = entry
		}
		return joined(lines)
	}
	if key == DefaultKey {
		return joined(append([]string{entry}, lines...))
	}
	for i, line := range lines {
		if strings.TrimSpace(line) == "[methods]" {
			return joined(append(lines[:i+1:i+1], append([]string{entry}, lines[i+1:]...)...))
		}
	}
	return joined(append(lines, "[methods]", entry))
}

func joined(lines []string) []byte {
	return append(bytes.Trim([]byte(strings.Join(lines, "\n")), "\n"), '\n')
}

// Replace puts a file with this content in the place of another, by a rename, so that no reader sees a part of it. The new file has
// the permissions of the old one. A symbolic link stays one: what it leads to is replaced.
func Replace(path string, content []byte) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(info.Mode().Perm()), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
