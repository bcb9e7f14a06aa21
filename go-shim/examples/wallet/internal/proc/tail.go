package proc

import (
	"os"
	"strings"
)

// lastBytes is how much of a log is read for a message.
const lastBytes = 16 << 10

// LastLines returns the last lines of a file, at most n. If the file can't be read, it returns a text that says so.
func LastLines(path string, n int) string {
	file, err := os.Open(path)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	from := max(0, info.Size()-lastBytes)
	text := make([]byte, info.Size()-from)
	read, _ := file.ReadAt(text, from)
	lines := strings.Split(strings.TrimRight(string(text[:read]), "\n"), "\n")
	if from > 0 {
		lines = lines[1:]
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func indent(text string) string {
	if text == "" {
		return "  | (it printed nothing)"
	}
	return "  | " + strings.ReplaceAll(text, "\n", "\n  | ")
}
