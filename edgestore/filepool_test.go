package edgestore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// openChunkFiles counts the descriptors of this process below dir.
func openChunkFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) && runtime.GOOS != "linux" {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, dir) {
			n++
		}
	}
	return n
}

// A thousand stores live with sixteen open files.
func TestFilePool_manyStores(t *testing.T) {
	const stores, bound, readers = 1000, 16, 4
	root := t.TempDir()
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(root, "first"), Incarnation: 7, Blobs: blobs, Files: edgestore.NewFilePool(bound)}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(10)
	f.mustFlush()
	f.s.Close()
	if n := o.Files.Open(); n != 0 {
		t.Fatalf("%d files are open after the close", n)
	}
	files := readDir(t, o.Dir)
	for name, b := range files {
		files[name] = b[:(used(b)+4095)&^4095]
	}
	all := make([]edgestore.Store, stores)
	for i := range all {
		o.Dir = filepath.Join(root, fmt.Sprint(i))
		writeDir(t, o.Dir, files)
		all[i] = mustOpen(t, o)
		if n := o.Files.Open(); n > bound {
			t.Fatalf("%d files are open", n)
		}
	}
	most := func(what string, n int) {
		t.Helper()
		if pool, fds := o.Files.Open(), openChunkFiles(t, root); pool > n || fds > n {
			t.Fatalf("%s: %d files are open, %d descriptors", what, pool, fds)
		}
	}
	most("after the opens", bound)
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for i := r; i < stores; i += readers {
				for seq := uint64(1); seq <= 10; seq += 9 {
					if m, _, err := all[i].Load(seq, nil); err != nil || m.Body[0] != byte(seq) {
						t.Errorf("store %d message %d: %v", i, seq, err)
					}
				}
			}
		})
	}
	for i := 0; i < stores; i += 25 {
		f.s, f.last = all[i], 10
		f.add(1)
		f.mustFlush()
	}
	wg.Wait()
	most("after reads and flushes", bound+readers)
	for i := 0; i < stores; i += 25 {
		if m, _, err := all[i].Load(11, nil); err != nil || m.Body[0] != 11 {
			t.Errorf("store %d: %v", i, err)
		}
	}
	for _, s := range all {
		s.Close()
	}
	if n := o.Files.Open(); n != 0 {
		t.Fatalf("%d files are open after the close", n)
	}
	// With one file at a time the suite's random test holds too.
	o = edgestore.FileOptions{Dir: t.TempDir(), Incarnation: 7, Blobs: new(edgestoretest.Blobs), Files: edgestore.NewFilePool(1),
		MaxFileBytes: 64 << 10, CacheBytes: 1, Invariants: true}
	s := mustOpen(t, o)
	edgestoretest.Random(t, edgestoretest.RandomOptions{Seed: *seedFlag + 9, Steps: rounds(100, 400), Store: s, Blobs: o.Blobs.(*edgestoretest.Blobs),
		Crash: func(t testing.TB) edgestore.Store {
			s.Close()
			s = mustOpen(t, o)
			return s
		}})
}
