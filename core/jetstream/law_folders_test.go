package jetstream

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A folder stands in the place of a file of the journal, as a repair of the file
// system may leave one. The server starts as without the file, nothing of the
// folder is removed, and that is told.
func TestLaw_folderInPlaceOfAFile(t *testing.T) {
	for _, c := range []struct {
		name string
		lost bool // what was not drained
	}{
		{name: "journal.id"},
		{name: "lock"},
		{name: "reserve"},
		{name: "0000000000000001.seg", lost: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, "name=S subjects=[s]")
			for i := range 10 {
				x.put("S", "s", text(i))
			}
			x.drain()
			for i := range 5 {
				x.put("S", "s", text(10+i))
			}
			x.kill()
			file := x.path("journal", c.name)
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(file, "kept"), 0o700); err != nil {
				t.Fatal(err)
			}
			x.start()
			var where string
			for _, d := range x.e.Damage(true) {
				if strings.Contains(d.What, "a folder was in the place of the journal's file "+c.name) {
					where = d.Where
				}
			}
			if _, err := os.Stat(filepath.Join(where, "kept")); err != nil || where == "" {
				t.Fatalf("the folder is at %q (%v); told: %+v", where, err, x.e.Damage(true))
			}
			var a streamAnswer
			x.b.call(t, "STREAM.INFO.S", "", &a)
			if a.State.LastSeq < 15 || (a.State.Msgs < 15) != c.lost {
				t.Errorf("the stream has %d messages up to %d", a.State.Msgs, a.State.LastSeq)
			}
			x.put("S", "s", "goes on")
			told := x.e.Damage(true)
			x.kill()
			x.start()
			if again := x.e.Damage(true); len(again) != len(told) {
				t.Errorf("told again: %+v", again)
			}
		})
	}
}

// crampedTable is a disk that has no room for a catalogue beside the spare file.
type crampedTable struct{ diskBackend }

func (b crampedTable) table() (table, error) {
	if _, err := os.Stat(filepath.Join(b.c.Dir, spareName)); err == nil {
		return nil, &os.PathError{Op: "write", Path: catalogueFile, Err: syscall.ENOSPC}
	}
	return b.diskBackend.table()
}

// The catalogue is gone, and the disk is full: it is made again all the same.
func TestLaw_catalogueGoneOnAFullDisk(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	x.put("S", "s", text(0))
	x.kill()
	mustRemove(t, x.path(catalogueFile))
	x.change = func(c *Config) { c.backend = crampedTable{diskBackend{c}} }
	x.start()
	x.put("S", "s", text(1))
	if lost := x.check("S"); lost != 0 {
		t.Errorf("%d are lost", lost)
	}
	if x.toldKind(DamageCatalogue) == nil {
		t.Error("that the catalogue was gone is not told")
	}
}
