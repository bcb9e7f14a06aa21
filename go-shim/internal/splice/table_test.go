package splice

import "testing"

// A client chooses its streams' ids. Whichever it chooses, each is found within a few steps.
func TestNoIDsAreFarFromHome(t *testing.T) {
	const n = 4096
	for name, stride := range map[string]uint32{"one after the other": 2, "one home for all, without the secret": 1 << 19} {
		for _, secret := range []uint32{0, 1, 0xdeadbeef} {
			all := table{pools: &pools{secret: secret}}
			streams := make([]stream, n)
			for i := range streams {
				all.put(1+uint32(i)*stride, &streams[i])
			}
			far := uint32(0)
			for i, s := range all.slots {
				if s.stream != nil {
					far = max(far, (uint32(i)-all.home(s.id))&uint32(len(all.slots)-1))
				}
			}
			if far > 100 {
				t.Errorf("%s, secret %d: %d steps", name, secret, far)
			}
			for i := range streams {
				if all.get(1+uint32(i)*stride) != &streams[i] {
					t.Fatalf("%s: %d is not found", name, i)
				}
				all.remove(1 + uint32(i)*stride)
			}
			if all.n != 0 {
				t.Errorf("%d are left", all.n)
			}
		}
	}
}
