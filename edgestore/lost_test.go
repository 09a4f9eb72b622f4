package edgestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// oneFlippedBit makes a key-value store of keys with one message each and flips
// a bit in the body of one of them, in the file. It returns the store opened
// again, what was told, and the key.
func oneFlippedBit(t *testing.T, o *edgestore.FileOptions, keys int) (s edgestore.Store, told *[]edgestore.SeqRange) {
	t.Helper()
	blobs := new(edgestoretest.Blobs)
	o.Dir, o.Incarnation, o.Blobs = filepath.Join(t.TempDir(), "s"), 7, blobs
	told = new([]edgestore.SeqRange)
	o.Damaged = func(first, last uint64, err error) {
		if !errors.Is(err, edgestore.ErrCorrupt) {
			t.Errorf("told of %d..%d: %v", first, last, err)
		}
		*told = append(*told, edgestore.SeqRange{First: first, Last: last})
	}
	s = mustOpen(t, *o)
	for i := 1; i <= keys; i++ {
		put(t, s, blobs, fmt.Sprintf("k.%d", i))
	}
	s.Seal(edgestore.LSN(keys), edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	files := readDir(t, o.Dir)
	hurt := false
	for _, b := range files {
		if at := bytes.Index(b, []byte(fmt.Sprintf("body of %d,", keys/2))); at >= 0 {
			b[at] ^= 1
			hurt = true
		}
	}
	if !hurt {
		t.Fatal("no message found in the files")
	}
	writeDir(t, o.Dir, files)
	return mustOpen(t, *o), told
}

func put(t *testing.T, s edgestore.Store, blobs *edgestoretest.Blobs, key string) {
	t.Helper()
	seq := s.State().LastSeq + 1
	m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: key, Body: fmt.Appendf(nil, "body of %d, %0200d", seq, seq)}
	if err := s.Append(&m, blobs.Add(&m)); err != nil {
		t.Fatal(err)
	}
}

// limit drops what a new message on key pushes out, as an engine does, and
// reports how many.
func limit(t *testing.T, s edgestore.Store, key string, most uint64) (n int) {
	t.Helper()
	for {
		st, ok, err := s.Subject(key)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || st.Msgs <= most {
			return n
		}
		if st.First == st.Last {
			t.Fatalf("%q: %+v", key, st)
		}
		if _, ok, err := s.Remove(st.First); err != nil || !ok {
			t.Fatalf("message %d is counted and not there: %v", st.First, err)
		}
		n++
	}
}

// A put on a key whose message is lost replaces nothing, and the new message
// stays, whether the damage was met before or not.
func TestFileStore_limitOverALostMessage(t *testing.T) {
	const keys = 1000
	for _, met := range []string{"not met", "met", "booked"} {
		t.Run(met, func(t *testing.T) {
			var o edgestore.FileOptions
			s, told := oneFlippedBit(t, &o, keys)
			blobs := o.Blobs.(*edgestoretest.Blobs)
			if met != "not met" {
				if _, _, err := s.Load(keys/2, nil); !errors.Is(err, edgestore.ErrLost) || !errors.Is(err, edgestore.ErrCorrupt) {
					t.Fatalf("load: %v", err)
				}
				if len(*told) != 1 {
					t.Fatalf("told %v", *told)
				}
			}
			if met == "booked" {
				bookAll(t, s)
				if _, _, err := s.Load(keys/2, nil); !errors.Is(err, edgestore.ErrLost) || !errors.Is(err, edgestore.ErrDeleted) {
					t.Fatalf("load: %v", err)
				}
			}
			for i := range keys {
				key := fmt.Sprintf("k.%d", i+1)
				put(t, s, blobs, key)
				limit(t, s, key, 1)
				last, err := s.LastFor(key)
				if err != nil {
					t.Fatal(err)
				}
				if m, _, err := s.Load(last, nil); err != nil || m.Seq != uint64(keys+i+1) {
					t.Fatalf("%s: newest is %d, %v", key, m.Seq, err)
				}
				if i%200 == 0 {
					s.Seal(edgestore.LSN(keys+i), edgestore.Chain{}, nil)
					if err := s.Flush(); err != nil {
						t.Fatal(err)
					}
				}
			}
			bookAll(t, s)
			if st := s.State(); st.Msgs != keys || st.NumSubjects != keys {
				t.Fatalf("state %+v", st)
			}
			if len(*told) != 1 || len(s.Found()) > 0 {
				t.Fatalf("told %v, found %v", *told, s.Found())
			}
			checkCounts(t, s)
			s.Seal(2*keys, edgestore.Chain{}, nil)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			damage := s.Damage()
			if len(damage) != 1 || damage[0].First > keys/2 || damage[0].Last < keys/2 {
				t.Fatalf("damage %v", damage)
			}
			s.Close()
			s = mustOpen(t, o)
			checkCounts(t, s)
			if d := s.Damage(); len(d) != 1 || d[0] != damage[0] {
				t.Fatalf("damage %v after a restart, %v before", d, damage)
			}
		})
	}
}

// Every way of removing goes over a lost message, and every count is right when
// it is booked.
func TestFileStore_removingLostMessages(t *testing.T) {
	const keys = 1000
	for name, remove := range map[string]func(s edgestore.Store) error{
		"one":     func(s edgestore.Store) error { _, _, err := s.Remove(keys / 2); return err },
		"oldest":  func(s edgestore.Store) error { return removeOldest(s, 600) },
		"compact": func(s edgestore.Store) error { _, err := s.Compact(keys / 2); return err },
		"past":    func(s edgestore.Store) error { _, err := s.Compact(900); return err },
		"all":     func(s edgestore.Store) error { _, err := s.Purge("", 0, 0); return err },
		"keep":    func(s edgestore.Store) error { _, err := s.Purge("", 0, 10); return err },
		"subject": func(s edgestore.Store) error { _, err := s.Purge(fmt.Sprintf("k.%d", keys/2), 0, 0); return err },
		"pattern": func(s edgestore.Store) error { _, err := s.Purge("k.*", 0, 3); return err },
		"nothing": func(s edgestore.Store) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			var o edgestore.FileOptions
			s, _ := oneFlippedBit(t, &o, keys)
			if err := remove(s); err != nil {
				t.Fatal(err)
			}
			edgestore.CountOf(s, []string{"k.>"}, 1, true)
			s.Seal(keys+1, edgestore.Chain{}, nil)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			for at := uint64(1); ; at++ { // meets what was not met yet
				m, _, err := s.LoadNext(nil, at, nil)
				if err != nil {
					break
				}
				at = m.Seq
			}
			bookAll(t, s)
			s.Seal(keys+2, edgestore.Chain{}, nil)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			want, damage := s.State(), s.Damage()
			s.Close()
			s = mustOpen(t, o)
			if got := s.State(); got != want {
				t.Fatalf("after a restart %+v, before %+v", got, want)
			}
			if got := s.Damage(); fmt.Sprint(got) != fmt.Sprint(damage) {
				t.Fatalf("after a restart damage %v, before %v", got, damage)
			}
			bookAll(t, s)
		})
	}
}

func removeOldest(s edgestore.Store, most uint64) error {
	for {
		st := s.State()
		if st.Msgs <= most {
			return nil
		}
		if _, ok, err := s.Remove(st.FirstSeq); err != nil || !ok {
			return fmt.Errorf("remove %d: %v, %w", st.FirstSeq, ok, err)
		}
	}
}

// A flush that cannot read a message from the journal goes on without it. It is
// counted until it is booked, over a restart too.
func TestFileStore_flushWithoutALostMessage(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	var told []edgestore.SeqRange
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs,
		Damaged: func(first, last uint64, _ error) { told = append(told, edgestore.SeqRange{First: first, Last: last}) }}
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
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0] != (edgestore.SeqRange{First: 37, Last: 38}) {
		t.Fatalf("told %v", told)
	}
	s.Close()
	s = mustOpen(t, o)
	if st := s.State(); st.Msgs != 100 || len(s.Found()) != 1 {
		t.Fatalf("state %+v, found %v", st, s.Found())
	}
	if st, ok, _ := s.Subject("s.7"); !ok || st.Msgs != 9 {
		t.Fatalf("subject %+v", st)
	}
	bookAll(t, s)
	if st := s.State(); st.Msgs != 98 {
		t.Fatalf("state %+v", st)
	}
}

// What a read has found is counted anew at once, and is known after a restart
// without another read, though nothing else was to be written.
func TestFileStore_foundIsWritten(t *testing.T) {
	const keys = 1000
	var o edgestore.FileOptions
	s, _ := oneFlippedBit(t, &o, keys)
	key := fmt.Sprintf("k.%d", keys/2)
	if _, ok, _ := s.Subject(key); !ok {
		t.Fatal("it was met already")
	}
	if _, _, err := s.Load(keys/2, nil); !errors.Is(err, edgestore.ErrLost) {
		t.Fatal(err)
	}
	found := s.Found()
	last, err := s.LastFor(key)
	if st, ok, _ := s.Subject(key); ok || err != nil || last != 0 || len(found) != 1 {
		t.Errorf("subject %+v, found %v", st, found)
	}
	s.Seal(keys+1, edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = mustOpen(t, o)
	if got := s.Found(); fmt.Sprint(got) != fmt.Sprint(found) {
		t.Errorf("after a restart found are %v, before %v", got, found)
	}
	bookAll(t, s)
}

// A small last chunk that can't be read is not continued: it is found as a whole,
// and its row goes.
func TestFileStore_lastChunkLost(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(10)
	f.mustFlush()
	f.s.Close()
	if edgestore.DamageRecords(t, filepath.Join(o.Dir, "00000001.chunks"), 'c') == 0 {
		t.Fatal("no chunk")
	}
	f.s = mustOpen(t, o)
	f.add(10)
	f.mustFlush()
	if found := f.s.Found(); len(found) != 1 || found[0] != (edgestore.SeqRange{First: 1, Last: 10}) {
		t.Errorf("found %v", found)
	}
	if rows, chunks := edgestore.ChunkRows(t, f.s), edgestore.Chunks(f.s); rows != 1 || chunks != 1 {
		t.Errorf("%d rows for %d chunks, want one", rows, chunks)
	}
	bookAll(t, f.s)
	if st := f.s.State(); st.Msgs != 10 || st.FirstSeq != 11 {
		t.Errorf("%+v", st)
	}
}

// A last chunk that is continued keeps what was there at the seal and has been
// removed since.
func TestFileStore_continuedAsOfTheSeal(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(10)
	f.mustFlush()
	f.add(5)
	remove := func(seqs ...uint64) {
		t.Helper()
		for _, seq := range seqs {
			if _, ok, err := f.s.Remove(seq); err != nil || !ok {
				t.Fatalf("remove %d: %v, %v", seq, ok, err)
			}
		}
	}
	remove(5, 12)
	f.s.Seal(15, edgestore.Chain{}, nil)
	remove(1, 3, 14)
	if err := f.s.Flush(); err != nil {
		t.Fatal(err)
	}
	if rows, chunks := edgestore.ChunkRows(t, f.s), edgestore.Chunks(f.s); rows != 1 || chunks != 1 {
		t.Errorf("%d rows for %d chunks, want one", rows, chunks)
	}
	f.s.Close()
	f.s = mustOpen(t, o)
	if st := f.s.State(); st.Msgs != 13 || st.FirstSeq != 1 {
		t.Errorf("%+v", st)
	}
	checkCounts(t, f.s)
	remove(1, 3, 14)
}

// The chunks of whatever a compaction removes go with the next flush, the first,
// the last and those between, and no other.
func TestFileStore_chunksGoWithTheirMessages(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	s := mustOpen(t, edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs})
	const n = 8
	for seq := uint64(1); seq <= n; seq++ { // a chunk each
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: "s", Body: bytes.Repeat([]byte("x"), 40<<10)}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
	}
	lsn := edgestore.LSN(n)
	flush := func(want int) {
		t.Helper()
		lsn++
		s.Seal(lsn, edgestore.Chain{}, nil)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if rows, chunks := edgestore.ChunkRows(t, s), edgestore.Chunks(s); rows != want || chunks != want {
			t.Fatalf("%d rows and %d chunks, want %d", rows, chunks, want)
		}
	}
	flush(n)
	for _, below := range []uint64{2, 5, n, n + 1} {
		if _, err := s.Compact(below); err != nil {
			t.Fatal(err)
		}
		flush(int(n + 1 - below))
	}
}

// A read that fails is no damage: it is tried again, told and returned, and
// nothing is given up.
func TestFileStore_failedReads(t *testing.T) {
	fail, told := 0, 0
	failed := errors.New("input/output error")
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, CacheBytes: 1,
		Damaged:    func(first, last uint64, err error) { t.Errorf("damage %d..%d: %v", first, last, err) },
		ReadFailed: func(error) { told++ },
		BeforeRead: func(path, place string) error {
			if fail > 0 {
				fail--
				return failed
			}
			return nil
		}}
	blobs := new(edgestoretest.Blobs)
	o.Blobs = blobs
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(200)
	f.mustFlush()
	fail = 2
	if _, _, err := f.s.Load(5, nil); err != nil || told != 2 {
		t.Fatalf("load: %v, told %d times", err, told)
	}
	for name, call := range map[string]func() error{
		"load":    func() error { _, _, err := f.s.Load(90, nil); return err },
		"next":    func() error { _, _, err := f.s.LoadNext([]string{"s.3"}, 150, nil); return err },
		"remove":  func() error { _, _, err := f.s.Remove(80); return err },
		"compact": func() error { _, err := f.s.Compact(100); return err },
		"purge":   func() error { _, err := f.s.Purge("s.*", 0, 1); return err },
		"lose":    func() error { _, err := f.s.Lose(1, 300); return err },
	} {
		before := f.s.State()
		if fail = 1 << 30; !errors.Is(call(), failed) {
			t.Errorf("%s: no error", name)
		}
		fail = 0
		if after := f.s.State(); after != before {
			t.Fatalf("%s: the state was %+v and is %+v", name, before, after)
		}
	}
	f.s.Close()
	fail = 1 << 30
	if _, err := edgestore.OpenFileStore(o); !errors.Is(err, failed) || errors.Is(err, edgestore.ErrCorrupt) {
		t.Fatalf("open: %v", err)
	}
	fail = 0
	s := mustOpen(t, o)
	if st := s.State(); st.Msgs != 200 {
		t.Fatalf("state %+v", st)
	}
	checkCounts(t, s)
}
