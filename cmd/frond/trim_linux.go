package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// trim gives back the pages of the program that only its start has needed: they
// are as they are in the file, and the kernel brings those that are used again.
// On a small machine that is half of what an idle server has in memory. So it is
// with the garbage of the recovery.
func trim() {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return // not all kernels have it
	}
	for _, m := range cleanMappings(string(text), exe) {
		// An error means that the pages stay.
		syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

type mapping struct{ from, to uintptr }

// cleanMappings finds in smaps (proc_pid_smaps(5)) where a file is mapped and
// not one page differs from it. Pages that can't be written may differ too: a
// loader that relocates has changed them before.
func cleanMappings(smaps, file string) []mapping {
	var clean []mapping
	var m mapping
	ours := false
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if f[0] == "Anonymous:" {
			if ours && f[1] == "0" {
				clean = append(clean, m)
			}
			ours = false
			continue
		}
		from, to, dash := strings.Cut(f[0], "-")
		if !dash || len(f) < 6 {
			continue
		}
		a, errFrom := strconv.ParseUint(from, 16, strconv.IntSize)
		b, errTo := strconv.ParseUint(to, 16, strconv.IntSize)
		ours = errFrom == nil && errTo == nil && f[5] == file && strings.HasPrefix(f[1], "r-")
		m = mapping{uintptr(a), uintptr(b)}
	}
	return clean
}
