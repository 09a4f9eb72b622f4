package edgestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// A flush rewrites so much of what is mostly removed, and the next ones the rest,
// though nothing else of it changes.
func TestFileStore_packsTheRestLater(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	s := mustOpen(t, edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs, MaxFileBytes: 1 << 30})
	const chunks, each = 400, 4 // 12.8 MB; a flush rewrites 8
	for seq := uint64(1); seq <= chunks*each; seq++ {
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: fmt.Sprint("s.", seq%7), Body: bytes.Repeat([]byte{byte(seq)}, 8<<10)}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
	}
	flush := func() int {
		t.Helper()
		s.Seal(chunks*each, edgestore.Chain{}, nil)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		return edgestore.Chunks(s)
	}
	all := flush()
	for seq := uint64(1); seq <= chunks*each; seq++ {
		if seq%each != 0 {
			if _, _, err := s.Remove(seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	if some := flush(); some <= all/each+10 {
		t.Fatalf("of %d chunks the first flush leaves %d: there is nothing left for the next", all, some)
	}
	if rest := flush(); rest > all/each+10 {
		t.Errorf("of %d chunks with a %dth of their messages the second flush leaves %d", all, each, rest)
	}
	checkCounts(t, s)
}

// A file that is mostly empty is given up, with a chunk in it that can't be read:
// that is found, told and booked, and what else was in the file is there.
func TestFileStore_givesUpAFileWithADamagedChunk(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	var told []edgestore.SeqRange
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs, MaxFileBytes: 200 << 10, CacheBytes: 1,
		Damaged: func(first, last uint64, err error) {
			if !errors.Is(err, edgestore.ErrCorrupt) {
				t.Errorf("told of %d..%d: %v", first, last, err)
			}
			told = append(told, edgestore.SeqRange{First: first, Last: last})
		}}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(300)
	f.mustFlush()
	if _, err := f.s.Compact(100); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(200); seq <= 300; seq++ {
		if _, _, err := f.s.Remove(seq); err != nil {
			t.Fatal(err)
		}
	}
	f.s.Close()
	old := filepath.Join(o.Dir, "00000001.chunks")
	b, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, bytes.Repeat([]byte{150}, 1000))
	if at < 0 {
		t.Fatal("message 150 is not in the file")
	}
	b[at] ^= 1
	if err := os.WriteFile(old, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f.s = mustOpen(t, o) // from the flush: what was removed is removed again
	if _, err := f.s.Compact(100); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(200); seq <= 300; seq++ {
		if _, _, err := f.s.Remove(seq); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 0 {
		t.Fatalf("the damage was met before: %v", told)
	}
	f.add(1)
	for range 2 {
		f.mustFlush()
	}
	if files := readDir(t, o.Dir); files["00000001.chunks"] != nil {
		t.Fatal("the old file is kept")
	}
	found := f.s.Found()
	if len(told) != 1 || len(found) != 1 || found[0] != told[0] || found[0].First > 150 || found[0].Last < 150 {
		t.Fatalf("found %v, told %v", found, told)
	}
	f.s.Close()
	s := mustOpen(t, o)
	bookAll(t, s)
	for seq := uint64(100); seq < 200; seq++ {
		m, _, err := s.Load(seq, nil)
		if lost := found[0].First <= seq && seq <= found[0].Last; lost != errors.Is(err, edgestore.ErrLost) || !lost && m.Seq != seq {
			t.Errorf("message %d: %v", seq, err)
		}
	}
}

// Messages that are booked as lost between a seal and its flush were there at the
// seal: the flush says so and finds them lost itself, since a restart from it books
// them once more.
func TestFileStore_lostBehindTheSeal(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	s := mustOpen(t, o)
	for seq := uint64(1); seq <= 100; seq++ {
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: fmt.Sprint("s.", seq%10), Body: []byte("x")}
		at := blobs.Add(&m)
		if err := s.Append(&m, at); err != nil {
			t.Fatal(err)
		}
		if seq == 37 || seq == 38 {
			blobs.Break(at)
		}
	}
	s.Seal(100, edgestore.Chain{}, nil)
	if n, err := s.Lose(1, 100); err != nil || n != 2 {
		t.Fatalf("lost are %d, %v", n, err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = mustOpen(t, o)
	if st, found := s.State(), s.Found(); st.Msgs != 100 || len(found) != 1 || found[0] != (edgestore.SeqRange{First: 37, Last: 38}) {
		t.Errorf("as of the seal: %+v, found %v", st, found)
	}
	bookAll(t, s)
}

// The losses that are salvaged are those of the commit that counts, wherever in the
// file the older ones lie.
func TestFileStore_salvagesTheNewestLosses(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(10)
	for range 8 { // pages are used in turns
		if _, err := f.s.Lose(f.last+1, f.last+1); err != nil {
			t.Fatal(err)
		}
		f.last++
		f.add(2)
		f.mustFlush()
		want := see(f.s)
		c := o
		c.Dir = filepath.Join(t.TempDir(), "s")
		if err := os.Mkdir(c.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		writeDir(t, c.Dir, readDir(t, o.Dir))
		if edgestore.DamageRecords(t, filepath.Join(c.Dir, "00000001.chunks"), 's') == 0 {
			t.Fatal("no subjects")
		}
		s := mustOpen(t, c)
		if opened(s).Salvaged == nil {
			t.Fatal("nothing was salvaged")
		}
		want.same(t, "salvaged", see(s))
	}
}

// Of what was removed little is kept: of the gaps below the first message those of
// its page, and none without a message; in a memory store none of the messages.
func TestStore_keepsNothingOfWhatIsGone(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	for name, s := range map[string]edgestore.Store{
		"memory": edgestore.NewMemoryStore(1),
		"file":   mustOpen(t, edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}),
	} {
		f := &filler{t: t, s: s, blobs: blobs}
		f.add(100)
		for seq := uint64(2); seq <= 100; seq += 2 {
			if _, _, err := s.Remove(seq); err != nil {
				t.Fatal(err)
			}
		}
		const far = 3 << 16
		f.last = far
		f.add(100)
		for _, below := range []uint64{50, far + 50, far + 101} {
			most := uint64(1 << 16)
			if below > far+100 {
				most = 0
			}
			if _, err := s.Compact(below); err != nil {
				t.Fatal(err)
			}
			if n := edgestore.GapsBelowFirst(s); n > most {
				t.Errorf("%s: compacted below %d, kept as deleted are %d", name, below, n)
			}
			if n, want := edgestore.Entries(s), int(s.State().Msgs); name == "memory" && n != want {
				t.Errorf("%s: compacted below %d, in memory are %d of %d", name, below, n, want)
			}
		}
	}
}

// What is removed while it is counted is not in the count.
func TestFileStore_countsWithoutWhatGoesMeanwhile(t *testing.T) {
	for _, below := range []uint64{180, 201} {
		var during func()
		blobs := new(edgestoretest.Blobs)
		o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs,
			BeforeRead: func(string, string) error {
				if f := during; f != nil {
					during = nil
					f()
				}
				return nil
			}}
		f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
		f.add(200)
		f.mustFlush()
		f.s.Close()
		s := mustOpen(t, o)
		for seq := uint64(1); seq < 180; seq++ { // so that compacting reads no file
			if _, _, err := s.Load(seq, nil); err != nil {
				t.Fatal(err)
			}
		}
		during = func() {
			if _, err := s.Compact(below); err != nil {
				t.Error(err)
			}
		}
		got := edgestore.CountOf(s, []string{"s.1"}, 150, false)
		if during != nil {
			t.Fatal("nothing was read")
		}
		if want := edgestore.CountOf(s, []string{"s.1"}, 150, false); got != want {
			t.Errorf("compacted below %d while it was counted: %d pending, and %d are there", below, got, want)
		}
	}
}

// What is lost below the first message is forgotten, booked or only found, and
// stays so after a restart.
func TestFileStore_forgetsWhatWasLostBelow(t *testing.T) {
	forgot := func(s edgestore.Store, o edgestore.FileOptions, below uint64) {
		t.Helper()
		if len(s.Damage()) == 0 && len(s.Found()) == 0 {
			t.Fatal("nothing is lost")
		}
		if _, err := s.Compact(below); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if damage, found := s.Damage(), s.Found(); len(damage) != 0 || len(found) != 0 {
				t.Errorf("everything below %d is gone, lost are %v, found %v", below, damage, found)
			}
			s.Seal(s.Applied()+1, edgestore.Chain{}, nil)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			s.Close()
			s = mustOpen(t, o)
		}
	}
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(10)
	if _, err := f.s.Lose(11, 12); err != nil {
		t.Fatal(err)
	}
	f.last = 12
	f.add(10)
	f.mustFlush()
	forgot(f.s, o, 15)

	const keys = 100
	o = edgestore.FileOptions{}
	s, _ := oneFlippedBit(t, &o, keys)
	if _, _, err := s.Load(keys/2, nil); !errors.Is(err, edgestore.ErrLost) {
		t.Fatal(err)
	}
	s.Seal(keys+1, edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	forgot(s, o, keys+1)
}
