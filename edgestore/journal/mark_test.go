package journal

import (
	"bytes"
	"os"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// unmapped is a disk that maps no file, though the system could.
type unmapped struct{ vfs.FS }

func (d unmapped) Open(name string) (vfs.File, error) {
	f, err := d.FS.Open(name)
	return unmappedFile{f}, err
}

type unmappedFile struct{ vfs.File }

func (unmappedFile) Map(int) (vfs.Mapping, error) { return nil, syscall.ENODEV }

// The two pages of journal.id take turns: whichever of them is damaged, or was
// being written, the other one is there and one mark older at most.
func TestMark_hasTwoPagesInTurn(t *testing.T) {
	for name, o := range map[string]Options{
		"mapped":           {Dir: t.TempDir(), SegmentBytes: minSegment},
		"by calls":         memOptions(vfs.NewMem()),
		"not to be mapped": {Dir: t.TempDir(), SegmentBytes: minSegment, FS: unmapped{vfs.OS{}}},
	} {
		t.Run(name, func(t *testing.T) {
			j, _ := mustOpen(t, o)
			if mapped := j.committer.metaMap != nil; mapped != (name == "mapped") {
				t.Skipf("mapped: %v", mapped)
			}
			var c collector
			j.Start(c.apply)
			var was []edgestore.LSN
			for i := range 5 {
				mustAppend(t, j, "record")
				mustSync(t, j)
				file, _, err := readMeta(&j.o)
				if err != nil {
					t.Fatal(err)
				}
				m, ok := getMark(file, j.shelf.id)
				if !ok || m.next != j.Synced()+1 {
					t.Fatalf("after %d groups: %+v", i+1, m)
				}
				newer := file[markPage:][:pageBytes]
				if m2, ok := getMarkPage(file[mark2Page:][:pageBytes], j.shelf.id); ok && m2.next == m.next {
					newer = file[mark2Page:][:pageBytes]
				}
				copy(newer, bytes.Repeat([]byte{0xff}, 80))
				m, ok = getMark(file, j.shelf.id)
				if !ok {
					t.Fatalf("after %d groups: no mark beside a damaged one", i+1)
				}
				was = append(was, m.next)
			}
			for i := range was {
				if i > 0 && was[i] != was[i-1]+1 {
					t.Errorf("the older marks: %d", was)
				}
			}
			mustClose(t, j)
		})
	}
}

// Where the mapped file has no page to write to any more, the mark is written by
// a call, and all that follow.
func TestMark_byACallWhenTheMapFails(t *testing.T) {
	told := 0
	o := Options{Dir: t.TempDir(), SegmentBytes: minSegment}
	o.Events.SyncFailed = func(string, error) { told++ }
	j, _ := mustOpen(t, o)
	if j.committer.metaMap == nil {
		t.Skip("the file can't be mapped")
	}
	var c collector
	j.Start(c.apply)
	mustAppend(t, j, "record")
	mustSync(t, j)
	if err := os.Truncate(j.shelf.path(metaName), 0); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		mustAppend(t, j, "record")
		mustSync(t, j)
		file, _, err := readMeta(&j.o)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := getMark(file, j.shelf.id); !ok || m.next != j.Synced()+1 {
			t.Errorf("group %d behind the cut: mark %+v, %v, want one that says %d", i, m, ok, j.Synced()+1)
		}
	}
	mustClose(t, j)
	if told != 0 {
		t.Errorf("%d failures told, and each mark was written", told)
	}
}
