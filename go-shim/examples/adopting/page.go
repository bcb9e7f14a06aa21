package adopting

import (
	"errors"
	"fmt"
	"strings"
)

// kind is what a reader does with a block of the page.
type kind string

const (
	// file: the reader writes it.
	file kind = "file"
	// patch: the reader applies it to a file.
	patch kind = "patch"
	// run: the reader runs it and waits until it ends.
	run kind = "run"
	// serve: the reader starts it in another terminal.
	serve kind = "serve"
	// output: the reader compares it with what the command before it printed.
	output kind = "output"
)

// block is a fenced block of the page.
type block struct {
	kind kind
	// path is set for a file or a patch.
	path string
	text string
	// line is the number of the line with the opening fence.
	line int
}

// errPage is wrapped by every error about the page.
var errPage = errors.New("docs/adopting.md")

// blocks returns the fenced blocks of a page. The text behind a fence's language says what the block is: after diff,
// the path of the file to patch; after sh, "background" for a command of another terminal; otherwise the path of a file
// to write. Without such text the block is a command (sh) or an output (text).
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
