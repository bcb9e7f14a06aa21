package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

func TestMistakesAreNamed(t *testing.T) {
	built := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(built, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	programs := []string{"--walletd", built, "--hotpathd", built, "--hotpathctl", built}
	for args, want := range map[string]string{
		"":                                        `--db "": is no ledger`,
		"--db /nowhere":                           `--db "/nowhere": is no ledger`,
		"--db " + built + " --compare 10":         "--compare: must be from 1000 to 1000000000",
		"--db " + built + " --front-door barn":    `--front-door "barn": must be one of stock, spliced`,
		"--db " + built + " --rate 0 --askers 0":  "--rate: must be from 1 to 1000000",
		"--db " + built + " more":                 `unexpected argument "more"`,
		"--db " + built + " --hotpathctl nowhere": "--hotpathctl nowhere: is no file",
	} {
		_, err := configure(append(programs, strings.Fields(args)...), os.Getenv, io.Discard)
		if !errors.Is(err, command.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if c, err := configure(append(programs, "--db", built), os.Getenv, io.Discard); err != nil || c.compare != 1_000_000 {
		t.Errorf("%+v, %v", c, err)
	}
}
