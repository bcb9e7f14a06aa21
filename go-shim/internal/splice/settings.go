package splice

import "hotpath.dev/go-shim/internal/h2"

// clientSettings are SETTINGS of the client that grpc-go has not acknowledged yet. They count for the door from then on,
// too: the client sees the acknowledgement of one server.
type clientSettings struct {
	initial, table       uint32
	hasInitial, hasTable bool
}

func (c *Core) clientSettings(f h2.Frame, frame []byte) {
	payload := frame[h2.HeaderLen:]
	if f.Flags.Has(h2.FlagAck) {
		c.passToServer(frame)
		return
	}
	var said clientSettings
	out := c.server()
	begin := len(out.b)
	out.b = append(out.b, make([]byte, h2.HeaderLen)...)
	if !c.started {
		// With an empty header table of the client, grpc-go's blocks can pass as they are.
		out.b = appendSetting(out.b, h2.SettingHeaderTableSize, 0)
	}
	err := h2.EachSetting(payload, func(id uint16, value uint32) {
		switch id {
		case h2.SettingHeaderTableSize:
			said.table, said.hasTable = min(value, orMax(said.table, said.hasTable)), true
			return
		case h2.SettingInitialWindowSize:
			said.initial, said.hasInitial = value, true
		case h2.SettingMaxHeaderListSize:
			c.clientList = value // grpc-go obeys this one at once
		}
		out.b = appendSetting(out.b, id, value)
	})
	if err != nil || f.Stream != 0 {
		out.b = out.b[:begin]
		c.misbehaved(frame)
		return
	}
	h2.Frame{Length: len(out.b) - begin - h2.HeaderLen, Type: h2.Settings}.Append(out.b[begin:begin])
	c.started = true
	c.unacked = append(c.unacked, said)
}

func orMax(value uint32, has bool) uint32 {
	if has {
		return value
	}
	return 1<<32 - 1
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	return append(b, byte(id>>8), byte(id), byte(value>>24), byte(value>>16), byte(value>>8), byte(value))
}

// serverSettings takes those of grpc-go, which pass as they are, and its acknowledgements.
func (c *Core) serverSettings(f h2.Frame, frame []byte) {
	out := c.client()
	out.b = append(out.b, frame...)
	if !f.Flags.Has(h2.FlagAck) {
		_ = h2.EachSetting(frame[h2.HeaderLen:], c.serverSetting)
		return
	}
	if len(c.unacked) == 0 {
		return
	}
	c.settled = true
	said := c.unacked[0]
	c.unacked = c.unacked[:copy(c.unacked, c.unacked[1:])]
	if said.hasTable {
		c.encoder.limit(said.table)
	}
	if said.hasInitial {
		delta := int64(said.initial) - c.clientInitial
		c.clientInitial = int64(said.initial)
		c.streams.each(func(s *stream) {
			s.window += delta
			c.enqueue(s)
		})
		c.release()
	}
}

func (c *Core) serverSetting(id uint16, value uint32) {
	switch id {
	case h2.SettingMaxConcurrentStreams:
		c.maxStreams = value
	case h2.SettingMaxHeaderListSize:
		c.headerList = value
	case h2.SettingHeaderTableSize:
		c.decoder.SetLimit(value)
	case h2.SettingInitialWindowSize:
		delta := int64(value) - c.serverInitial
		c.serverInitial = int64(value)
		c.streams.each(func(s *stream) { s.quota += delta })
	}
}
