package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// buildForDamage writes groups of several sizes over several segments and
// closes the journal in order.
func buildForDamage(t *testing.T, rnd *rand.Rand) (*vfs.Mem, [][]byte) {
	mem := vfs.NewMem()
	j, _ := mustOpen(t, memOptions(mem))
	var c collector
	j.Start(c.apply)
	var data [][]byte
	for len(data) < 900 {
		for range 1 + rnd.IntN(60) {
			d := randomData(rnd)
			data = append(data, d)
			if _, err := j.Append(&edgestore.Record{}, nil, nil, d); err != nil {
				t.Fatal(err)
			}
		}
		mustSync(t, j)
	}
	mustClose(t, j)
	return mem, data
}

// checkDamage opens a damaged journal: each record is either there, equal, or
// told to be lost.
func checkDamage(t *testing.T, fs vfs.FS, data [][]byte, what string) (lost int) {
	t.Helper()
	j, rec := mustOpen(t, memOptions(fs))
	defer mustClose(t, j)
	if int(rec.Last) != len(data) {
		t.Fatalf("%s: the log ends at %d, %d were durable", what, rec.Last, len(data))
	}
	there := make([]bool, len(data)+1)
	for _, e := range mustReplay(t, j, 0) {
		if !bytes.Equal(e.Data, data[e.LSN-1]) {
			t.Fatalf("%s: LSN %d came back different", what, e.LSN)
		}
		there[e.LSN] = true
	}
	for _, l := range j.Damage() {
		for lsn := l.First; lsn <= l.Last; lsn++ {
			if there[lsn] {
				t.Fatalf("%s: LSN %d is there and said to be lost", what, lsn)
			}
			there[lsn] = true
			lost++
		}
	}
	for lsn := 1; lsn <= len(data); lsn++ {
		if !there[lsn] {
			t.Fatalf("%s: LSN %d is missing and nobody says so (damage %v)", what, lsn, j.Damage())
		}
	}
	return lost
}

func TestJournal_tellsEveryFlippedBit(t *testing.T) {
	seed := testSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 3))
	mem, data := buildForDamage(t, rnd)
	names, _ := mem.List(testDir)
	rounds := 250
	if testing.Short() {
		rounds = 100
	}
	hits, most := 0, 0
	for range rounds {
		name := names[rnd.IntN(len(names))]
		if name == "lock" || name == ballastName || name == reserveName {
			continue
		}
		copied := mem.Crash(rnd, 1)
		var what string
		copied.Corrupt(testDir+"/"+name, func(b []byte) {
			at := rnd.IntN(len(b))
			if rnd.IntN(3) == 0 { // headers of frames are rarer than records
				at = min(at&^(sector-1)+rnd.IntN(frameHeader), len(b)-1)
			}
			b[at] ^= 1 << rnd.IntN(8)
			what = fmt.Sprintf("flip in byte %d of %s", at, name)
		})
		lost := checkDamage(t, copied, data, what)
		if lost > 0 {
			hits++
		}
		most = max(most, lost)
	}
	if hits == 0 {
		t.Error("no flip hit a record: the test proves nothing")
	}
	t.Logf("%d of %d flips lost something, %d records at most", hits, rounds, most)
}

func TestJournal_readsOnBehindDamage(t *testing.T) {
	seed := testSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 4))
	mem, data := buildForDamage(t, rnd)
	t.Run("a zeroed stretch", func(t *testing.T) {
		for range 50 {
			copied := mem.Crash(rnd, 1)
			at := segmentHeader + rnd.IntN(minSegment-segmentHeader-40_000)
			n := rnd.IntN(40_000)
			copied.Corrupt(testDir+"/"+segmentName(2), func(b []byte) { clear(b[at:][:n]) })
			checkDamage(t, copied, data, fmt.Sprintf("%d bytes zeroed at %d", n, at))
		}
	})
	t.Run("a missing segment", func(t *testing.T) {
		copied := mem.Crash(rnd, 1)
		if err := copied.Remove(testDir + "/" + segmentName(2)); err != nil {
			t.Fatal(err)
		}
		if lost := checkDamage(t, copied, data, "missing"); lost == 0 {
			t.Error("nothing was lost with a segment")
		}
	})
	t.Run("a damaged record is not read", func(t *testing.T) {
		copied := mem.Crash(rnd, 1)
		j, _ := mustOpen(t, memOptions(copied))
		defer mustClose(t, j)
		var e edgestore.Entry
		for _, e = range mustReplay(t, j, 0) {
			if len(e.Data) > 10 {
				break
			}
		}
		copied.Corrupt(testDir+"/"+segmentName(e.At.Segment), func(b []byte) { b[e.At.Offset+5] ^= 1 })
		if _, err := j.Read(e.At, nil); !errors.Is(err, edgestore.ErrCorrupt) {
			t.Errorf("read: %v", err)
		}
	})
}

// A flip in the last group must not pass for a torn tail, also when the power
// went without an orderly end: the mark that the idle committer leaves says
// that the group had been synced.
func TestJournal_knowsDamageOfTheLastGroupFromATornOne(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.WithFaults(mem)
	j, _ := mustOpen(t, memOptions(faults))
	var c collector
	j.Start(c.apply)
	for i := range 20 {
		mustAppend(t, j, fmt.Sprint("record ", i+1))
	}
	var marked atomic.Bool
	faults.SetHook(func(call vfs.Call) error {
		if call.Op == vfs.OpWrite && call.Name == segmentName(1) && call.Len == sector {
			marked.Store(true)
		}
		return nil
	})
	mustSync(t, j)
	testkit.Eventually(t, "the mark", marked.Load)
	at := c.all()[10].At
	after := mem.Crash(rand.New(rand.NewPCG(1, 1)), 1)
	mustClose(t, j)
	after.Corrupt(testDir+"/"+segmentName(1), func(b []byte) { b[at.Offset] ^= 4 })
	j, rec := mustOpen(t, memOptions(after))
	if rec.Last != 20 || rec.Torn {
		t.Errorf("recovered %+v", rec)
	}
	if n := len(mustReplay(t, j, 0)); n != 19 {
		t.Errorf("%d of 20 came back, 1 was damaged", n)
	}
	if d := j.Damage(); len(d) != 1 || d[0] != (Lost{11, 11}) {
		t.Errorf("damage %v", d)
	}
	mustClose(t, j)
}

// What of journal.id and of the headers of segments is damaged is told, one part of
// each, and written anew; the next start tells nothing. A mark that is torn behind a
// crash is no damage, behind an orderly end it is one.
func TestJournal_damagedParts(t *testing.T) {
	header := segmentName(1)
	for _, c := range []struct {
		what, file   string
		from, to     int64 // bytes that become 0xff, or zeros
		zeros        bool
		crash, clean string // the part that is told; "": none
	}{
		{"the end", metaName, -1, 0, false, "its end", "its end"},
		{"released", metaName, releasePage + 16, releasePage + 17, false, "what it says was released", "what it says was released"},
		{"the first mark", metaName, markPage, mark2Page - pageBytes, true, "a mark of the end of the journal", "a mark of the end of the journal"},
		{"the first mark, torn", metaName, markPage + 512, markPage + 1024, false, "", "a mark of the end of the journal"},
		{"the second mark", metaName, mark2Page, metaSize, true, "", "a mark of the end of the journal"},
		{"both marks", metaName, markPage + 20, markPage + 21, false, "", "a mark of the end of the journal"},
		{"a header", header, 0, pageBytes, true, "its header", "its header"},
		{"a bit of a header", header, 30, 31, false, "its header", "its header"},
	} {
		for _, clean := range []bool{false, true} {
			mem := vfs.NewMem()
			j, _ := mustOpen(t, memOptions(mem))
			var got collector
			j.Start(got.apply)
			for i := range 40 { // so a mark is more than one sector
				rec := edgestore.Record{Incarnation: uint64(i + 1), Chain: &edgestore.Chain{}}
				if _, err := j.Append(&rec, nil, nil, []byte("data")); err != nil {
					t.Fatal(err)
				}
				mustSync(t, j)
			}
			want := c.crash
			if clean {
				mustClose(t, j)
				want = c.clean
			} else {
				killed := mem.Kill()
				mustClose(t, j)
				mem = killed
			}
			change := func() error {
				if c.from < 0 {
					return mem.Truncate(testDir+"/"+c.file, metaSize/2)
				}
				return mem.Corrupt(testDir+"/"+c.file, func(b []byte) {
					for i := c.from; i < c.to; i++ {
						if b[i] ^= 0xff; c.zeros {
							b[i] = 0
						}
					}
				})
			}
			if err := change(); err != nil {
				t.Fatal(err)
			}
			j, rec := mustOpen(t, memOptions(mem))
			told := ""
			if len(rec.Mended) == 1 && rec.Mended[0].File == c.file {
				told = rec.Mended[0].Part
			}
			if told != want || len(rec.Mended) > 1 || rec.Last != 40 || rec.Remade || rec.Missing.First != 0 {
				t.Errorf("%s, clean %v: told %+v, want %q", c.what, clean, rec, want)
			}
			if all := mustReplay(t, j, 0); len(all) != 40 || len(j.Damage()) > 0 {
				t.Errorf("%s, clean %v: %d records, %v", c.what, clean, len(all), j.Damage())
			}
			mustClose(t, j)
			if j, rec = mustOpen(t, memOptions(mem)); len(rec.Mended) > 0 || rec.Remade {
				t.Errorf("%s, clean %v: told again: %+v", c.what, clean, rec)
			}
			mustClose(t, j)
		}
	}
}
