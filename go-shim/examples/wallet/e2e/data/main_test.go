//go:build datatest

// Package data checks walletd and hotpathd on the real ledgers, which the repository does not ship. `make data-test`
// runs it; HOTPATH_DATA says where the files are.
package data

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// found holds the paths that TestMain found or built. Nothing changes them later.
var found struct{ walletd, hotpathd, data string }

const dataVariable = "HOTPATH_DATA"

var errNoData = errors.New("the real ledgers are not there: put berka, cdnow and uk_spending, each with " +
	"normalised.csv.gz, into one folder and name it in " + dataVariable)

func TestMain(m *testing.M) { os.Exit(withData(m)) }

func withData(m *testing.M) int {
	dir, err := os.MkdirTemp("", "data-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "data:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := find(dir); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	return m.Run()
}

func find(dir string) error {
	var err error
	if found.data, err = dataFolder(); err != nil {
		return err
	}
	if found.hotpathd, err = rig.FindHotpathd(); err != nil {
		return err
	}
	found.walletd, err = rig.FindWalletd(dir)
	return err
}

// dataFolder returns HOTPATH_DATA, or the shared folder beside the repository.
func dataFolder() (string, error) {
	folder := os.Getenv(dataVariable)
	if folder == "" {
		root, err := rig.Root()
		if err != nil {
			return "", err
		}
		folder = filepath.Join(root, "..", "shared", "data")
	}
	for _, ledger := range []string{"berka", "cdnow", "uk_spending"} {
		if _, err := os.Stat(file(folder, ledger)); err != nil {
			return "", fmt.Errorf("%w (%w)", errNoData, err)
		}
	}
	return folder, nil
}

func file(folder, ledger string) string { return filepath.Join(folder, ledger, "normalised.csv.gz") }
