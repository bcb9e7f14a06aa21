// Package rig starts walletd and hotpathd as their users do, by command line, and reads what they report about
// themselves.
package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// Sidecar says who runs walletd's sidecar.
type Sidecar string

// These are the values of walletd's --sidecar.
const (
	Off       Sidecar = "off"
	Supervise Sidecar = "supervise"
	Attach    Sidecar = "attach"
)

// Door says who reads hot requests from callers.
type Door string

// These are the values of walletd's --front-door.
const (
	Stock   Door = "stock"
	Spliced Door = "spliced"
)

// Doors are both front doors.
func Doors() []Door { return []Door{Stock, Spliced} }

// WalletdSpec says how to start walletd.
type WalletdSpec struct {
	Bin string
	// Dir is the folder for the log and the ready file.
	Dir string
	DB  string
	// Sidecar is Off if empty.
	Sidecar    Sidecar
	SidecarBin string
	// Socket is the sidecar's socket. Without it a supervised sidecar gets one in a folder of its own.
	Socket string
	// Modes is the path of the modes file, or empty.
	Modes string
	// Door is walletd's own default if empty. It needs a Sidecar.
	Door Door
	// Listen is "127.0.0.1:0" if empty.
	Listen string
	// Args are further arguments.
	Args []string
	// Env is added to the environment. A supervised sidecar inherits it.
	Env []string
	// StartWithin bounds the wait for the ready file. Zero means a minute.
	StartWithin time.Duration
}

// Walletd is a running service.
type Walletd struct {
	*proc.Process
	// GRPC and Admin are the addresses on which walletd listens.
	GRPC  string `json:"listen"`
	Admin string `json:"admin"`
	spec  WalletdSpec
}

// Log returns the path of the file with the output of walletd and of the sidecar that it supervises.
func (w *Walletd) Log() string { return filepath.Join(w.spec.Dir, "walletd.log") }

func (s WalletdSpec) args(ready string) []string {
	listen := s.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	args := []string{"serve", "--db", s.DB, "--listen", listen, "--admin", "127.0.0.1:0", "--ready-file", ready}
	args = append(args, s.Args...)
	if s.Sidecar == "" || s.Sidecar == Off {
		return args
	}
	args = append(args, "--sidecar", string(s.Sidecar))
	if s.Socket != "" {
		args = append(args, "--sidecar-socket", s.Socket)
	}
	if s.Sidecar == Supervise {
		args = append(args, "--sidecar-bin", s.SidecarBin)
	}
	if s.Modes != "" {
		args = append(args, "--modes", s.Modes)
	}
	if s.Door != "" {
		args = append(args, "--front-door", string(s.Door))
	}
	return args
}

// StartWalletd starts walletd and returns once its ready file is written.
func StartWalletd(spec WalletdSpec) (*Walletd, error) {
	ready := filepath.Join(spec.Dir, "walletd.ready.json")
	w := &Walletd{spec: spec}
	process, err := startReady(proc.Spec{
		Name: "walletd", Bin: spec.Bin, Args: spec.args(ready), Log: w.Log(), Env: spec.Env,
	}, ready, spec.StartWithin, w)
	if err != nil {
		return nil, err
	}
	w.Process = process
	return w, nil
}

// SidecarPid returns the process id of the sidecar that walletd supervises, or 0 if none is running.
func (w *Walletd) SidecarPid() int {
	if children := w.SidecarPids(); len(children) > 0 {
		return children[0]
	}
	return 0
}

// AskedPid returns the process id of the supervised sidecar that is asked, of several with the given socket.
func (w *Walletd) AskedPid(ctx context.Context) (int, error) {
	now, err := w.Shim(ctx)
	if err != nil {
		return 0, err
	}
	var at Addresses
	err = readJSON(shim.SocketOf(w.spec.Socket, now.Asked)+".ready", &at)
	return at.Pid, err
}

// SidecarPids returns the process ids of all sidecars that walletd supervises.
func (w *Walletd) SidecarPids() []int {
	children, err := proc.Children(w.Pid(), filepath.Base(w.spec.SidecarBin))
	if err != nil {
		return nil
	}
	return children
}

// Addresses is the content of hotpathd's ready file.
type Addresses struct {
	Pid    int    `json:"pid"`
	Socket string `json:"socket"`
	// Listen is empty without --listen.
	Listen string `json:"listen"`
	Admin  string `json:"admin"`
}

// SidecarAddresses returns where the sidecar that walletd supervises listens. It fails while the sidecar is starting.
func (w *Walletd) SidecarAddresses() (Addresses, error) {
	var at Addresses
	err := readJSON(w.spec.Socket+".ready", &at)
	return at, err
}

// HotpathdSpec says how to run a sidecar that walletd attaches to.
type HotpathdSpec struct {
	Bin    string
	Dir    string
	Socket string
	// Args are further arguments.
	Args []string
	// Env is added to the environment.
	Env []string
}

// Hotpathd is a running sidecar.
type Hotpathd struct {
	*proc.Process
	Addresses
}

// StartHotpathd starts a sidecar and returns once its ready file is written.
func StartHotpathd(spec HotpathdSpec) (*Hotpathd, error) {
	ready := filepath.Join(spec.Dir, "hotpathd.ready.json")
	h := &Hotpathd{}
	process, err := startReady(proc.Spec{
		Name: "hotpathd", Bin: spec.Bin, Log: filepath.Join(spec.Dir, "hotpathd.log"), Lifeline: true, Env: spec.Env,
		Args: append([]string{
			"--socket", spec.Socket, "--listen", "127.0.0.1:0", "--ready-file", ready, "--lifeline",
		}, spec.Args...),
	}, ready, time.Minute, &h.Addresses)
	if err != nil {
		return nil, err
	}
	h.Process = process
	return h, nil
}

// Pid returns the id of the process, not the one that the ready file names.
func (h *Hotpathd) Pid() int { return h.Process.Pid() }

func startReady(spec proc.Spec, ready string, atMost time.Duration, into any) (*proc.Process, error) {
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("old ready file: %w", err)
	}
	process, err := proc.Start(spec)
	if err != nil {
		return nil, err
	}
	if atMost == 0 {
		atMost = time.Minute
	}
	err = process.Await("ready file "+ready, atMost, func() bool { return readJSON(ready, into) == nil })
	if err != nil {
		process.Stop(time.Second)
		return nil, err
	}
	return process, nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("ready file: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("ready file %s: %w", path, err)
	}
	return nil
}
