package edgestore_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Wherever the power goes while a file is given up, there is a file of its name:
// the one as it was, or the one with zeros for what can't be read. Once that is
// said to be done it stays, and so does what was there before.
func TestGiveUp_powerCut(t *testing.T) {
	const dir, aside, bad = "d/journal", "d/quarantine", 8192
	path := filepath.Join(dir, "1.seg")
	before := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	after := bytes.Clone(before)
	clear(after[bad : bad+4096])
	read := func(disk *vfs.Mem, name string) []byte {
		f, err := disk.Open(name)
		if err != nil {
			return nil
		}
		defer f.Close()
		b := make([]byte, len(before))
		n, _ := f.ReadAt(b, 0)
		return b[:n]
	}
	cuts := 0
	for noLinks := range 2 {
		for cut, done := 1, false; !done; cut++ {
			mem := vfs.NewMem()
			for _, d := range []string{dir, aside} {
				if err := mem.MkdirAll(d); err != nil {
					t.Fatal(err)
				}
			}
			f, err := mem.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(before, 0); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Sync(), f.Close(), mem.SyncDir(dir)); err != nil {
				t.Fatal(err)
			}
			disk := vfs.WithFaults(mem)
			calls := 0
			disk.SetHook(func(c vfs.Call) error {
				switch {
				case c.Op == vfs.OpRead && c.Name == "1.seg" && c.Off <= bad && c.Off+int64(c.Len) > bad:
					return syscall.EIO
				case c.Op == vfs.OpRead, c.Op == vfs.OpClose:
					return nil
				case c.Op == vfs.OpLink && noLinks == 1:
					return syscall.EPERM
				}
				if calls++; calls >= cut {
					return errors.New("the power is gone")
				}
				return nil
			})
			parts, kept, err := edgestore.GiveUp(disk, path, aside)
			done = calls < cut
			if done != (err == nil) || done && (len(parts) != 1 || parts[0] != (edgestore.GivenUp{From: bad, To: bad + 4096})) {
				t.Fatalf("cut %d of %d calls: %v, %v", cut, calls, parts, err)
			}
			for seed := range uint64(20) {
				crashed := mem.Crash(rand.New(rand.NewPCG(seed, uint64(cut))), 0.5)
				switch b := read(crashed, path); {
				case done && !bytes.Equal(b, after):
					t.Errorf("given up, and after a power cut it is not: %d bytes", len(b))
				case !bytes.Equal(b, before) && !bytes.Equal(b, after):
					t.Errorf("links %v, call %d: the power cut leaves a file of %d bytes", noLinks == 0, cut, len(b))
				case bytes.Equal(b, after) || done:
					was := read(crashed, filepath.Join(aside, "1.seg.unread-1"))
					if want := [][]byte{before, after}[noLinks]; !bytes.Equal(was, want) {
						t.Errorf("links %v, call %d: what was there is gone: %d bytes", noLinks == 0, cut, len(was))
					}
				}
				cuts++
			}
			if done && !strings.HasSuffix(kept, "1.seg.unread-1") {
				t.Errorf("kept as %q", kept)
			}
		}
	}
	if cuts < 400 {
		t.Errorf("only %d power cuts", cuts)
	}
}

// What is refused on the way leaves nothing behind.
func TestGiveUp_fails(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir, vfs.OpRename} {
		mem := vfs.NewMem()
		f, err := mem.Create("d/f")
		if err == nil {
			_, err = f.WriteAt(make([]byte, 9000), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		disk := vfs.WithFaults(mem)
		disk.SetHook(func(c vfs.Call) error {
			if c.Op == op || c.Op == vfs.OpRead && c.Off == 4096 {
				return syscall.EIO
			}
			return nil
		})
		if parts, kept, err := edgestore.GiveUp(disk, "d/f", "q"); !errors.Is(err, syscall.EIO) || parts != nil || kept != "" {
			t.Errorf("%s fails: %v, %q, %v", op, parts, kept, err)
		}
		names, _ := mem.List("d")
		more, _ := mem.List("q")
		if len(names) != 1 || names[0] != "f" || len(more) != 0 {
			t.Errorf("%s fails: left %q, %q", op, names, more)
		}
	}
}
