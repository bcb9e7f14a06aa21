package wire

import (
	"encoding/binary"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/h2"
)

// maxHeaderBytes bounds a header block.
const maxHeaderBytes = 64 << 10

// frame handles one whole frame. An error ends the connection.
func (c *Conn) frame(f h2.Frame, payload []byte) error {
	if c.headersOf.Stream != 0 && (f.Type != h2.Continuation || f.Stream != c.headersOf.Stream) {
		return violated(h2.ProtocolError, "%v amid a header block", f.Type)
	}
	switch f.Type {
	case h2.Data:
		return c.data(f, payload)
	case h2.Headers:
		block, err := h2.Payload(f, payload)
		if err != nil {
			return err
		}
		c.headersOf, c.block = f, append(c.block[:0], block...)
		return c.headers(f)
	case h2.Continuation:
		if c.headersOf.Stream == 0 || len(c.block)+len(payload) > maxHeaderBytes {
			return violated(h2.ProtocolError, "CONTINUATION of nothing, or of too much")
		}
		c.block = append(c.block, payload...)
		return c.headers(f)
	case h2.PushPromise:
		return violated(h2.ProtocolError, "a push")
	}
	return c.controlFrame(f, payload)
}

func (c *Conn) controlFrame(f h2.Frame, payload []byte) error {
	size := len(payload)
	switch f.Type {
	case h2.RSTStream, h2.WindowUpdate:
		size = 4
	case h2.Ping:
		size = 8
	}
	if size != len(payload) {
		return violated(h2.FrameSizeError, "%v of %d bytes", f.Type, len(payload))
	}
	switch f.Type {
	case h2.RSTStream:
		c.reset(f.Stream, h2.ErrCode(binary.BigEndian.Uint32(payload)))
		return nil
	case h2.GoAway:
		return c.goAway(payload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.control) > maxControl {
		return violated(h2.EnhanceYourCalm, "%d bytes of answers that are not read", len(c.control))
	}
	switch f.Type {
	case h2.Settings:
		return c.settings(f, payload)
	case h2.Ping:
		if !f.Flags.Has(h2.FlagAck) {
			c.control = h2.AppendPing(c.control, true, [8]byte(payload))
		}
	case h2.WindowUpdate:
		return c.widen(f.Stream, binary.BigEndian.Uint32(payload)&maxWindow)
	}
	return nil
}

// settings needs c.mu.
func (c *Conn) settings(f h2.Frame, payload []byte) error {
	if f.Flags.Has(h2.FlagAck) {
		return nil
	}
	var wrong error
	err := h2.EachSetting(payload, func(id uint16, value uint32) {
		if err := c.setting(id, value); err != nil && wrong == nil {
			wrong = err
		}
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return err
	}
	c.control = h2.AppendSettingsAck(c.control)
	return nil
}

// setting needs c.mu.
func (c *Conn) setting(id uint16, value uint32) error {
	switch id {
	case h2.SettingInitialWindowSize:
		for _, s := range c.streams {
			if s.window += int64(value) - c.peerWindow; s.window > maxWindow {
				return violated(h2.FlowControlError, "a window of %d bytes", s.window)
			}
		}
		c.peerWindow = int64(value)
	case h2.SettingMaxFrameSize:
		if value < maxFrame || value >= 1<<24 {
			return violated(h2.ProtocolError, "frames of at most %d bytes", value)
		}
		c.peerFrame = int(value)
	}
	return nil
}

// widen needs c.mu.
func (c *Conn) widen(stream, by uint32) error {
	window := &c.window
	if stream != 0 {
		s := c.find(stream)
		if s == nil {
			return nil // it has just ended
		}
		window = &s.window
	}
	if *window += int64(by); by == 0 || *window > maxWindow {
		return violated(h2.FlowControlError, "a window of %d bytes that grows by %d", *window, by)
	}
	return nil
}

// find needs c.mu.
func (c *Conn) find(stream uint32) *Stream {
	for _, s := range c.streams {
		if s.id == stream {
			return s
		}
	}
	return nil
}

func (c *Conn) data(f h2.Frame, payload []byte) error {
	body, err := h2.Payload(f, payload)
	if err != nil {
		return err
	}
	s, err := c.spend(f, int64(len(payload)))
	if s == nil || err != nil {
		return err
	}
	if err := s.take(body); err != nil {
		s.Cancel(err)
		return nil // endCancelled ends it
	}
	if f.Flags.Has(h2.FlagEndStream) {
		c.finish(s, status.Error(codes.Internal, "the stream ended without trailers"))
	}
	return nil
}

// spend accounts for what came, and gives the peer credit for it again. The stream is nil if it takes no more.
func (c *Conn) spend(f h2.Frame, n int64) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received -= n; c.received < 0 {
		return nil, violated(h2.FlowControlError, "more than the connection's window")
	}
	if c.used += n; c.used >= int64(c.cfg.ConnWindow)/2 {
		c.control = h2.AppendWindowUpdate(c.control, 0, uint32(c.used))
		c.received, c.used = c.received+c.used, 0
	}
	s := c.find(f.Stream)
	if s == nil {
		if f.Stream == 0 || f.Stream >= c.nextID {
			return nil, violated(h2.ProtocolError, "DATA on stream %d, which is idle", f.Stream)
		}
		return nil, nil
	}
	if s.received -= n; s.received < 0 {
		return nil, violated(h2.FlowControlError, "more than the window of stream %d", s.id)
	}
	if s.used += n; s.used >= int64(c.cfg.StreamWindow)/2 {
		c.control = h2.AppendWindowUpdate(c.control, s.id, uint32(s.used))
		s.received, s.used = s.received+s.used, 0
	}
	if s.cause != nil {
		return nil, nil
	}
	return s, nil
}

// headers handles a header block once it is whole. f is its last frame.
func (c *Conn) headers(f h2.Frame) error {
	if !f.Flags.Has(h2.FlagEndHeaders) {
		return nil
	}
	first := c.headersOf
	c.headersOf = h2.Frame{}
	c.fields = c.fields[:0]
	_, err := c.decoder.Write(c.block)
	if err == nil {
		err = c.decoder.Close()
	}
	if err != nil {
		return violated(h2.CompressionError, "%v", err)
	}
	c.mu.Lock()
	s := c.find(first.Stream)
	taken := s != nil && s.cause == nil
	c.mu.Unlock()
	if !taken {
		return nil
	}
	h := readHead(c.fields)
	ends := first.Flags.Has(h2.FlagEndStream)
	switch {
	case !ends && !s.began && h.informs():
	case ends && len(s.partial) > 0:
		c.finish(s, status.Error(codes.Internal, "the stream ended amid a message"))
	case ends:
		c.finish(s, h.outcome(!s.began))
	case s.began:
		s.Cancel(status.Error(codes.Internal, "headers for a second time"))
	default:
		s.began = true
		if err := h.refusal(); err != nil {
			s.Cancel(err)
		}
	}
	return nil
}

// finish ends a stream that the peer has ended.
func (c *Conn) finish(s *Stream, err error) {
	c.mu.Lock()
	c.streams = slices.DeleteFunc(c.streams, func(other *Stream) bool { return s == other })
	if s.cause != nil {
		err = s.cause
	} else if !s.finished || s.loaded {
		// The peer needs no more of it, and must not wait for its end.
		c.control = h2.AppendRST(c.control, s.id, h2.NoError)
	}
	c.mu.Unlock()
	s.end(err)
}

func (c *Conn) reset(stream uint32, code h2.ErrCode) {
	c.mu.Lock()
	s := c.find(stream)
	if s != nil {
		s.finished, s.loaded = true, false
	}
	c.mu.Unlock()
	if s != nil {
		c.finish(s, status.Errorf(resetCode(code), "the peer reset the stream: %v", code))
	}
}

// goAway lets the streams go on that the peer still serves.
func (c *Conn) goAway(payload []byte) error {
	if len(payload) < 8 {
		return violated(h2.FrameSizeError, "GOAWAY of %d bytes", len(payload))
	}
	last := binary.BigEndian.Uint32(payload) & maxWindow
	c.mu.Lock()
	c.leave()
	var refused []*Stream
	for _, s := range c.streams {
		if s.id > last {
			s.finished, s.loaded = true, false
			refused = append(refused, s)
		}
	}
	c.mu.Unlock()
	for _, s := range refused {
		c.finish(s, unavailable(ErrGoAway))
	}
	return nil
}
