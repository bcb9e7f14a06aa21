package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// These environment variables name built binaries for the tests.
const (
	HotpathdVariable = "TEST_HOTPATHD"
	WalletdVariable  = "TEST_WALLETD"
	FaultyVariable   = "TEST_FAULTY_SIDECAR"
)

// These are the errors of Root, FindHotpathd and FindFaulty.
var (
	ErrNoRoot     = errors.New("not inside the repository: no directory above holds Cargo.toml and go-shim")
	ErrNoHotpathd = errors.New("no hotpathd: run `cargo build --bin hotpathd`, or name a built one in " + HotpathdVariable)
	ErrNoFaulty   = errors.New("no faulty-sidecar: run `cargo build -p faulty-sidecar`, or name a built one in " + FaultyVariable)
)

// Root returns the top folder of the repository that the working directory is in.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("repository: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		_, cargo := os.Stat(filepath.Join(dir, "Cargo.toml"))
		_, shim := os.Stat(filepath.Join(dir, "go-shim"))
		if cargo == nil && shim == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", ErrNoRoot
		}
	}
}

// FindHotpathd returns the path of the sidecar to test: TEST_HOTPATHD if it is set, else the debug build.
func FindHotpathd() (string, error) { return find(HotpathdVariable, "hotpathd", ErrNoHotpathd) }

// FindFaulty returns the path of the sidecar with a fault: TEST_FAULTY_SIDECAR if it is set, else the debug build.
func FindFaulty() (string, error) { return find(FaultyVariable, "faulty-sidecar", ErrNoFaulty) }

func find(variable, name string, missing error) (string, error) {
	path := os.Getenv(variable)
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "target", "debug", name)
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return "", fmt.Errorf("%s: %w", path, missing)
	}
	return filepath.Abs(path)
}

// FindWalletd returns the path of the service to test: TEST_WALLETD if it is set. Otherwise it builds one into dir,
// with the given flags of go build.
func FindWalletd(dir string, flags ...string) (string, error) {
	if path := os.Getenv(WalletdVariable); path != "" {
		return filepath.Abs(path)
	}
	return build(filepath.Join(dir, "walletd"), "./wallet/cmd/walletd", flags...)
}

// BuildHotpathctl builds hotpathctl into dir.
func BuildHotpathctl(dir string) (string, error) {
	return build(filepath.Join(dir, "hotpathctl"), "hotpath.dev/go-shim/cmd/hotpathctl")
}

func build(bin, target string, flags ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	build := exec.Command("go", append(append([]string{"build", "-o", bin}, flags...), target)...)
	build.Dir = filepath.Join(root, "go-shim", "examples")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", target, err, output)
	}
	return bin, nil
}
