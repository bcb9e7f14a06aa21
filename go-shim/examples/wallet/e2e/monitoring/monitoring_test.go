package monitoring

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

func TestPromtoolAcceptsRulesAndConfiguration(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{
		{"check", "rules", docs("alerts.yml")},
		{"test", "rules", docs("alerts_test.yml")},
		{"check", "config", docs("prometheus.yml")},
	} {
		if output, err := exec.Command(found.promtool, arguments...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", arguments, err, output)
		}
	}
}

// Everything is tried with one sidecar and with two, whose metrics have one label more.
func TestEveryExpressionWorksOnRealMetrics(t *testing.T) {
	t.Parallel()
	single, attached := oneSidecar(t)
	pair := twoSidecars(t)
	sidecars := []string{attached.Admin}
	for i := range 2 {
		sidecars = append(sidecars, adminOf(t, shim.SocketOf(pair.socket, i)))
	}
	p := startPrometheus(t, []string{single.Admin, pair.Admin}, sidecars)
	p.awaitScrapes(t, 2+len(sidecars))

	documented := documentedMetrics(t, read(t, filepath.Join(found.root, "go-shim", "README.md")))
	rules := p.rules(t)
	checkRules(t, rules)
	for _, one := range rules {
		p.check(t, one.Name, one.Query, documented)
	}
	d := readDashboard(t)
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			p.check(t, panel.Title, filledIn(t, target.Expr), documented)
		}
	}
	for _, variable := range d.Templating.List {
		if variable.Type == "query" {
			p.checkVariable(t, variable.Name, filledIn(t, variable.Query.text))
		}
	}
}

// checkRules expects rules without errors, of which none fires while all is well, and what people need to act on each.
func checkRules(t *testing.T, rules []rule) {
	t.Helper()
	runbook, tests := read(t, docs("README.md")), read(t, docs("alerts_test.yml"))
	var names []string
	for _, one := range rules {
		names = append(names, one.Name)
		if one.Health != "ok" || one.State == "firing" {
			t.Errorf("%s: health %s, state %s, %s", one.Name, one.Health, one.State, one.LastError)
		}
		if one.Labels["severity"] != "page" && one.Labels["severity"] != "ticket" || one.Annotations["summary"] == "" {
			t.Errorf("%s: labels %v, annotations %v", one.Name, one.Labels, one.Annotations)
		}
		if want := "docs/monitoring/README.md#" + strings.ToLower(one.Name); one.Annotations["runbook"] != want {
			t.Errorf("%s: its runbook is %s, not %s", one.Name, one.Annotations["runbook"], want)
		}
		for _, expected := range []string{` \[\]`, `\n +- exp_labels`} {
			if !regexp.MustCompile(`alertname: ` + one.Name + `\n +exp_alerts:` + expected).MatchString(tests) {
				t.Errorf("alerts_test.yml does not have %s both firing and silent", one.Name)
			}
		}
	}
	var described []string
	for _, heading := range regexp.MustCompile(`(?m)^### (Hotpath\w+)$`).FindAllStringSubmatch(runbook, -1) {
		described = append(described, heading[1])
	}
	slices.Sort(names)
	slices.Sort(described)
	if !slices.Equal(names, described) {
		t.Errorf("the rules are %q\nREADME.md describes %q", names, described)
	}
}

// checkVariable expects that a variable has values to choose from.
func (p *prometheus) checkVariable(t *testing.T, name, query string) {
	t.Helper()
	parts := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(query)
	if parts == nil {
		t.Fatalf("variable %s: %s", name, query)
	}
	found, err := p.query(parts[1])
	if err != nil || len(found) == 0 || found[0].Metric[parts[2]] == "" {
		t.Errorf("variable %s has no value: %d series, %v", name, len(found), err)
	}
}

// place makes a folder with a short path, because the path of a Unix socket may have only about 100 bytes.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "monitoring-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

type service struct {
	*rig.Walletd
	socket string
}

func start(t *testing.T, spec rig.WalletdSpec) service {
	t.Helper()
	spec.Bin, spec.SidecarBin = found.walletd, found.hotpathd
	spec.DB, spec.Socket, spec.Modes = filepath.Join(spec.Dir, "l.db"), filepath.Join(spec.Dir, "s.sock"), filepath.Join(spec.Dir, "modes.toml")
	if err := rig.WriteModes(spec.Modes, rig.SidecarMode); err != nil {
		t.Fatal(err)
	}
	w, err := rig.StartWalletd(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(10 * time.Second) })
	return service{w, spec.Socket}
}

// oneSidecar starts a walletd behind the spliced door and a hotpathd that it attaches to.
func oneSidecar(t *testing.T) (service, *rig.Hotpathd) {
	t.Helper()
	dir := place(t)
	h, err := rig.StartHotpathd(rig.HotpathdSpec{Bin: found.hotpathd, Dir: dir, Socket: filepath.Join(dir, "s.sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Stop(10 * time.Second) })
	s := start(t, rig.WalletdSpec{Dir: dir, Sidecar: rig.Attach, Door: rig.Spliced, Args: []string{"--hop-timeout-ms", "2000"}})
	s.use(t)
	return s, h
}

// twoSidecars starts a walletd that supervises two.
func twoSidecars(t *testing.T) service {
	t.Helper()
	s := start(t, rig.WalletdSpec{Dir: place(t), Sidecar: rig.Supervise, Args: []string{"--sidecars", "2", "--hop-timeout-ms", "2000"},
		Env: []string{"HOTPATHD_ADMIN=127.0.0.1:0"}})
	s.use(t)
	return s
}

// use posts something, and reads it until the sidecar has answered.
func (s service) use(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	conn, err := ask.Dial(s.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := walletv1.NewWalletServiceClient(conn).PostTransaction(ctx, &walletv1.PostTransactionRequest{
		TransactionId: "t", External: true, Entries: []*walletv1.Entry{{
			AccountId: "acc", Asset: "GBP", Amount: 5, Phase: walletv1.Phase_PHASE_POSTED, Kind: "gift",
		}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AwaitShim("all sidecars are ready and one answers", testTimeout, func(now rig.Shim) bool {
		answer := ask.Put(ctx, conn, ask.New(0, &walletv1.GetBalanceRequest{AccountId: "acc"}), ask.Want())
		if !answer.Decided() {
			t.Fatalf("while waiting for the sidecar: %s", answer)
		}
		return now.AllReady && now.CaughtUp() && now.Served[rig.SidecarMode] > 0
	}); err != nil {
		t.Fatal(err)
	}
}
