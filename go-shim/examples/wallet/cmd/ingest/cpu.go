package main

import (
	"os"
	"strings"

	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// cpu is CPU time in seconds, by who used it. The kernel counts it in hundredths.
type cpu struct {
	// Writer applies events and publishes versions. Decoding is the main thread: it receives and decodes the feed, and
	// serves little else. Chores merges histories. Serving are the threads that serve connections.
	Writer   float64 `json:"writer"`
	Decoding float64 `json:"decoding"`
	Chores   float64 `json:"chores"`
	Serving  float64 `json:"serving"`
	// Other are all other threads of hotpathd, and those that have ended.
	Other float64 `json:"other"`
	// Hotpathd is all of hotpathd, and Tool is this program: the source, the shim, the readers.
	Hotpathd float64 `json:"hotpathd"`
	Tool     float64 `json:"tool"`
}

// usedBy reads the CPU time of a hotpathd and of this program.
func usedBy(pid int) (cpu, error) {
	threads, err := proc.Threads(pid)
	if err != nil {
		return cpu{}, err
	}
	whole, err := proc.CPU(pid)
	if err != nil {
		return cpu{}, err
	}
	tool, err := proc.CPU(os.Getpid())
	if err != nil {
		return cpu{}, err
	}
	used := cpu{Hotpathd: whole.Seconds(), Tool: tool.Seconds()}
	used.threads(pid, threads)
	return used, nil
}

func (c *cpu) threads(pid int, threads []proc.Thread) {
	for _, one := range threads {
		seconds := one.CPU.Seconds()
		switch {
		case one.ID == pid:
			c.Decoding += seconds
		case one.Name == "writer":
			c.Writer += seconds
		case one.Name == "chores":
			c.Chores += seconds
		case strings.HasPrefix(one.Name, "core-"):
			c.Serving += seconds
		}
	}
	c.Other = max(c.Hotpathd-c.Writer-c.Decoding-c.Chores-c.Serving, 0)
}

// since is what was used since an earlier reading.
func (c cpu) since(before cpu) cpu {
	return cpu{
		Writer: c.Writer - before.Writer, Decoding: c.Decoding - before.Decoding, Chores: c.Chores - before.Chores,
		Serving: c.Serving - before.Serving, Other: c.Other - before.Other, Hotpathd: c.Hotpathd - before.Hotpathd,
		Tool: c.Tool - before.Tool,
	}
}

// per divides, and is zero if there was too little time to be measured.
func per(n int, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}
