// Package machine describes the machine of a run. The figures of a run mean nothing without it.
package machine

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine describes the machine and the programs that the figures depend on.
type Machine struct {
	Cores    int    `json:"cores"`
	CPU      string `json:"cpu"`
	Memory   string `json:"memory"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	Walletd  string `json:"walletd,omitempty"`
	Hotpathd string `json:"hotpathd,omitempty"`
}

// This describes the machine that this process runs on, and the given binaries. A binary without a path is left out.
func This(walletd, hotpathd string) Machine {
	m := Alone()
	m.Walletd, m.Hotpathd = version(walletd, "version"), version(hotpathd, "--version")
	return m
}

// Alone describes the machine that this process runs on, for figures that depend on no binary.
func Alone() Machine {
	return Machine{
		Cores:  runtime.NumCPU(),
		CPU:    field("/proc/cpuinfo", "model name"),
		Memory: field("/proc/meminfo", "MemTotal"),
		Kernel: firstLine(read("/proc/sys/kernel/osrelease")),
		Go:     runtime.Version(),
	}
}

func version(bin, argument string) string {
	if bin == "" {
		return ""
	}
	return firstLine(Said(context.Background(), "", bin, argument))
}

// Commit returns the commit that is checked out in a folder, and says so if files differ from it.
func Commit(ctx context.Context, dir string) string {
	commit := Said(ctx, dir, "git", "rev-parse", "HEAD")
	if !strings.HasPrefix(commit, unknown) && Said(ctx, dir, "git", "status", "--porcelain") != "" {
		commit += " with changes"
	}
	return commit
}

const unknown = "unknown: "

// Said returns what a program prints, or why that is unknown.
func Said(ctx context.Context, dir string, args ...string) string {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = dir
	output, err := command.Output()
	if err != nil {
		return unknown + err.Error()
	}
	return strings.TrimSpace(string(output))
}

// field returns the value of the first "name : value" in a file of /proc, or "".
func field(path, name string) string {
	for line := range strings.Lines(read(path)) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}
