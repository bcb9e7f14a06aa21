package h2

// Payload is what a frame of type Data or Headers carries: b, its whole payload, without padding and priority.
func Payload(f Frame, b []byte) ([]byte, error) {
	padding := 0
	if f.Flags.Has(FlagPadded) {
		if len(b) == 0 {
			return nil, ErrPriority
		}
		padding, b = int(b[0]), b[1:]
	}
	if f.Type == Headers && f.Flags.Has(FlagPriority) {
		if len(b) < 5 {
			return nil, ErrPriority
		}
		b = b[5:]
	}
	if padding > len(b) {
		return nil, ErrPadding
	}
	return b[:len(b)-padding], nil
}
