//go:build !linux

package supervise

// withoutParents has one sidecar only: on this system only the lifeline ends a sidecar with its parent.
func withoutParents() []string { return []string{"sidecar"} }

func answering() { sidecar(false) }
