// Package adopting follows docs/adopting.md to the letter. Its test takes minutes and downloads what an adopter would
// download, so only `make adopting` runs it.
package adopting
