package core

import (
	"os"
	"path"
	"strconv"
	"strings"
)

// cgroupMemory is what the cgroups of this process, its own and those above it,
// let it take before the kernel holds it up or ends it; 0 for any amount. root is
// where /proc and /sys are.
func cgroupMemory(root string) (least int64) {
	text, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		mount, files := "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		switch {
		case f[0] == "0" && f[1] == "": // version 2
		case strings.Contains(","+f[1]+",", ",memory,"):
			mount, files = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		default:
			continue
		}
		// In a container the path may be that of the machine, where this process
		// sees nothing: the mount itself is its cgroup then.
		for at := path.Join("/", f[2]); ; at = path.Dir(at) {
			for _, name := range files {
				if n := bytesIn(path.Join(root, mount, at, name)); n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

// noLimit is more than any limit: version 1 writes the largest number of pages.
const noLimit = 1 << 60

func bytesIn(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= noLimit { // "max"
		return 0
	}
	return n
}
