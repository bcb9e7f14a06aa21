package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 wherever Go runs on Linux.
const tick = time.Second / 100

// Account holds what the kernel accounts to one process. It needs Linux.
type Account struct {
	Name string
	// Parent is the process id of the parent.
	Parent int
	// CPU is the user and system time of all threads, including those that have ended.
	CPU time.Duration
	// RSS is the resident memory in bytes.
	RSS int64
}

// ErrBadStat means that a /proc/PID/stat could not be parsed.
var ErrBadStat = errors.New("/proc/PID/stat: not in the form that proc(5) describes")

// AccountOf reads the account of a process.
func AccountOf(pid int) (Account, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Account{}, fmt.Errorf("account of process %d: %w", pid, err)
	}
	return parseStat(string(text))
}

// parseStat parses a /proc/PID/stat. The fields start after the last ")", because the name before it may contain spaces
// and brackets.
func parseStat(text string) (Account, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Account{}, ErrBadStat
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 22 {
		return Account{}, ErrBadStat
	}
	// proc(5) counts fields from 1 and includes the two before the ")". So state is its field 3 and fields[0] here.
	numbers := make(map[int]int64)
	for _, field := range []int{4, 14, 15, 24} {
		n, err := strconv.ParseInt(fields[field-3], 10, 64)
		if err != nil {
			return Account{}, ErrBadStat
		}
		numbers[field] = n
	}
	return Account{
		Name:   text[open+1 : end],
		Parent: int(numbers[4]),
		CPU:    time.Duration(numbers[14]+numbers[15]) * tick,
		RSS:    numbers[24] * int64(os.Getpagesize()),
	}, nil
}

// CPU returns the CPU time that the given processes have used together.
func CPU(pids ...int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		account, err := AccountOf(pid)
		if err != nil {
			return 0, err
		}
		sum += account.CPU
	}
	return sum, nil
}

// nameBytes is how many bytes of a program's name the kernel keeps.
const nameBytes = 15

// Children returns the ids of the running processes that pid started and whose program has this name.
func Children(pid int, name string) ([]int, error) {
	name = name[:min(len(name), nameBytes)]
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("children of %d: %w", pid, err)
	}
	var found []int
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended meanwhile
		}
		account, err := parseStat(string(text))
		if err != nil || account.Parent != pid || account.Name != name {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			found = append(found, child)
		}
	}
	return found, nil
}

// Exists returns whether the process is there and is not a zombie.
func Exists(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}
