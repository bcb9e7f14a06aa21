package h2

import "encoding/binary"

// Identifiers of settings (RFC 9113, section 6.5.2).
const (
	SettingHeaderTableSize      uint16 = 1
	SettingEnablePush           uint16 = 2
	SettingMaxConcurrentStreams uint16 = 3
	SettingInitialWindowSize    uint16 = 4
	SettingMaxFrameSize         uint16 = 5
	SettingMaxHeaderListSize    uint16 = 6
)

// Setting is one parameter of a SETTINGS frame.
type Setting struct {
	ID    uint16
	Value uint32
}

const (
	settingLen = 6
	maxWindow  = 1<<31 - 1
)

// AppendSettings appends a SETTINGS frame.
func AppendSettings(b []byte, settings ...Setting) []byte {
	b = Frame{Length: settingLen * len(settings), Type: Settings}.Append(b)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, s.ID)
		b = binary.BigEndian.AppendUint32(b, s.Value)
	}
	return b
}

// AppendSettingsAck appends the answer to a SETTINGS frame.
func AppendSettingsAck(b []byte) []byte { return Frame{Type: Settings, Flags: FlagAck}.Append(b) }

// EachSetting calls fn with the settings of a SETTINGS frame in their order. Before that it checks what x/net/http2
// checks: their length, and that an initial window is not over 2^31-1.
func EachSetting(payload []byte, fn func(id uint16, value uint32)) error {
	if len(payload)%settingLen != 0 {
		return ErrSettingsLength
	}
	for p := payload; len(p) > 0; p = p[settingLen:] {
		if binary.BigEndian.Uint16(p) == SettingInitialWindowSize && binary.BigEndian.Uint32(p[2:]) > maxWindow {
			return ErrInitialWindow
		}
	}
	for p := payload; len(p) > 0; p = p[settingLen:] {
		fn(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:]))
	}
	return nil
}
