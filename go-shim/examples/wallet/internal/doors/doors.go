// Package doors starts walletd and hotpathd behind each of their front doors, so that the same can be tried on all.
package doors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// Kind is one of the doors.
type Kind string

// These are walletd's doors, and those of the sidecar's own port.
const (
	Stock          Kind = "stock"
	Spliced        Kind = "spliced"
	SidecarStock   Kind = "sidecar, stock"
	SidecarSpliced Kind = "sidecar, spliced"
)

// Kinds are all of them. Each spliced door follows the stock one to which it is compared.
var Kinds = [...]Kind{Stock, Spliced, SidecarStock, SidecarSpliced}

// Direct says whether callers speak to the sidecar.
func (k Kind) Direct() bool { return k == SidecarStock || k == SidecarSpliced }

// Spec says what to start.
type Spec struct {
	Walletd, Hotpathd string
	// Dir is the folder for the ledger, the socket and the logs. The path of a socket may have only about 100 bytes.
	Dir string
	// Ledger is a store to copy. Without it the ledger is empty.
	Ledger string
	// Connections is how many the door takes. Zero leaves the programs' defaults.
	Connections int
}

// Door is walletd and its sidecar, one of which is to be called.
type Door struct {
	Kind Kind
	// Dir is Spec's.
	Dir string
	// Addr is where to call.
	Addr     string
	Walletd  *rig.Walletd
	Hotpathd *rig.Hotpathd
	// Conn is a connection to walletd, and Wallet the client on it.
	Conn   *grpc.ClientConn
	Wallet walletv1.WalletServiceClient
}

const (
	startWithin = time.Minute
	stopGrace   = 10 * time.Second
)

// Open starts both programs, and returns when the sidecar serves.
func Open(spec Spec, kind Kind) (*Door, error) {
	d := &Door{Kind: kind, Dir: spec.Dir}
	if err := d.start(spec); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

func (d *Door) start(spec Spec) (err error) {
	db := filepath.Join(spec.Dir, "ledger.db")
	if spec.Ledger != "" {
		text, err := os.ReadFile(spec.Ledger)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if err := os.WriteFile(db, text, 0o600); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	front, args := "stock", []string{}
	walletdArgs := []string{"--front-door", "stock"}
	switch d.Kind {
	case SidecarSpliced:
		front = "spliced"
	case Spliced:
		walletdArgs[1] = "spliced"
	}
	if spec.Connections > 0 {
		args = append(args, "--max-connections", fmt.Sprint(spec.Connections))
		walletdArgs = append(walletdArgs, args...)
	}
	socket := filepath.Join(spec.Dir, "s.sock")
	d.Hotpathd, err = rig.StartHotpathd(rig.HotpathdSpec{
		Bin: spec.Hotpathd, Dir: spec.Dir, Socket: socket, Args: append([]string{"--front", front}, args...),
	})
	if err != nil {
		return err
	}
	d.Walletd, err = rig.StartWalletd(rig.WalletdSpec{
		Bin: spec.Walletd, Dir: spec.Dir, DB: db, Sidecar: rig.Attach, Socket: socket, Args: walletdArgs,
	})
	if err != nil {
		return err
	}
	if _, err := d.Walletd.AwaitCaughtUp(startWithin); err != nil {
		return err
	}
	d.Addr = d.Walletd.GRPC
	if d.Kind.Direct() {
		d.Addr = d.Hotpathd.Listen
	}
	if d.Conn, err = ask.Dial(d.Walletd.GRPC); err != nil {
		return err
	}
	d.Wallet = walletv1.NewWalletServiceClient(d.Conn)
	return d.warm()
}

// errShut means that the spliced door forwards nothing.
var errShut = errors.New("the spliced door does not open")

// warm makes calls until the spliced door is open: it opens when the first have gone through grpc-go.
func (d *Door) warm() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for {
		ask.Put(ctx, d.Conn, ask.New(0, &walletv1.GetBalanceRequest{AccountId: "nobody"}), nil)
		page, err := probe.Scrape(ctx, d.Walletd.Admin)
		switch {
		case err != nil:
			return err
		case d.Kind != Spliced || page.Value("hotpath_shim_spliced_door_open", nil) == 1:
			return nil
		case ctx.Err() != nil:
			return errShut
		}
	}
}

// Stop ends both.
func (d *Door) Stop() {
	if d.Conn != nil {
		_ = d.Conn.Close()
	}
	if d.Walletd != nil {
		d.Walletd.Stop(stopGrace)
	}
	if d.Hotpathd != nil {
		d.Hotpathd.Stop(stopGrace)
	}
}

// Account is what both programs use together.
func (d *Door) Account() (sum proc.Account, err error) {
	for _, pid := range []int{d.Walletd.Pid(), d.Hotpathd.Pid()} {
		one, err := proc.AccountOf(pid)
		if err != nil {
			return sum, err
		}
		sum.CPU += one.CPU
		sum.RSS += one.RSS
	}
	return sum, nil
}

// Memory is the memory of the program that callers speak to, without what its garbage collector has yet to find.
func (d *Door) Memory(ctx context.Context) (int64, error) {
	if d.Kind.Direct() {
		account, err := proc.AccountOf(d.Hotpathd.Pid())
		return account.RSS, err
	}
	for range 2 { // buffers of a sync.Pool survive the first collection
		if _, err := probe.Get(ctx, d.Walletd.Admin, "/debug/pprof/heap?gc=1"); err != nil {
			return 0, err
		}
	}
	page, err := probe.Scrape(ctx, d.Walletd.Admin)
	if err != nil {
		return 0, err
	}
	return int64(page.Value("go_memstats_heap_alloc_bytes", nil) + page.Value("go_memstats_stack_inuse_bytes", nil)), nil
}
