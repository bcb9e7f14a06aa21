//go:build burn_cgo

package main

/*
#cgo LDFLAGS: -lburner -lm -lpthread -ldl
#include <stdint.h>
void hotpath_burn(uint32_t work_ns);
*/
import "C"

// inProcess returns the burn function of the Rust burner that is linked into this process.
func inProcess() (func(workNS uint32), error) {
	// The first call calibrates.
	C.hotpath_burn(0)
	return func(workNS uint32) { C.hotpath_burn(C.uint32_t(workNS)) }, nil
}
