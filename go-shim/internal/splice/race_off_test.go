//go:build !race

package splice

const racing = false
