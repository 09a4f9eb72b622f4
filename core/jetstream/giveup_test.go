package jetstream

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// A place of the journal that the disk does not read for good refuses the start;
// given up, exactly what was there is lost, and told.
func TestGiveUp_unreadableJournal(t *testing.T) {
	x := newBox(t)
	disk := vfs.WithFaults(vfs.OS{})
	x.change = func(c *Config) { c.Journal.FS = disk }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	for i := range 60 {
		x.put("S", "s", fmt.Sprint(i, strings.Repeat("x", 1000)))
	}
	x.kill()
	segments, err := filepath.Glob(x.path("journal", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	const bad = 33000
	disk.SetHook(func(c vfs.Call) error {
		if c.Op == vfs.OpRead && c.Name == filepath.Base(segments[0]) && c.Off <= bad && c.Off+int64(c.Len) > bad {
			return syscall.EIO
		}
		return nil
	})
	for range 2 {
		if err := x.tryStart(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("the start: %v", err)
		}
	}
	given := 0
	for _, name := range segments {
		parts, kept, err := edgestore.GiveUp(disk, name, x.path("quarantine"))
		if err != nil {
			t.Fatal(err)
		}
		if given += len(parts); len(parts) == 0 {
			continue
		}
		if want := (edgestore.GivenUp{From: bad / 4096 * 4096, To: bad/4096*4096 + 4096}); len(parts) != 1 || parts[0] != want {
			t.Errorf("%s: %v, want %v", name, parts, want)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Error(err)
		}
	}
	if given != 1 {
		t.Fatalf("%d parts given up", given)
	}
	disk.SetHook(nil)
	x.start()
	if lost := x.check("S"); lost == 0 || lost > 8 {
		t.Errorf("%d messages are lost", lost)
	}
	if a := x.put("S", "s", "new"); a.Seq != 61 {
		t.Errorf("a new one: %+v", a)
	}
}

// A stream that has stopped keeps its operations in the journal; who looks is
// told which, and deleting it lets them go.
func TestPinning_stoppedStream(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustStream(t, x.b, "name=OTHER subjects=[other]")
	x.put("S", "s", "x")
	s := x.e.account("A").stream("S")
	s.mu.Lock()
	_ = s.fail(errors.New("test"))
	s.mu.Unlock()
	x.put("OTHER", "other", "x")
	pinned := func() bool {
		x.drain()
		newest := edgestore.LSN(x.e.drain.newest.Load())
		return x.e.releasable(newest) < newest
	}
	if !pinned() || !strings.Contains(x.e.diskText(), `stopped, repair or delete them: "S"`) {
		t.Errorf("pinned: %v; told: %s", pinned(), x.e.diskText())
	}
	if err := x.e.deleteStream(x.e.account("A"), "S"); err != nil {
		t.Fatal(err)
	}
	if pinned() || strings.Contains(x.e.diskText(), "stopped") {
		t.Errorf("pinned: %v; told: %s", pinned(), x.e.diskText())
	}
}
