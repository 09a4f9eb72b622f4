package core

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// memoryTotal is the memory of the machine, or of the cgroup if that has less.
func memoryTotal() int64 {
	// Not /proc/meminfo: a unit with ProcSubset=pid has none, and a limit made
	// from no memory at all would be no limit.
	var total int64
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	if n := cgroupMemory("/"); n > 0 && (total == 0 || n < total) {
		total = n
	}
	return total
}

// memoryUsed is what this process has in memory.
func memoryUsed() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// diskFree is what may still be written to the file system of dir.
func diskFree(dir string) int64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

// cpuTime is the processor time this process has used, in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
