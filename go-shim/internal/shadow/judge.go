package shadow

import (
	"bytes"
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// finding is the outcome of one comparison. If drop is set, there is none.
type finding struct {
	class               Class
	drop                Drop
	fromGo, fromSidecar Answer
	differences         []Difference
}

func dropped(why Drop) finding { return finding{drop: why} }

// judge asks whoever has to be asked.
func (c *Comparer) judge(j *Job) finding {
	at := j.First.Position
	switch j.Kind {
	case Forward:
		said, why := c.ask(j, at, c.cfg.Sides.Sidecar)
		f := finding{fromGo: j.First, fromSidecar: said}
		switch {
		case why != none:
			return dropped(why)
		case !atPosition(said, at):
			f.class = Stale
		default:
			c.decide(j, &f, at)
		}
		return f
	case Reverse:
		said, why := c.ask(j, at, c.cfg.Sides.Go)
		f := finding{fromGo: said, fromSidecar: j.First}
		switch {
		case why != none:
			return dropped(why)
		case !atPosition(said, at):
			return dropped(PositionUnknown)
		}
		c.decide(j, &f, at)
		return f
	default:
		said, why := c.ask(j, at, c.cfg.Sides.Go)
		f := finding{fromGo: j.First}
		switch {
		case why != none:
			return dropped(why)
		case !atPosition(said, at):
			return dropped(PositionUnknown)
		case !c.same(j, j.First, said):
			f.class = Moved
		}
		return f
	}
}

// atPosition says whether an answer is about a position. Whether arguments are valid depends on none.
func atPosition(a Answer, at uint64) bool {
	return a.Position == at || a.Status.GetCode() == int32(codes.InvalidArgument)
}

// decide classifies two answers. If they differ, Go has to confirm what it said.
func (c *Comparer) decide(j *Job, f *finding, at uint64) {
	if c.same(j, f.fromGo, f.fromSidecar) {
		if f.fromGo.Metadata {
			f.class = Metadata
		}
		return
	}
	confirmed, why := c.ask(j, at, c.cfg.Sides.Go)
	switch {
	case why != none:
		f.drop = why
	case !atPosition(confirmed, at), !c.same(j, f.fromGo, confirmed):
		f.class = Moved
	default:
		f.class, f.differences = Real, c.differences(j, f.fromGo, f.fromSidecar)
	}
}

// same compares bytes, and decodes only if they differ: maps have no order, and encoders may differ.
func (c *Comparer) same(j *Job, a, b Answer) bool {
	if a.Status != nil || b.Status != nil {
		return a.Status != nil && b.Status != nil && proto.Equal(a.Status, b.Status)
	}
	if bytes.Equal(a.Body, b.Body) {
		return true
	}
	one, other, ok := c.decoded(j, a, b)
	return ok && proto.Equal(one, other)
}

func (c *Comparer) decoded(j *Job, a, b Answer) (one, other proto.Message, ok bool) {
	one, other = c.cfg.Sides.NewReply(j.Method), c.cfg.Sides.NewReply(j.Method)
	return one, other, proto.Unmarshal(a.Body, one) == nil && proto.Unmarshal(b.Body, other) == nil
}

// differences lists where the answers differ.
func (c *Comparer) differences(j *Job, fromGo, fromSidecar Answer) []Difference {
	if fromGo.Status != nil || fromSidecar.Status != nil {
		return statusDifferences(fromGo.Status, fromSidecar.Status)
	}
	one, other, ok := c.decoded(j, fromGo, fromSidecar)
	if !ok {
		return []Difference{{Path: undecodable, Field: undecodable, Go: length(fromGo.Body), Sidecar: length(fromSidecar.Body)}}
	}
	return Differences(one, other)
}

// equalFloats is equality as proto.Equal has it: NaN equals NaN.
func equalFloats(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
