//go:build !burn_cgo

package main

// inProcess needs a C compiler and the static library of the Rust burner, which no other build shall need.
func inProcess() (func(workNS uint32), error) {
	return nil, usageError("--answer cgo: this burnd was built without it; `make burnd` builds one with it (-tags burn_cgo)")
}
