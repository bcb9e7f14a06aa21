package shim

import (
	"time"

	"google.golang.org/protobuf/proto"
)

// Comparison says how the two sides are compared, in modes that compare: Shadow, ReverseShadow, Again, and a Canary with a
// percentage to check. It happens after the caller has its answer, at the position of that answer.
//
// Go is asked by calling the service's own handler, without interceptors, with the context of the request but for its end and
// its deadline, and with x-hotpath-at-position. A handler should say by position.Report at which position it has answered, and
// answer at the position that it is asked for. If it does neither, a request is compared only if Source.Head was the same
// before and after it.
type Comparison struct {
	// Workers compare one request each at a time, 1-64; default 4.
	Workers int
	// Queue is how many requests may wait to be compared, 1-65536; default 1024. QueueBytes is how many bytes they and their
	// answers may have, at least 1; default 32 MiB. Requests beyond are answered, but not compared.
	Queue      int
	QueueBytes int64
	// Timeout is how long each side may take, above 0 and at most a minute; default 1 s.
	Timeout time.Duration
	// Folder is where the shim keeps the evidence of real differences, for hotpathctl explain, and marks of demotions, so that
	// they outlast a restart. The shim makes it, for its owner alone, because it holds what callers ask. Processes that share a
	// folder share demotions. Empty keeps no evidence, and a demotion lasts until the process ends.
	Folder string
	// Captures is how many differences the folder may hold, 1-10000; default 100. Later ones are only counted.
	Captures int
	// Redact, if not nil, removes from a decoded request or reply of a method what must not be kept. It gets copies, and is
	// called for each message that is kept. If it panics, nothing is kept. Redacted captures may not replay.
	Redact func(method string, message proto.Message)
	// KeepForwarding leaves a method's mode as it is when the sidecar answers differently than Go. By default a single such
	// answer demotes the method: Go answers it, and the comparisons go on.
	KeepForwarding bool
}

func (c Comparison) withDefaults() Comparison {
	set(&c.Workers, 4)
	set(&c.Queue, 1024)
	set(&c.QueueBytes, 32<<20)
	set(&c.Timeout, time.Second)
	set(&c.Captures, 100)
	return c
}

func (c *Comparison) validate(m *mistakes) {
	m.check(c.Workers >= 1 && c.Workers <= 64, "Comparison.Workers", "must be 1-64")
	m.check(c.Queue >= 1 && c.Queue <= 1<<16, "Comparison.Queue", "must be 1-65536")
	m.check(c.QueueBytes >= 1, "Comparison.QueueBytes", "must be at least 1")
	m.check(c.Timeout > 0 && c.Timeout <= time.Minute, "Comparison.Timeout", "must be above zero and at most a minute")
	m.check(c.Captures >= 1 && c.Captures <= 10_000, "Comparison.Captures", "must be 1-10000")
}
