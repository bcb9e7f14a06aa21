package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/machine"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// These are the files with the figures.
const (
	reportFile  = "ingest.json"
	commitsFile = "commits.csv"
)

// report is everything that is written, but for single commits.
type report struct {
	Facts   facts           `json:"facts"`
	Goals   goals           `json:"goals"`
	Ledger  skew            `json:"ledger"`
	Fill    *fillFigures    `json:"fill,omitempty"`
	Busy    *busyFigures    `json:"busy,omitempty"`
	Live    *liveFigures    `json:"live,omitempty"`
	Churn   *churnFigures   `json:"churn,omitempty"`
	Offload *offloadFigures `json:"offload,omitempty"`
	// Tool is the memory of this program.
	Tool proc.Memory `json:"tool"`
	// Checked is the number of balances that were compared, and Wrong says what differed.
	Checked int    `json:"checked_balances"`
	Wrong   string `json:"wrong,omitempty"`
}

// facts are what the figures depend on.
type facts struct {
	Date    string          `json:"date"`
	Commit  string          `json:"commit"`
	Seed    uint64          `json:"seed"`
	Flags   flags           `json:"flags"`
	Machine machine.Machine `json:"machine"`
}

// flags are the settings that change figures.
type flags struct {
	Entries        int `json:"entries"`
	BusyEntries    int `json:"busy_entries"`
	Rate           int `json:"rate"`
	Seconds        int `json:"seconds"`
	Readers        int `json:"readers"`
	ReadRate       int `json:"read_rate"`
	SampleEvery    int `json:"sample_every"`
	Rounds         int `json:"rounds"`
	RoundQuestions int `json:"round_questions"`
}

func factsOf(ctx context.Context, c config) facts {
	return facts{
		Date: time.Now().UTC().Format(time.DateOnly), Commit: machine.Commit(ctx, "."), Seed: c.seed,
		Flags:   flags{c.entries, c.busyEntries, c.rate, c.seconds, c.readers, c.readRate, c.every, c.rounds, c.questions},
		Machine: machine.This("", c.hotpathd),
	}
}

// goals are what hotpathd is meant to reach. They stand beside the figures and decide nothing.
type goals struct {
	// Entries per CPU second of the writer while readers run: at least, and hoped for.
	WriterLeast float64 `json:"entries_per_cpu_second_of_the_writer"`
	WriterBest  float64 `json:"entries_per_cpu_second_of_the_writer_hoped_for"`
	// In microseconds.
	Publication float64 `json:"publication_p99_us"`
	Visible     float64 `json:"commit_to_visible_p99_us"`
	// Resident bytes per entry: at most, and hoped for.
	BytesMost float64 `json:"resident_bytes_per_entry"`
	BytesBest float64 `json:"resident_bytes_per_entry_hoped_for"`
	// Resident bytes that expensive questions may leave behind after the second round.
	Offload int64 `json:"offload_growth_bytes"`
}

var theGoals = goals{
	WriterLeast: 500_000, WriterBest: 1_000_000, Publication: 2_000, Visible: 2_000, BytesMost: 48, BytesBest: 32, Offload: 2_000_000,
}

// write writes the figures into a folder.
func (r *report) write(out string) error {
	files := map[string]func(io.Writer) error{reportFile: r.json}
	if r.Live != nil {
		files[commitsFile] = r.Live.csv
	}
	for name, content := range files {
		file, err := os.Create(filepath.Join(out, name))
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if err := errors.Join(content(file), file.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *report) json(to io.Writer) error {
	lines := json.NewEncoder(to)
	lines.SetIndent("", "  ")
	return lines.Encode(r)
}

// csv writes a row for each commit that a follower saw.
func (f *liveFigures) csv(to io.Writer) error {
	rows := [][]string{{"position", "seconds", "begun_us", "visible_us", "again_us"}}
	us := func(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e3, 'f', 1, 64) }
	for _, one := range f.seen {
		rows = append(rows, []string{
			strconv.FormatUint(one.position, 10), strconv.FormatFloat(one.at.Sub(f.seen[0].at).Seconds(), 'f', 3, 64),
			us(one.begun), us(one.visible), us(one.again),
		})
	}
	return csv.NewWriter(to).WriteAll(rows)
}
