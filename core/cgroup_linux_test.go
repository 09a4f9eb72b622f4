package core

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCgroupMemory(t *testing.T) {
	for _, c := range []struct {
		name, own string
		files     map[string]string
		want      int64
	}{
		{"version 2", "0::/a/b\n", map[string]string{"a/b/memory.max": "max\n", "a/memory.max": "1000\n", "memory.max": "2000\n"}, 1000},
		{"memory.high", "0::/a\n", map[string]string{"a/memory.max": "1000\n", "a/memory.high": "900\n"}, 900},
		{"a container", "0::/\n", map[string]string{"memory.max": "2000\n"}, 2000},
		{"no limit", "0::/a\n", map[string]string{"a/memory.max": "max\n"}, 0},
		{"version 1", "9:name=systemd:/\n4:memory:/a/b\n1:cpu:/\n", map[string]string{"memory/a/memory.limit_in_bytes": "3000\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}, 3000},
		{"version 1, a container with the path of the machine", "4:cpu,memory:/docker/x\n", map[string]string{"memory/memory.limit_in_bytes": "5000\n"}, 5000},
		{"version 1, no limit", "4:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"neither", "", nil, 0},
		{"nonsense", "4\n0::\n::\n", map[string]string{"memory.max": "-5\n"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write := func(name, text string) {
				p := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write("proc/self/cgroup", c.own)
			for name, text := range c.files {
				write("sys/fs/cgroup/"+name, text)
			}
			if got := cgroupMemory(root); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
