//go:build linux && (amd64 || arm64) && (race || msan || asan)

package quiet

import "syscall"

// Only the ordinary calls tell the detectors that what was written happened before it was read.

func receive(fd uintptr, p []byte) (int, error) {
	n, err := syscall.Read(int(fd), p)
	return max(n, 0), err
}

func send(fd uintptr, p []byte) (int, error) {
	n, err := syscall.Write(int(fd), p)
	return max(n, 0), err
}
