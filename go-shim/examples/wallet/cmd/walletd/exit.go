package main

import (
	"context"
	"errors"
	"io/fs"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/examples/wallet/importer"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// These are exit codes, most of them from sysexits.h, so that scripts can tell a typing mistake from a full disk.
const (
	exitOK          = 0
	exitUsage       = 64
	exitData        = 65
	exitNoInput     = 66
	exitUnavailable = 69
	exitCreate      = 73
	exitIO          = 74
	exitInterrupted = 130
)

// errListen means that the address is taken, or is not one of this machine.
var errListen = errors.New("cannot listen there: free the address, or choose another")

// errHelp means that help was asked for and has been printed.
var errHelp = errors.New("help was given")

// usageError is a message about the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.Is(err, shim.ErrConfig):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, importer.ErrBadData),
		errors.Is(err, store.ErrEmpty), errors.Is(err, store.ErrLost), errors.Is(err, store.ErrLinked),
		errors.Is(err, store.ErrNotStore), errors.Is(err, store.ErrVersion), errors.Is(err, store.ErrCorrupt):
		return exitData
	case errors.Is(err, importer.ErrNoInput), errors.Is(err, store.ErrNoStore):
		return exitNoInput
	case errors.Is(err, store.ErrLocked), errors.Is(err, errListen):
		return exitUnavailable
	case errors.Is(err, store.ErrFull):
		return exitIO
	case errors.Is(err, store.ErrCreate), errors.Is(err, store.ErrReadOnly), errors.Is(err, errReadyFile), errors.Is(err, fs.ErrPermission):
		return exitCreate
	default:
		return exitIO
	}
}
