package ask

import (
	"fmt"
	"os"
	"path/filepath"
)

// Sample is a question with an answer to compare with.
type Sample struct {
	Question Question
	Answer   Answer
}

// Difference holds two answers that should have been equal.
type Difference struct {
	Sample
	Again Answer
	What  string
	// First and Second say who gave the answers.
	First, Second string
}

// Differences saves the first few differences as files. It is not safe for concurrent use.
type Differences struct {
	Dir string
	// Problem is the reason why a difference could not be saved, or nil.
	Problem error
	saved   int
}

// mostSaved is the largest number of differences that are saved.
const mostSaved = 20

// Save saves a difference, unless enough are saved.
func (d *Differences) Save(one Difference) {
	if d.saved == mostSaved {
		return
	}
	d.saved++
	dir := filepath.Join(d.Dir, fmt.Sprintf("%02d-%s", d.saved, Name(one.Question.Method)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.Problem = err
		return
	}
	about := fmt.Sprintf("%s answered first, %s was then asked at position %d.\n%s\n",
		one.First, one.Second, one.Answer.Position, one.What)
	for name, content := range map[string]string{
		"about.txt":                about,
		"question.bin":             string(one.Question.Request),
		"question.txt":             one.Question.Text(),
		"1-" + one.First + ".bin":  string(one.Answer.Reply),
		"1-" + one.First + ".txt":  one.Question.AnswerText(one.Answer),
		"2-" + one.Second + ".bin": string(one.Again.Reply),
		"2-" + one.Second + ".txt": one.Question.AnswerText(one.Again),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			d.Problem = err
		}
	}
}
