package adopting

import (
	"errors"
	"fmt"
	"strings"
)

// kind is what a reader does with a block of the page.
type kind string

const (
	// file: writes it.
	file kind = "file"
	// patch: changes a file by it.
	patch kind = "patch"
	// run: runs it, and waits for its end.
	run kind = "run"
	// serve: runs it in another terminal.
	serve kind = "serve"
	// output: compares it with what the block before printed.
	output kind = "output"
)

// block is a fenced block of the page.
type block struct {
	kind kind
	// path is that of a file or a patch.
	path string
	text string
	// line is that of its fence.
	line int
}

// errPage is wrapped by mistakes of the page.
var errPage = errors.New("docs/adopting.md")

// blocks reads a page. What is behind the language of a fence says what the block is: a path is a file's, "background" a
// command of another terminal. A language alone is a command (sh) or an output (text).
func blocks(page string) ([]block, error) {
	var all []block
	var open *block
	var lines []string
	for at, line := range strings.Split(page, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open == nil && isFence:
			one, err := begun(fence)
			if err != nil {
				return nil, fmt.Errorf("%w:%d: %w", errPage, at+1, err)
			}
			one.line = at + 1
			open, lines = &one, nil
		case open != nil && isFence:
			open.text = strings.Join(lines, "\n") + "\n"
			all, open = append(all, *open), nil
		case open != nil:
			lines = append(lines, line)
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%w:%d: the block has no end", errPage, open.line)
	}
	return all, nil
}

func begun(fence string) (block, error) {
	language, rest, _ := strings.Cut(fence, " ")
	switch {
	case language == "sh" && rest == "":
		return block{kind: run}, nil
	case language == "sh" && rest == "background":
		return block{kind: serve}, nil
	case language == "text" && rest == "":
		return block{kind: output}, nil
	case language == "diff" && rest != "":
		return block{kind: patch, path: rest}, nil
	case language != "" && rest != "":
		return block{kind: file, path: rest}, nil
	default:
		return block{}, fmt.Errorf("a fence %q says neither a file nor a command nor an output", fence)
	}
}
