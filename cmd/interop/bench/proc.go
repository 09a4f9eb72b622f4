package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuTime is what all threads of a process have run, in nanoseconds of the
// scheduler rather than ticks of 10 ms. Threads that ended are missing, which
// for these servers are none to speak of.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no threads of process %d", pid)
	}
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// rss is the resident memory in bytes.
func rss(pid int) (int64, error) { return status(pid, "VmRSS:") }

// status reads an amount of memory, in bytes.
func status(pid int, key string) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if rest, is := strings.CutPrefix(sc.Text(), key); is {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s of process %d", key, pid)
}

// flushes is how many flushes the block device below dir has completed since
// the machine started; -1 when it cannot be told (a file system without a
// device, an old kernel). It counts for the whole device.
func flushes(dir string) int64 {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return -1
	}
	major, minor := (st.Dev>>8)&0xfff, st.Dev&0xff|(st.Dev>>12)&^0xff
	text, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		// Documentation/admin-guide/iostats.rst: field 16 of the statistics,
		// behind major, minor and name.
		if len(f) < 20 || f[0] != fmt.Sprint(major) || f[1] != fmt.Sprint(minor) {
			continue
		}
		n, err := strconv.ParseInt(f[18], 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	return -1
}
