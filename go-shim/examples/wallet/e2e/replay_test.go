package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/shimtest"
)

// TestReplay asks what walletd has kept as evidence (--evidence) again, of Go and of the sidecar:
//
//	REPLAY_CAPTURES=evidence REPLAY_DB=copy-of-wallet.db go test ./wallet/e2e -run TestReplay
//
// Without these variables it makes such captures first, so that the way is tested.
func TestReplay(t *testing.T) {
	if folder := os.Getenv("REPLAY_CAPTURES"); folder != "" {
		p := newPlace(t)
		if p.db = os.Getenv("REPLAY_DB"); p.db == "" {
			t.Fatal("REPLAY_CAPTURES needs REPLAY_DB: a copy of the store from which the captures are")
		}
		sidecar, service := p.bothSides()
		shimtest.Replay(t, folder, service.conn, dial(t, sidecar.Listen))
		return
	}
	p := newPlace(t)
	sidecar, service := p.bothSides()
	direct := dial(t, sidecar.Listen)
	at := service.post("first", "alice", 5)
	service.post("second", "alice", 7)
	service.caughtUp()
	request := ask.New(0, &walletv1.GetBalanceRequest{AccountId: "alice"})
	said := put(service.conn, request, true, at)
	if !said.Decided() {
		t.Fatal(said)
	}
	folder := t.TempDir()
	capture := func(name string, answer []byte) string {
		content, err := json.Marshal(map[string]any{
			"version": 1, "method": ask.Hot[0], "position": at,
			"request": map[string]any{"bytes": request.Request, "length": len(request.Request)},
			"go":      map[string]any{"bytes": answer, "length": len(answer), "code": "OK"},
		})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "mismatch-"+name+".json")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	capture("mended", said.Reply)
	shimtest.Replay(t, folder, service.conn, direct)

	other, err := proto.Marshal(&walletv1.GetBalanceResponse{})
	if err != nil {
		t.Fatal(err)
	}
	path := capture("of another ledger", other)
	if err := shimtest.ReplayCapture(t.Context(), path, service.conn, direct); !errors.Is(err, shimtest.ErrOtherLedger) {
		t.Errorf("of another ledger: %v", err)
	}
	// A sidecar that has another ledger stands for one that is wrong.
	wrong := newPlace(t)
	wrongSidecar, wrongService := wrong.bothSides()
	wrongService.post("first", "alice", 6)
	wrongService.caughtUp()
	path = filepath.Join(folder, "mismatch-mended.json")
	if err := shimtest.ReplayCapture(t.Context(), path, service.conn, dial(t, wrongSidecar.Listen)); !errors.Is(err, shimtest.ErrDiffers) {
		t.Errorf("a wrong answer: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"version":1,"method":"/a.B/C","redacted":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shimtest.ReplayCapture(t.Context(), path, service.conn, direct); !errors.Is(err, shimtest.ErrNotReplayable) {
		t.Errorf("redacted: %v", err)
	}
	path = capture("too new", said.Reply)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(content), `"position":1`, `"position":99`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shimtest.ReplayCapture(t.Context(), path, service.conn, direct); err == nil || !strings.Contains(err.Error(), "no answer at position 99") {
		t.Errorf("too new: %v", err)
	}
}

// bothSides starts a sidecar that keeps all positions, and a walletd in mode legacy that feeds it.
func (p *place) bothSides() (*rig.Hotpathd, *service) {
	p.t.Helper()
	sidecar := p.hotpathd("--retain-ms", "3600000", "--retain-versions", "100000", "--retain-events", "100000000")
	if err := rig.WriteModes(p.modes, rig.Legacy); err != nil {
		p.t.Fatal(err)
	}
	service := p.walletd(rig.Attach)
	service.caughtUp()
	return sidecar, service
}
