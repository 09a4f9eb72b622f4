package jetstream

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore/vfs"
)

// fileKind is a kind of file in the folder of the engine, and what is to be told when
// one of it is damaged: "" is that it is told, else why it is lawful to say nothing.
type fileKind struct {
	name     string            // which of the files: see kindOf
	gone     string            // it was removed, or filled with zeros
	parts    map[string]string // of its pages that were filled with zeros
	readOnly bool              // zeros are told when somebody reads what was there
}

const holdsNothing = "it holds nothing, and is made again"

var fileKinds = []fileKind{
	{name: "catalogue.db", parts: map[string]string{"page 0": "", "page 1": ""}},
	{name: "journal/journal.id", parts: map[string]string{
		"page 0": "", "page 1": "", "page 2": "",
		"page 3": "nobody syncs a mark: after a crash the second may never have been written",
	}},
	{name: "journal/lock", gone: "it is empty, and its folder is locked too"},
	{name: "journal/ballast", gone: holdsNothing},
	{name: "journal/reserve", gone: holdsNothing},
	{name: "spare", gone: holdsNothing},
	{name: "active segment", parts: map[string]string{"page 0": "", "page 1": ""}},
	{name: "next segment", gone: "nothing was written to it yet", parts: map[string]string{"page 0": "nothing was written to it yet"}},
	{name: "old file", readOnly: true, parts: map[string]string{"page 0": "", "page 1": ""}},
	{name: "head", parts: map[string]string{"page 0": "", "page 1": ""}},
	{name: "small store", parts: map[string]string{"page 0": "", "page 1": ""}},
	{name: "message ids"},
}

// kindsIn names each kind of file in a folder as writeEachKind leaves it.
func kindsIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	kinds := make(map[string]string)
	var segments []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		rel = filepath.ToSlash(rel)
		switch {
		case strings.HasSuffix(rel, ".seg"):
			segments = append(segments, rel)
		case strings.HasPrefix(rel, "streams/1/") && strings.HasSuffix(rel, ".chunks"):
			if kinds["old file"] == "" {
				kinds["old file"] = rel
			}
			kinds["head"] = rel
		case strings.HasPrefix(rel, "streams/2/") && strings.HasSuffix(rel, ".chunks"):
			kinds["small store"] = rel
		case strings.HasSuffix(rel, ".ids"):
			kinds["message ids"] = rel
		default:
			kinds[rel] = rel
		}
		return err
	})
	if n := len(segments); err != nil || n < 3 {
		t.Fatal(segments, err)
	}
	kinds["active segment"], kinds["next segment"] = segments[len(segments)-2], segments[len(segments)-1]
	return kinds
}

// writeEachKind leaves a folder that has each kind of file.
func writeEachKind(t *testing.T, x *box) {
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] duplicate_window=1h")
	mustStream(t, x.b, "name=T subjects=[t]")
	filling := strings.Repeat("x", 2000)
	for i := range 200 {
		if i == 40 || i == 80 {
			x.drain()
		}
		x.put("S", "s", text(i)+filling, "Nats-Msg-Id", text(i))
		if i < 5 {
			x.put("T", "t", text(i))
		}
	}
}

// Each kind of file that the engine writes, removed or filled with zeros, as a whole
// or a page of it that says what the rest is: nothing is lost without a word, and a
// damage that loses nothing is told too, by one line and an entry that name the file,
// and mended, so that the next start has nothing to tell. Where nothing is told it is
// said why that is right, and no kind of file is left out.
func TestLaw_eachFile(t *testing.T) {
	base := newBox(t)
	base.change = func(c *Config) { c.StoreFileBytes, c.idBytes = 64<<10, 2<<10 }
	writeEachKind(t, base)
	// The journal has its files ready a little later.
	eventually(t, func() bool {
		segments, _ := filepath.Glob(base.path("journal", "*.seg"))
		if len(segments) < 3 {
			return false
		}
		active, _ := os.ReadFile(segments[len(segments)-2])
		for _, name := range []string{base.path("journal", "ballast"), base.path("journal", "reserve"), base.path("spare")} {
			if _, err := os.Stat(name); err != nil {
				return false
			}
		}
		return bytes.Contains(active, []byte(text(199)))
	})
	base.kill()
	kinds := kindsIn(t, base.dir)
	for _, k := range fileKinds {
		file := kinds[k.name]
		delete(kinds, k.name)
		whole, err := os.ReadFile(base.path(file))
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		x := &faultyBox{t: t, base: base, file: file}
		x.try("gone", k.gone, os.Remove)
		if len(whole) > 0 && !k.readOnly {
			x.try("zeros", k.gone, func(path string) error { return os.WriteFile(path, make([]byte, len(whole)), 0o600) })
		}
		for part, why := range k.parts {
			n := int(part[len(part)-1] - '0')
			b := bytes.Clone(whole)
			clear(b[n*4096:][:4096])
			if bytes.Equal(b, whole) {
				t.Errorf("%s: %s has nothing but zeros", k.name, part)
			}
			x.try(part, why, func(path string) error { return os.WriteFile(path, b, 0o600) })
		}
	}
	for kind := range kinds {
		t.Errorf("%s: nobody says what is told of it", kind)
	}
}

// faultyBox tries faults of one file on copies of a folder.
type faultyBox struct {
	t    *testing.T
	base *box
	file string
}

func (f *faultyBox) try(what, silent string, fault func(path string) error) {
	f.t.Run(f.file+" "+what, func(t *testing.T) {
		log := new(testkit.Log)
		x := &box{t: t, dir: filepath.Join(t.TempDir(), "jetstream"), still: &stillFS{FS: vfs.OS{}}, acked: f.base.acked}
		x.change = func(c *Config) { f.base.change(c); c.Logger = log.Logger() }
		t.Cleanup(x.stop)
		if err := copyOnce(f.base.dir, x.dir); err != nil {
			t.Fatal(err)
		}
		path := x.path(filepath.FromSlash(f.file))
		if err := fault(path); err != nil {
			t.Fatal(err)
		}
		x.start()
		lost := x.check("S") + x.check("T")
		list := x.e.Damage(true)
		if silent == "" && len(list) == 0 {
			t.Errorf("it is told to nobody (%d messages lost)", lost)
		}
		if silent != "" && (len(list) > 0 || lost > 0) {
			t.Errorf("%s; told, with %d messages lost: %+v", silent, lost, list)
		}
		for _, d := range list {
			if d.What == "" || d.Do == "" || log.Count(fmt.Sprint(" id=", d.ID, " ")) != 1 && log.Count(d.What) == 0 {
				t.Errorf("no line of the log, or nothing to do: %+v\n%s", d, log)
			}
		}
		if n := log.Count("JetStream damage"); n != len(list) {
			t.Errorf("%d entries, %d lines:\n%s", len(list), n, log)
		}
		if silent == "" && lost == 0 && strings.HasPrefix(what, "page 0") && !log.Contains(filepath.Base(f.file)) {
			t.Errorf("no line names the file:\n%s", log)
		}
		if err := x.e.AckDamage(0); err != nil {
			t.Fatal(err)
		}
		x.stop()
		x.start()
		if list := x.e.Damage(false); len(list) > 0 {
			t.Errorf("it is told again by the next start: %+v", list)
		}
		if _, err := os.Lstat(path); silent == "" && lost == 0 && errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(f.file, "streams/") && !strings.HasSuffix(f.file, ".seg") {
			t.Errorf("it was not made again: %v", err)
		}
	})
}

// An older copy of a stream's files, and the journal has what came since but not what
// was before: nothing is lost, and that the files are older is told.
func TestLaw_olderFilesAreTold(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	for i := range 100 { // more than a segment, which is released
		x.put("S", "s", text(i)+strings.Repeat("x", 16<<10))
		if i%10 == 9 {
			x.drain()
		}
	}
	older := filepath.Join(t.TempDir(), "older")
	copyTree(t, x.path("streams"), older)
	for i := range 5 {
		x.put("S", "s", text(100+i))
	}
	x.drain()
	x.kill()
	if err := os.RemoveAll(x.path("streams")); err != nil {
		t.Fatal(err)
	}
	copyTree(t, older, x.path("streams"))
	x.start()
	if lost := x.check("S"); lost > 0 {
		t.Errorf("%d messages lost", lost)
	}
	if d := x.toldKind(DamageAside); d == nil || d.Stream != "S" || !strings.Contains(d.What, "message 105, and have what came up to") {
		t.Errorf("told: %+v", x.e.Damage(true))
	}
}
