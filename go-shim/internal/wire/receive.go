package wire

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxHeaderBytes bounds a header block.
const maxHeaderBytes = 64 << 10

// frame handles one whole frame. An error ends the connection.
func (c *Conn) frame(f frame, payload []byte) error {
	if c.headersOf.stream != 0 && (f.kind != http2.FrameContinuation || f.stream != c.headersOf.stream) {
		return violated(http2.ErrCodeProtocol, "%v amid a header block", f.kind)
	}
	switch f.kind {
	case http2.FrameData:
		return c.data(f, payload)
	case http2.FrameHeaders:
		block, err := content(f, payload)
		if err != nil {
			return err
		}
		c.headersOf, c.block = f, append(c.block[:0], block...)
		return c.headers(f)
	case http2.FrameContinuation:
		if c.headersOf.stream == 0 || len(c.block)+len(payload) > maxHeaderBytes {
			return violated(http2.ErrCodeProtocol, "CONTINUATION of nothing, or of too much")
		}
		c.block = append(c.block, payload...)
		return c.headers(f)
	case http2.FramePushPromise:
		return violated(http2.ErrCodeProtocol, "a push")
	}
	return c.controlFrame(f, payload)
}

func (c *Conn) controlFrame(f frame, payload []byte) error {
	size := len(payload)
	switch f.kind {
	case http2.FrameRSTStream, http2.FrameWindowUpdate:
		size = 4
	case http2.FramePing:
		size = 8
	}
	if size != len(payload) {
		return violated(http2.ErrCodeFrameSize, "%v of %d bytes", f.kind, len(payload))
	}
	switch f.kind {
	case http2.FrameRSTStream:
		c.reset(f.stream, http2.ErrCode(binary.BigEndian.Uint32(payload)))
		return nil
	case http2.FrameGoAway:
		return c.goAway(payload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.control) > maxControl {
		return violated(http2.ErrCodeEnhanceYourCalm, "%d bytes of answers that are not read", len(c.control))
	}
	switch f.kind {
	case http2.FrameSettings:
		return c.settings(f, payload)
	case http2.FramePing:
		if !f.flags.Has(http2.FlagPingAck) {
			c.control = appendPing(c.control, http2.FlagPingAck, [8]byte(payload))
		}
	case http2.FrameWindowUpdate:
		return c.widen(f.stream, binary.BigEndian.Uint32(payload)&maxWindow)
	}
	return nil
}

// settings needs c.mu.
func (c *Conn) settings(f frame, payload []byte) error {
	if f.flags.Has(http2.FlagSettingsAck) {
		return nil
	}
	if len(payload)%6 != 0 {
		return violated(http2.ErrCodeFrameSize, "SETTINGS of %d bytes", len(payload))
	}
	for ; len(payload) > 0; payload = payload[6:] {
		value := binary.BigEndian.Uint32(payload[2:])
		switch http2.SettingID(binary.BigEndian.Uint16(payload)) {
		case http2.SettingInitialWindowSize:
			if value > maxWindow {
				return violated(http2.ErrCodeFlowControl, "a first window of %d bytes", value)
			}
			for _, s := range c.streams {
				if s.window += int64(value) - c.peerWindow; s.window > maxWindow {
					return violated(http2.ErrCodeFlowControl, "a window of %d bytes", s.window)
				}
			}
			c.peerWindow = int64(value)
		case http2.SettingMaxFrameSize:
			if value < maxFrame || value >= 1<<24 {
				return violated(http2.ErrCodeProtocol, "frames of at most %d bytes", value)
			}
			c.peerFrame = int(value)
		}
	}
	c.control = frame{kind: http2.FrameSettings, flags: http2.FlagSettingsAck}.append(c.control)
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
		return violated(http2.ErrCodeFlowControl, "a window of %d bytes that grows by %d", *window, by)
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

func (c *Conn) data(f frame, payload []byte) error {
	body, err := content(f, payload)
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
	if f.flags.Has(http2.FlagDataEndStream) {
		c.finish(s, status.Error(codes.Internal, "the stream ended without trailers"))
	}
	return nil
}

// spend accounts for what came, and gives the peer credit for it again. The stream is nil if it takes no more.
func (c *Conn) spend(f frame, n int64) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received -= n; c.received < 0 {
		return nil, violated(http2.ErrCodeFlowControl, "more than the connection's window")
	}
	if c.used += n; c.used >= int64(c.cfg.ConnWindow)/2 {
		c.control = appendWindowUpdate(c.control, 0, uint32(c.used))
		c.received, c.used = c.received+c.used, 0
	}
	s := c.find(f.stream)
	if s == nil {
		if f.stream == 0 || f.stream >= c.nextID {
			return nil, violated(http2.ErrCodeProtocol, "DATA on stream %d, which is idle", f.stream)
		}
		return nil, nil
	}
	if s.received -= n; s.received < 0 {
		return nil, violated(http2.ErrCodeFlowControl, "more than the window of stream %d", s.id)
	}
	if s.used += n; s.used >= int64(c.cfg.StreamWindow)/2 {
		c.control = appendWindowUpdate(c.control, s.id, uint32(s.used))
		s.received, s.used = s.received+s.used, 0
	}
	if s.cause != nil {
		return nil, nil
	}
	return s, nil
}

// headers handles a header block once it is whole. f is its last frame.
func (c *Conn) headers(f frame) error {
	if !f.flags.Has(http2.FlagHeadersEndHeaders) {
		return nil
	}
	first := c.headersOf
	c.headersOf = frame{}
	c.fields = c.fields[:0]
	_, err := c.decoder.Write(c.block)
	if err == nil {
		err = c.decoder.Close()
	}
	if err != nil {
		return violated(http2.ErrCodeCompression, "%v", err)
	}
	c.mu.Lock()
	s := c.find(first.stream)
	taken := s != nil && s.cause == nil
	c.mu.Unlock()
	if !taken {
		return nil
	}
	h := readHead(c.fields)
	ends := first.flags.Has(http2.FlagHeadersEndStream)
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
		c.control = appendReset(c.control, s.id, http2.ErrCodeNo)
	}
	c.mu.Unlock()
	s.end(err)
}

func (c *Conn) reset(stream uint32, code http2.ErrCode) {
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
		return violated(http2.ErrCodeFrameSize, "GOAWAY of %d bytes", len(payload))
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
