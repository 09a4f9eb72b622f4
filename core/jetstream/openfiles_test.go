package jetstream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Many streams take, give and drain messages with few open files, also after a
// restart, which opens all of them.
func TestEngine_fewOpenFiles(t *testing.T) {
	const streams, bound = 24, 3
	dir := t.TempDir()
	few := func(c *Config) { c.Dir, c.OpenFiles = dir, bound }
	for restart := range 2 {
		t.Run(fmt.Sprint("start ", restart), func(t *testing.T) {
			e, b := newTestEngine(t, few)
			for i := range streams {
				name := fmt.Sprintf("S%d", i)
				if restart == 0 {
					mustStream(t, b, fmt.Sprintf("name=%q subjects=[%q]", name, name))
				}
				if a := b.publish(t, name, "x"); a.Seq != uint64(restart+1) {
					t.Fatalf("%s: %+v", name, a)
				}
			}
			if err := e.drain.drain(); err != nil {
				t.Fatal(err)
			}
			for _, s := range e.allStreams() {
				if m, _, err := s.store.Load(1, nil); err != nil || string(m.Body) != "x" {
					t.Fatalf("%s: %v", s.name, err)
				}
			}
			if n := e.cfg.files.Open(); n > bound {
				t.Errorf("%d files of stores are open", n)
			}
			entries, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				return // not this system
			}
			n := 0
			for _, f := range entries {
				to, err := os.Readlink(filepath.Join("/proc/self/fd", f.Name()))
				if err == nil && strings.HasPrefix(to, dir) && strings.HasSuffix(to, ".chunks") {
					n++
				}
			}
			if n > bound {
				t.Errorf("%d descriptors of stores", n)
			}
		})
	}
}
