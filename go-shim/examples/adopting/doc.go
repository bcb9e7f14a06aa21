// Package adopting follows docs/adopting.md to the letter. Its test takes minutes and downloads what an adopter would, so
// it runs by `make adopting` only.
package adopting
