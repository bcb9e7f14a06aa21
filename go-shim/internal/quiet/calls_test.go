//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package quiet

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// os.File.Fd makes the socket a blocking one. Without MSG_DONTWAIT the read would never end.
func TestBlockingSocketsBlockNobody(t *testing.T) {
	a, _ := pair(t, "tcp")
	file, err := a.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.Fd()
	c := Wrap(a)
	_ = c.SetDeadline(time.Now().Add(5 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Write(make([]byte, 8<<20)); n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d, %v", n, err)
	}
}
