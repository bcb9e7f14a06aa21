//go:build !burn_cgo

package main

// inProcess fails in this build. The one in inprocess.go needs a C compiler and the static library of the Rust burner,
// which ordinary builds must not need.
func inProcess() (func(workNS uint32), error) {
	return nil, usageError("--answer cgo: this burnd was built without it; `make burnd` builds one with it (-tags burn_cgo)")
}
