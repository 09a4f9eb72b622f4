package jetstream

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// A format is raised once and for all; a program that does not know it touches
// nothing.
func TestFormat_raised(t *testing.T) {
	x := newBox(t)
	newest := uint64(Format + 1)
	x.change = func(c *Config) { c.newestFormat = newest }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	x.put("S", "s", "x")
	if n := x.e.Format(); n != firstFormat {
		t.Errorf("a new folder has format %d", n)
	}
	x.drain() // a server that has the catalogue open
	if err := CheckFolder(x.dir); err != nil {
		t.Errorf("beside a server: %v", err)
	}
	for n, want := range map[uint64]string{newest + 1: "writes formats up to 3", firstFormat - 1: "no way back"} {
		if err := x.e.RaiseFormat(n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("to %d: %v", n, err)
		}
	}
	if err := errors.Join(x.e.RaiseFormat(firstFormat), x.e.RaiseFormat(newest)); err != nil {
		t.Fatal(err)
	}
	x.kill() // the journal has it, the catalogue not yet
	x.start()
	if n := x.e.Format(); n != newest {
		t.Errorf("after a kill: %d", n)
	}
	x.drain()
	x.kill()
	if n, err := FolderFormat(x.dir); n != newest || err != nil {
		t.Errorf("the catalogue says %d: %v", n, err)
	}
	files := func() (all string) {
		for _, name := range []string{"catalogue.db", "journal/journal.id"} {
			b, err := os.ReadFile(x.path(name))
			if err != nil {
				t.Fatal(err)
			}
			all += string(b)
		}
		return all
	}
	before := files()
	newest--
	if err := x.tryStart(); !errors.Is(err, edgestore.ErrFormat) || !strings.Contains(err.Error(), "format 3, this program reads formats up to 2") {
		t.Errorf("an older program: %v", err)
	}
	if files() != before {
		t.Error("an older program wrote something")
	}
	newest++
	x.start()
	if lost := x.check("S"); lost != 0 || x.e.Format() != newest {
		t.Errorf("%d lost, format %d", lost, x.e.Format())
	}
	x.put("S", "s", "y")
	x.drain()
	if err := CheckFolder(x.dir); !errors.Is(err, edgestore.ErrFormat) {
		t.Errorf("an older program beside a server: %v", err)
	}
}
