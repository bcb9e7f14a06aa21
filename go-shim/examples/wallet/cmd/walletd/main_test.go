package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"

	shim "hotpath.dev/go-shim"
)

// asWalletd, if set, makes this test binary run walletd's main, so that the program need not be built twice.
const asWalletd = "WALLETD_TEST_AS_WALLETD"

func TestMain(m *testing.M) {
	if os.Getenv(asWalletd) != "" {
		if text := os.Getenv(fullDisk); text != "" {
			signal.Ignore(syscall.SIGXFSZ)
			bytes, err := strconv.ParseUint(text, 10, 64)
			if err == nil {
				err = setFileLimit(0, bytes)
			}
			if err != nil {
				panic(err)
			}
		}
		main()
		return
	}
	os.Exit(m.Run())
}

func walletd(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asWalletd+"=1")
	return cmd
}

type result struct {
	code           int
	stdout, stderr string
}

func runWalletd(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := walletd(t, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (r result) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("%q is missing from\n%s%s", text, r.stdout, r.stderr)
		}
	}
}

func TestUsageMistakesAreReportedAllAtOnce(t *testing.T) {
	t.Parallel()
	runWalletd(t).want(t, 64, "usage: walletd COMMAND")
	runWalletd(t, "post").want(t, 64, `there is no command "post"`, "usage:")
	runWalletd(t, "serve", "--listen", "nowhere", "--bad", "x", "--read-model=worst", "--drain-ms", "-1", "--stream-workers", "65537", "--max-streams", "0", "--max-running", "0", "--max-unread-bytes", "1048576", "extra", "--lifeline=maybe", "--admin").
		want(t, 64, "there is no flag --bad", `--read-model "worst": must be one of legacy, best-scan, best, store`, `--drain-ms "-1": must be a number`,
			`--stream-workers "65537": must be a number from 0 to 65536`, `--max-streams "0": must be a number from 1 to 65536`, `--max-running "0": must be a number from 1 to 1048576`,
			"--max-unread-bytes 1048576: must be at least --max-message-bytes, which is 4194304", `--lifeline "maybe"`,
			`unexpected argument "extra"`, "--admin needs a value", "--db is required", `--listen "nowhere": must be host:port`)
	runWalletd(t, "serve", "--db", "x", "--store-reads", "0").
		want(t, 64, "--store-reads does nothing without --read-model store", `--store-reads "0": must be a number from 1 to 256`)
	runWalletd(t, "import", "--format", "excel", "--db", "a", "--db", "b").
		want(t, 64, "--db is given twice", `--format "excel": must be one of berka, cdnow, uk, generic`, "name at least one file")
	runWalletd(t, "generate", "--db", "x", "--accounts", "0", "--transactions", "many").
		want(t, 64, `--accounts "0"`, `--transactions "many"`)
	runWalletd(t, "ids", "--at-most", "-1", "wallet.db").
		want(t, 64, `--at-most "-1": must be a number`, `unexpected argument "wallet.db"`, "--db is required")
}

func TestFlagsOfTheSidecarMustFit(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	modes := filepath.Join(folder, "modes.toml")
	if err := os.WriteFile(modes, []byte("default = \"fast\"\n[methods]\n\"/x\" = \"legacy\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(folder, "wallet.db")
	serve := func(args ...string) result { return runWalletd(t, append([]string{"serve", "--db", db}, args...)...) }
	serve("--sidecar", "on", "--modes", modes, "--listen", "here", "--sidecar-socket", strings.Repeat("s", 104)).
		want(t, 64, `--sidecar "on": must be off, supervise, attach or alone`, modes+`:1: default: must be "legacy", "shadow", "shadow N%", "canary N%"`,
			modes+":3: /x: is not one of the hot methods", `--listen "here"`, "--sidecar-socket: must be at most 103 bytes")
	serve("--sidecar", "attach", "--sidecar-bin", "x").
		want(t, 64, "--sidecar attach needs --sidecar-socket", "--sidecar-bin does nothing with --sidecar attach")
	serve("--sidecar", "attach", "--sidecars", "2", "--sidecar-socket", strings.Repeat("s", 102)).
		want(t, 64, "--sidecar-socket: must be at most 101 bytes")
	serve("--sidecars", "3").want(t, 64, `--sidecars "3": must be a number from 1 to 2`, "--sidecars does nothing without --sidecar")
	serve("--sidecar-socket", "s", "--modes", modes, "--hop", "long", "--front-door", "barn", "--hop-timeout-ms", "0", "--plan-state", "p").
		want(t, 64, "--plan-state does nothing without --sidecar", "--sidecar-socket does nothing without --sidecar", "--hop does nothing without --sidecar",
			"--front-door does nothing without --sidecar", `--front-door "barn": must be stock or spliced`, `--hop-timeout-ms "0": must be a number`,
			"--hop-timeout-ms does nothing without --sidecar",
			`--hop "long": must be batched or unary`, "--modes does nothing without --sidecar")
	serve("--sidecar", "attach", "--sidecar-socket", "s", "--front-local").
		want(t, 64, "--front-local does nothing without --front-door spliced")
	serve("--sidecar", "alone", "--sidecar-bin", "b", "--sidecar-socket", "s", "--hop", "unary", "--hop-timeout-ms", "9", "--modes", modes, "--sidecars", "1", "--plan-state", "p").
		want(t, 64, "--plan-state does nothing with --sidecar alone", "--sidecar alone does nothing without --front-door spliced --front-local", "--sidecar-bin does nothing with --sidecar alone",
			"--sidecar-socket does nothing with", "--hop does nothing with", "--hop-timeout-ms does nothing with", "--modes does nothing with", "--sidecars does nothing with")
	serve("--sidecar", "attach", "--sidecar-socket", "s", "--otlp", "127.0.0.1:4317").
		want(t, 64, `--otlp "127.0.0.1:4317": must be a URL, such as http://127.0.0.1:4317`)
	serve("--otlp", "http://h:1").want(t, 64, "--otlp does nothing without --sidecar")
	serve("--front-local").want(t, 64, "--front-local does nothing without --sidecar")
	serve("--sidecar", "supervise", "--sidecar-bin", filepath.Join(folder, "none"), "--modes", filepath.Join(folder, "absent")).
		want(t, 64, "no such program", "no such file")
	if _, err := os.Stat(db); err == nil {
		t.Error("a command line with mistakes made a store")
	}
	// --sidecar off is enough to switch the sidecar off, whatever other flags there are.
	config, err := parseServe([]string{"--db", db, "--sidecar", "off", "--sidecar-socket", "s", "--modes", modes, "--sidecar-bin", "none"}, streams{})
	if err != nil || config.sidecar.run != shim.Off {
		t.Errorf("got %v, %v", config.sidecar, err)
	}
}

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"help"}, {"--help"}, {"help", "help"}} {
		runWalletd(t, args...).want(t, 0, "usage: walletd COMMAND", "serve", "import", "generate", "A first try")
	}
	for _, command := range []string{"serve", "import", "generate", "ids"} {
		for _, args := range [][]string{{"help", command}, {command, "--help"}, {command, "-h", "--nonsense"}} {
			runWalletd(t, args...).want(t, 0, "usage: walletd "+command, "example", "flags:", "--db")
		}
	}
	runWalletd(t, "version").want(t, 0, "walletd "+version+" (", runtime.Version())
	runWalletd(t, "help", "serve").want(t, 0, "--sidecar supervise", "[methods]", "starts a new one for each call, 0 to 65536 (default 128)", "--lifeline", "--max-message-bytes  bytes", "(required)", "--sidecar alone", "--front-local", "--sidecars 2")
	// The help text has the bounds that values are checked against.
	runWalletd(t, "help", "serve").want(t, 0, "on shutdown, 0 to 600000 (default 5000)", "65536 to 67108864", "at most 103 bytes")
	runWalletd(t, "help", "generate").want(t, 0, "1 to 10000000 ", "1 to 100000000 ")
}

func TestTheVersionSaysWhereTheCodeCameFrom(t *testing.T) {
	t.Parallel()
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for want, info := range map[string]*debug.BuildInfo{
		"dev":           nil,
		"dev (go1.26)":  {GoVersion: "go1.26", Main: debug.Module{Version: "(devel)"}},
		"dev (v1, go1)": {GoVersion: "go1", Main: debug.Module{Version: "v1"}},
		"dev (go1, abc)": {GoVersion: "go1", Settings: []debug.BuildSetting{
			setting("vcs.revision", "abc"), setting("vcs.modified", "false")}},
		"dev (go1, abc with changes)": {GoVersion: "go1", Settings: []debug.BuildSetting{
			setting("vcs.revision", "abc"), setting("vcs.modified", "true")}},
	} {
		if got := versionText(info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestExitCodesOfStoreAndFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	write := func(name, text string) string {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	const header = "account_id,seq,timestamp,amount_minor,kind,counterparty,balance_after\n"
	good := write("good.csv", header+"1,1,2000-01-01,5,k,,\n1,2,2000-01-01,0,k,,\n")
	bad := write("bad.csv", header+"1,1,2000-01-01,5,k,,\n1,2,2000-01-01,x,k,,\n")
	letter := write("letter.txt", strings.Repeat("dear reader, this is not a database ", 40))
	imports := func(db, file string) result {
		return runWalletd(t, "import", "--db", db, "--format", "cdnow", file)
	}
	imports(in("a.db"), good).want(t, 0, "1 transactions posted", "1 rows skipped without an amount", "0 bad")
	imports(in("a.db"), good).want(t, 0, "0 transactions posted", "2 rows were dealt with")
	imports(in("b.db"), bad).want(t, 65, bad+":3:16: amount_minor: must be a whole number", "run the same import again")
	imports(in("c.db"), in("missing.csv")).want(t, 66, "cannot open the file")
	imports(folder, good).want(t, 73, "is a folder")
	imports(letter, good).want(t, 65, "not a walletd store")
	imports(filepath.Join(folder, "none", "d.db"), good).want(t, 73, "check that the folder exists")
	serve := []string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--db"}
	runWalletd(t, append(serve, in("a.db"), "--ready-file", filepath.Join(folder, "none", "ready"))...).want(t, 73, "ready file")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	runWalletd(t, "serve", "--db", in("a.db"), "--listen", taken.Addr().String(), "--admin", "127.0.0.1:0").want(t, 69, "--listen: cannot listen there", "in use")
}

func TestGenerateIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	generate := func(name string, seed int) result {
		return runWalletd(t, "generate", "--db", filepath.Join(folder, name), "--seed", fmt.Sprint(seed), "--accounts", "50", "--transactions", "2000")
	}
	generate("a.db", 1).want(t, 0, "2000 transactions posted, 0 posted before")
	generate("a.db", 1).want(t, 0, "0 transactions posted, 2000 posted before")
}
