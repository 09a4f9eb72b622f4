package edgestore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

func mustOpen(t testing.TB, o edgestore.FileOptions) edgestore.Store {
	t.Helper()
	s, err := edgestore.OpenFileStore(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var fileVariants = []struct {
	name string
	o    edgestore.FileOptions
}{
	{"usual", edgestore.FileOptions{}},
	{"packed", edgestore.FileOptions{Compression: true}},
	{"tiny files, no cache, small transactions", edgestore.FileOptions{MaxFileBytes: 64 << 10, CacheBytes: 1, TxBytes: 1000}},
}

func TestFileStore(t *testing.T) {
	for _, v := range fileVariants {
		t.Run(v.name, func(t *testing.T) {
			edgestoretest.Run(t, edgestoretest.Kind{Steps: rounds(200, 500), Seed: *seedFlag}, func(t testing.TB, blobs *edgestoretest.Blobs, firstSeq uint64) edgestore.Store {
				o := v.o
				o.Dir, o.Incarnation, o.Blobs, o.FirstSeq = filepath.Join(t.TempDir(), "s"), 7, blobs, firstSeq
				return mustOpen(t, o)
			})
		})
	}
}

// One flush after a purge, no message has to follow, shrinks the files.
func TestFileStore_purgeGivesTheDiskBack(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	dir := t.TempDir()
	s := mustOpen(t, edgestore.FileOptions{Dir: dir, Incarnation: 7, Blobs: blobs, MaxFileBytes: 8 << 20})
	body := bytes.Repeat([]byte("x"), 10<<10)
	const n = 600
	for seq := uint64(1); seq <= n; seq++ {
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: "s", Body: body}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
	}
	flush := func(applied edgestore.LSN) (size int64) {
		t.Helper()
		s.Seal(applied, edgestore.Chain{}, nil)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if i, err := f.Info(); err == nil {
				size += i.Size()
			}
		}
		return size
	}
	before := flush(n)
	if before < n*int64(len(body)) {
		t.Fatalf("%d bytes on the disk hold %d messages of %d", before, n, len(body))
	}
	if _, err := s.Purge("", 0, 10); err != nil {
		t.Fatal(err)
	}
	if after := flush(n + 1); after > before/4 {
		t.Errorf("%d bytes on the disk before the purge, %d after it", before, after)
	}
	for seq := uint64(n - 9); seq <= n; seq++ {
		if m, _, err := s.Load(seq, nil); err != nil || !bytes.Equal(m.Body, body) {
			t.Errorf("message %d: %d bytes, %v", seq, len(m.Body), err)
		}
	}
}

func TestFileStore_reopenedAfterEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("many syncs")
	}
	o := edgestore.FileOptions{MaxFileBytes: 64 << 10, Incarnation: 7}
	edgestoretest.Run(t, edgestoretest.Kind{Slow: true}, func(t testing.TB, blobs *edgestoretest.Blobs, firstSeq uint64) edgestore.Store {
		o := o
		o.Dir, o.Blobs, o.FirstSeq = t.TempDir(), blobs, firstSeq
		open := func() (edgestore.Store, error) { return edgestore.OpenFileStore(o) }
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		r := edgestoretest.NewReopening(t, s, open)
		t.Cleanup(func() { r.Close() })
		return r
	})
}

func TestFileStore_replaysAfterCrashes(t *testing.T) {
	for _, v := range fileVariants {
		for seed := uint64(1); seed <= 2; seed++ {
			t.Run(v.name, func(t *testing.T) {
				o := v.o
				blobs := new(edgestoretest.Blobs)
				o.Dir, o.Incarnation, o.Blobs, o.Invariants = t.TempDir(), seed, blobs, true
				s := mustOpen(t, o)
				edgestoretest.Random(t, edgestoretest.RandomOptions{
					Seed: *seedFlag + seed, Steps: rounds(150, 400), Store: s, Blobs: blobs,
					Crash: func(t testing.TB) edgestore.Store {
						s.Close()
						s = mustOpen(t, o)
						return s
					},
				})
			})
		}
	}
}

// A start on many streams reads what is known of each, and no message: the time
// of the first one too, unless messages of its chunk went since.
func TestFileStore_firstTimeWithoutChunk(t *testing.T) {
	blobs, dir := new(edgestoretest.Blobs), t.TempDir()
	chunks := 0
	o := edgestore.FileOptions{Dir: dir, Incarnation: 7, Blobs: blobs, BeforeRead: func(_, place string) error {
		if strings.HasPrefix(place, "chunk ") {
			chunks++
		}
		return nil
	}}
	s := mustOpen(t, o)
	for seq := uint64(1); seq <= 10; seq++ {
		m := edgestore.Msg{Seq: seq, Time: int64(1000 * seq), Subject: "s", Body: []byte("x")}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
	}
	for applied, first := range []uint64{1, 1, 3} {
		if applied == 2 {
			if _, err := s.Compact(3); err != nil {
				t.Fatal(err)
			}
		}
		s.Seal(edgestore.LSN(applied+1), edgestore.Chain{}, nil)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, chunks = mustOpen(t, o), 0
		if st := s.State(); st.FirstSeq != first || st.FirstTime.UnixNano() != int64(1000*first) {
			t.Errorf("after flush %d the first is %d of %v", applied+1, st.FirstSeq, st.FirstTime)
		}
		if first == 1 && chunks != 0 {
			t.Errorf("after flush %d: %d chunks were read", applied+1, chunks)
		}
	}
}
