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
)

// These are the errors of Root and FindHotpathd.
var (
	ErrNoRoot     = errors.New("not inside the repository: no directory above holds Cargo.toml and go-shim")
	ErrNoHotpathd = errors.New("no hotpathd: run `cargo build --bin hotpathd`, or name a built one in " + HotpathdVariable)
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
func FindHotpathd() (string, error) {
	path := os.Getenv(HotpathdVariable)
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "target", "debug", "hotpathd")
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return "", fmt.Errorf("%s: %w", path, ErrNoHotpathd)
	}
	return filepath.Abs(path)
}

// FindWalletd returns the path of the service to test: TEST_WALLETD if it is set. Otherwise it builds one into dir,
// with the given flags of go build.
func FindWalletd(dir string, flags ...string) (string, error) {
	if path := os.Getenv(WalletdVariable); path != "" {
		return filepath.Abs(path)
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "walletd")
	arguments := append([]string{"build", "-o", bin}, flags...)
	build := exec.Command("go", append(arguments, "./wallet/cmd/walletd")...)
	build.Dir = filepath.Join(root, "go-shim", "examples")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build walletd: %w\n%s", err, output)
	}
	return bin, nil
}
