package modes

import (
	"bytes"
	"errors"
	"os"
	"slices"

	"github.com/BurntSushi/toml"
)

// maxFileBytes bounds what is read if the path names a wrong file.
const maxFileBytes = 1 << 20

// file accepts values of any type, because the decoder's own type errors name no line.
type file struct {
	Default any `toml:"default"`
	Methods any `toml:"methods"`
}

// Load reads a file such as
//
//	default = "sidecar"
//	[methods]
//	"/wallet.v1.WalletService/GetBalance" = "legacy"
//
// before holds the modes of methods that the file does not name, if it names no default. A file that names neither a default nor a method is a mistake:
// `: > FILE` or a crash leaves such a file behind, and it must not undo the modes in force. The error joins all
// Mistakes.
func Load(path string, methods []string, before Table) (Table, error) {
	content, err := Read(path)
	if err != nil {
		return nil, err
	}
	return parse(path, content, methods, before)
}

// Read reads a modes file, of at most 1 MiB.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil, &Mistake{Path: path, Rule: "must be a regular file of at most 1 MiB"}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return content, nil
}

func parse(path string, content []byte, methods []string, before Table) (Table, error) {
	var f file
	meta, err := toml.Decode(string(content), &f)
	if err != nil {
		return nil, syntaxMistake(path, err)
	}
	var mistakes []error
	report := func(key, rule string) {
		mistakes = append(mistakes, &Mistake{path, lineOf(content, key), key, rule})
	}
	for _, key := range meta.Undecoded() {
		if key[0] == "methods" {
			continue // judged below
		}
		report(key[len(key)-1], "is not a known key: use default and [methods]")
	}
	if f.Default != nil {
		usual, err := parseAny(f.Default)
		if err != nil {
			report("default", err.Error())
		}
		before = Uniform(len(methods), usual)
	}
	named, isTable := f.Methods.(map[string]any)
	if f.Methods != nil && !isTable {
		report("methods", "must be a table: [methods]")
	}
	table := slices.Clone(before)
	for _, key := range meta.Keys() {
		if len(key) != 2 || key[0] != "methods" {
			continue
		}
		mode, err := parseAny(named[key[1]])
		if err != nil {
			report(key[1], err.Error())
		}
		if i := slices.Index(methods, key[1]); i >= 0 {
			table[i] = mode
		} else {
			report(key[1], "is not one of the hot methods")
		}
	}
	if len(mistakes) == 0 && f.Default == nil && len(named) == 0 {
		return nil, &Mistake{Path: path, Rule: "says nothing: it must name a default, or a method under [methods]"}
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return table, nil
}

func parseAny(value any) (Mode, error) {
	text, isString := value.(string)
	if !isString {
		return 0, ErrUnknownMode
	}
	return Parse(text)
}

func syntaxMistake(path string, err error) error {
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return &Mistake{path, syntax.Position.Line, syntax.LastKey, syntax.Message}
	}
	return &Mistake{Path: path, Rule: err.Error()}
}

// lineOf searches for the line of a key, because the decoder does not keep it. It returns 0 if it finds none.
func lineOf(content []byte, key string) int {
	for i, line := range bytes.Split(content, []byte("\n")) {
		name, _, found := bytes.Cut(line, []byte("="))
		if !found {
			name = bytes.Trim(bytes.TrimSpace(name), "[]")
		}
		if string(bytes.Trim(bytes.TrimSpace(name), `"'`)) == key {
			return i + 1
		}
	}
	return 0
}
