//go:build race

package splice

// racing is true if the race detector runs, which makes pools forget at random.
const racing = true
