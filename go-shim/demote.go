package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/internal/evidence"
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/shadow"
)

// This file is about real differences: the sidecar has answered otherwise than Go.
//
//	Real ──> the field's counter, a line in the log ──> a capture in the folder ──> the mark of a demotion there
//	                                                                                   │ (in memory without a folder)
//	         watchDemotions <── somebody removes the mark, or another process makes one ┘

// openEvidence opens the folder, and reads which methods are demoted.
func (s *Side) openEvidence() error {
	s.switches.demoted, s.switches.marked = make([]bool, len(s.methods)), make([]bool, len(s.methods))
	if s.cfg.Comparison.Folder == "" {
		return nil
	}
	folder, err := evidence.Open(s.cfg.Comparison.Folder, s.cfg.Comparison.Captures)
	if err != nil {
		return errors.Join(ErrConfig, fmt.Errorf("Comparison.Folder: %w", err))
	}
	s.evidence = folder
	for i, m := range s.methods {
		there, err := modes.IsThere(evidence.DemotionPath(s.cfg.Comparison.Folder, m.name))
		if err != nil {
			return errors.Join(ErrConfig, fmt.Errorf("Comparison.Folder: %w", err))
		}
		s.switches.demoted[i], s.switches.marked[i] = there, there
	}
	return nil
}

func (s *Side) isDemoted(i int) bool {
	s.switches.mu.Lock()
	defer s.switches.mu.Unlock()
	return s.switches.demoted[i]
}

// watchDemotions looks for marks that somebody removes, or that another process makes. A demotion whose mark could not be
// written stays.
func (s *Side) watchDemotions(ctx context.Context) {
	ticker := time.NewTicker(min(s.cfg.ModesPoll, mostKillPoll))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for i := range s.methods {
			s.lookForMark(i)
		}
	}
}

func (s *Side) lookForMark(i int) {
	s.switches.mu.Lock()
	defer s.switches.mu.Unlock()
	path := evidence.DemotionPath(s.cfg.Comparison.Folder, s.methods[i].name)
	there, err := modes.IsThere(path)
	switch {
	case err != nil:
		s.quiet.Warn("demotions", "it cannot be seen whether a method is demoted; it stays as it is", "method", s.methods[i].name, "error", err)
	case there != s.switches.marked[i]:
		s.switches.marked[i], s.switches.demoted[i] = there, there
		s.log.Warn("the mark of a demotion has come or gone", "method", s.methods[i].name, "demoted", there, "path", path)
		s.applyModes("mark of a demotion " + path)
	}
}

// Real implements shadow.Observer.
func (c *comparer) Real(found *shadow.Mismatch) {
	m, s := c.side.methods[found.Method], c.side
	for _, difference := range found.Differences {
		m.metrics.Compared.Field(difference.Field)
	}
	d := evidence.Demotion{Method: m.name, Time: time.Now().UTC(), Field: fieldOf(found), Capture: m.keep(found)}
	s.quiet.Log(slog.LevelError, "real "+m.name, "the sidecar answers differently than Go at the same position", "method", m.name,
		"position", found.First.Position, "field", d.Field, "differences", len(found.Differences), "capture", d.Capture)
	if !s.cfg.Comparison.KeepForwarding {
		m.demote(d)
	}
}

// keep returns the name of the file with the evidence, or nothing if it could not be kept.
func (m *method) keep(found *shadow.Mismatch) (name string) {
	if m.side.evidence == nil {
		return ""
	}
	defer func() {
		if cause := recover(); cause != nil {
			m.side.quiet.Warn("redact", "Comparison.Redact panicked; the evidence is not kept", "method", m.name, "panic", cause)
			name = ""
		}
	}()
	name, err := m.side.evidence.Keep(m.capture(found))
	if err != nil {
		m.side.quiet.Warn("evidence", "the evidence of a difference could not be kept", "method", m.name, "error", err)
	}
	return name
}

// demote has Go answer the method from now on.
func (m *method) demote(d evidence.Demotion) {
	s := m.side
	s.switches.mu.Lock()
	defer s.switches.mu.Unlock()
	if s.switches.demoted[m.index] {
		return
	}
	s.switches.demoted[m.index] = true
	s.applyModes("a real difference")
	m.metrics.Compared.Demoted()
	s.log.Error("a method is demoted: Go answers it until the demotion is lifted", "method", m.name, "field", d.Field, "capture", d.Capture)
	if s.evidence == nil {
		return
	}
	if err := s.evidence.Demote(d); err != nil {
		s.log.Error("the mark of a demotion could not be written: the demotion lasts until the process ends", "method", m.name, "error", err)
		return
	}
	s.switches.marked[m.index] = true
}

func fieldOf(found *shadow.Mismatch) string {
	if len(found.Differences) == 0 {
		return ""
	}
	return found.Differences[0].Field
}

// capture makes the evidence of a difference, without what the service wants removed.
func (m *method) capture(found *shadow.Mismatch) *evidence.Capture {
	answered := "go"
	if found.Kind == shadow.Reverse {
		answered = "sidecar"
	}
	redacted := m.side.cfg.Comparison.Redact != nil
	c := &evidence.Capture{
		Time: time.Now().UTC(), Ledger: m.side.source.LedgerID(), Method: m.name, Position: found.First.Position, Answered: answered,
		Request: m.message(found.Request, m.newRequest()), Go: m.reply(&found.Go), Sidecar: m.reply(&found.Sidecar), Redacted: redacted,
	}
	c.Differences = found.Differences
	if redacted {
		// The values of differences are of the replies as they were.
		c.Differences = nil
		for _, difference := range found.Differences {
			c.Differences = append(c.Differences, shadow.Difference{Path: difference.Path, Field: difference.Field})
		}
	}
	return c
}

func (m *method) reply(a *shadow.Answer) evidence.Reply {
	if a.Status == nil {
		return evidence.Reply{Message: m.message(a.Body, m.newReply()), Code: codes.OK.String()}
	}
	reply := evidence.Reply{Code: codes.Code(a.Status.GetCode()).String()}
	if m.side.cfg.Comparison.Redact == nil {
		reply.Text = a.Status.GetMessage()
		reply.Status, _ = proto.Marshal(a.Status)
	}
	return reply
}

// message keeps an encoded message. into is an empty one of its type.
func (m *method) message(body []byte, into proto.Message) evidence.Message {
	kept := evidence.Message{Length: len(body)}
	if len(body) > evidence.MaxMessageBytes {
		return kept
	}
	redact := m.side.cfg.Comparison.Redact
	if err := proto.Unmarshal(body, into); err != nil {
		if redact == nil {
			kept.Bytes = body
		}
		return kept
	}
	if redact != nil {
		redact(m.name, into)
		body, _ = proto.Marshal(into)
	}
	kept.Bytes = body
	if text, err := protojson.Marshal(into); err == nil {
		kept.JSON = json.RawMessage(text)
	}
	return kept
}
