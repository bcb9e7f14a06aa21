//go:build burn_cgo

package main

import "testing"

func TestRustInThisProcessAnswersTheSame(t *testing.T) { check(t, start(t, "--answer", "cgo"), false) }
