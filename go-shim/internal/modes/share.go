package modes

import "math/bits"

// Takes says whether a request with this key is forwarded. It depends on the mode and the key alone, in every process and
// every version, so that an account stays on its side over restarts and on all replicas. A higher percentage forwards all
// keys that a lower one does.
func (m Mode) Takes(key []byte) bool {
	switch m.kind() {
	case Sidecar, reverse:
		return true
	case canary:
		return bucket(key) < uint64(m.Percent())
	default:
		return false
	}
}

// bucket is one of a hundred. The hash is FNV-1a of 64 bits (Fowler, Noll and Vo). Its high bits depend little on the last bytes
// of a key, so the finalizer of MurmurHash3 (Appleby) follows. Multiplying takes the high bits to a hundredth (Lemire, "Fast
// random integer generation in an interval", 2019).
func bucket(key []byte) uint64 {
	hash := uint64(0xcbf29ce484222325)
	for _, b := range key {
		hash = (hash ^ uint64(b)) * 0x100000001b3
	}
	hash = (hash ^ hash>>33) * 0xff51afd7ed558ccd
	hash = (hash ^ hash>>33) * 0xc4ceb9fe1a85ec53
	high, _ := bits.Mul64(hash^hash>>33, mostPercent)
	return high
}
