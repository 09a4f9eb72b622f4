package edgestore

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore/vfs"
)

// What was given up, and what was kept of it, outlive a power cut right behind.
func TestGiveUp_durable(t *testing.T) {
	mem := vfs.NewMem()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(mem.MkdirAll("d"))
	whole := bytes.Repeat([]byte("x"), 3*giveUpBytes)
	f, err := mem.Create("d/f")
	must(err)
	_, err = f.WriteAt(whole, 0)
	must(err)
	must(f.Sync())
	must(f.Close())
	must(mem.SyncDir("d"))
	faults := vfs.WithFaults(mem)
	faults.SetHook(func(c vfs.Call) error {
		if c.Op == vfs.OpRead && c.Name == "f" && c.Off == giveUpBytes {
			return syscall.EIO
		}
		return nil
	})
	parts, kept, err := GiveUp(faults, "d/f", "d")
	if err != nil || len(parts) != 1 || parts[0] != (GivenUp{giveUpBytes, 2 * giveUpBytes}) {
		t.Fatalf("%v %v", parts, err)
	}
	after := mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	want := bytes.Clone(whole)
	clear(want[giveUpBytes : 2*giveUpBytes])
	for name, want := range map[string][]byte{"d/f": want, kept: whole} {
		f, err := after.Open(name)
		must(err)
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
		must(f.Close())
	}
}
