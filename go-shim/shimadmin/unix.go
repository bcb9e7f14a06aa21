package shimadmin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse is the error of ListenUnix if a process serves there.
var ErrInUse = errors.New("another process serves there")

// ListenUnix listens on a Unix socket that only the same user, and root, can open. It replaces a socket that a dead process
// left. The listener removes it when it is closed.
//
//	curl --unix-socket PATH -H "X-Hotpath-Who: $USER" -X POST http://localhost/hotpath/rollback
func ListenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s is there and is no socket", path)
		}
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("%s: %w", path, ErrInUse)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// Nobody must be able to open it between its making and its restriction, so it is made in a folder of its own.
	folder, err := os.MkdirTemp(filepath.Dir(path), ".s-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	private := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", private)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err = errors.Join(os.Chmod(private, 0o600), os.Rename(private, path)); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &unixListener{listener, path}, nil
}

type unixListener struct {
	net.Listener
	path string
}

// Close implements net.Listener.
func (l *unixListener) Close() error { return errors.Join(l.Listener.Close(), os.Remove(l.path)) }
