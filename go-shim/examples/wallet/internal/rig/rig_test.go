package rig

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/probe"
)

// fake makes a program that writes the given text to the file that --ready-file names, and then waits.
func fake(t *testing.T, ready string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fake")
	script := "#!/bin/sh\n" +
		"while [ $# -gt 0 ]; do [ \"$1\" = --ready-file ] && file=$2; shift; done\n" +
		"echo '" + ready + "' > \"$file.new\"; mv \"$file.new\" \"$file\"\nexec sleep 100\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheReadyFilesAreUnderstood(t *testing.T) {
	w, err := StartWalletd(WalletdSpec{
		Bin: fake(t, `{"pid":1,"listen":"127.0.0.1:1234","admin":"127.0.0.1:2345"}`), Dir: t.TempDir(), DB: "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop(time.Minute)
	if w.GRPC != "127.0.0.1:1234" || w.Admin != "127.0.0.1:2345" || w.SidecarPid() != 0 {
		t.Errorf("got %+v", w)
	}
	h, err := StartHotpathd(HotpathdSpec{
		Bin: fake(t, `{"pid":7,"socket":"/s","listen":null,"admin":"127.0.0.1:9"}`), Dir: t.TempDir(), Socket: "/s",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(time.Minute)
	if h.Socket != "/s" || h.Listen != "" || h.Addresses.Admin != "127.0.0.1:9" || h.Pid() == 7 {
		t.Errorf("got %+v", h)
	}
}

func TestAnEarlyEndIsReportedWithItsOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '--db: no such directory' >&2\nexit 64\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := StartWalletd(WalletdSpec{Bin: path, Dir: t.TempDir(), DB: "x"})
	if err == nil || !strings.Contains(err.Error(), "--db: no such directory") {
		t.Fatalf("got %v", err)
	}
}

func TestArgumentsFollowTheWayOfRunningTheSidecar(t *testing.T) {
	spec := WalletdSpec{DB: "l.db", Sidecar: Supervise, SidecarBin: "bin", Socket: "s.sock", Modes: "m.toml", Door: Spliced}
	common := "serve --db l.db --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ready-file r"
	for sidecar, want := range map[Sidecar]string{
		"":        common,
		Off:       common,
		Supervise: common + " --sidecar supervise --sidecar-socket s.sock --sidecar-bin bin --modes m.toml --front-door spliced",
		Attach:    common + " --sidecar attach --sidecar-socket s.sock --modes m.toml --front-door spliced",
	} {
		spec.Sidecar = sidecar
		if got := strings.Join(spec.args("r"), " "); got != want {
			t.Errorf("%q: got %s", sidecar, got)
		}
	}
}

func TestTheShimsMetricsAreRead(t *testing.T) {
	text := `hotpath_shim_sidecar_ready 1
hotpath_shim_sidecar_position 90
hotpath_shim_head_position 91
hotpath_shim_requests_total{method="/a",served_by="sidecar"} 10
hotpath_shim_requests_total{method="/b",served_by="sidecar"} 5
hotpath_shim_requests_total{method="/b",served_by="legacy"} 3
# TYPE hotpath_shim_fallbacks_total counter
hotpath_shim_fallbacks_total{method="/a",reason="timeout"} 1
hotpath_shim_fallbacks_total{method="/b",reason="timeout"} 1
hotpath_shim_fallbacks_total{method="/b",reason="refused"} 0
hotpath_shim_sidecar_restarts_total 1
hotpath_shim_spliced_answered_total 12
hotpath_shim_spliced_connections 4
hotpath_shim_spliced_unread_bytes 70
# TYPE hotpath_shim_spliced_handed_over_total counter
hotpath_shim_spliced_handed_over_total{reason="metadata"} 3
hotpath_shim_spliced_handed_over_total{reason="mode"} 0
# TYPE hotpath_shim_spliced_connections_ended_total counter
hotpath_shim_spliced_connections_ended_total{rule="stalled"} 1
`
	want := Shim{
		Ready: true, AllReady: true, Position: 90, Head: 91, Served: map[Mode]uint64{SidecarMode: 15, Legacy: 3},
		Fallbacks: 2, Reasons: map[string]uint64{"timeout": 2}, Restarts: 1,
		Below: Below{
			Answered: 12, HandedOver: map[string]uint64{"metadata": 3}, Connections: 4, Unread: 70,
			Ended: map[string]uint64{"stalled": 1},
		},
		Compared: map[string]uint64{}, Uncompared: map[string]uint64{},
	}
	text += "# TYPE hotpath_shim_mode gauge\n"
	for i, method := range ask.Hot {
		want.Modes[i] = SidecarMode
		text += `hotpath_shim_mode{method="` + method + `",mode="sidecar"} 1` + "\n"
		text += `hotpath_shim_mode{method="` + method + `",mode="legacy"} 0` + "\n"
	}
	page, err := probe.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got := ShimOf(page)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got.CaughtUp() {
		t.Error("one position behind is not caught up")
	}
}

func TestOfTwoSidecarsTheOneThatIsAskedIsRead(t *testing.T) {
	page, err := probe.Parse(strings.NewReader(`hotpath_shim_sidecar_asked{sidecar="0"} 0
hotpath_shim_sidecar_asked{sidecar="1"} 1
hotpath_shim_sidecar_ready{sidecar="0"} 0
hotpath_shim_sidecar_ready{sidecar="1"} 1
hotpath_shim_sidecar_position{sidecar="0"} 7
hotpath_shim_sidecar_position{sidecar="1"} 90
hotpath_shim_takeovers_total{sidecar="0"} 1
hotpath_shim_takeovers_total{sidecar="1"} 2
hotpath_shim_head_position 90
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := ShimOf(page); !got.CaughtUp() || got.AllReady || got.Asked != 1 || got.TakeOvers != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestTheModesFileIsReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "modes.toml")
	for _, mode := range []Mode{Legacy, SidecarMode} {
		if err := WriteModes(path, mode); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "default = \""+string(mode)+"\"\n") {
			t.Fatalf("%s, %v", text, err)
		}
	}
}
