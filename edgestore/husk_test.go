package edgestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// fullStore is a store on a disk of its own, whose writes fail while the folder
// is larger than limit; only husks get through (they fit into pages that the
// head has). Commits can be held up altogether.
type fullStore struct {
	edgestore.Store
	t      *testing.T
	o      edgestore.FileOptions
	blobs  *edgestoretest.Blobs
	limit  atomic.Int64
	locked atomic.Bool
	last   uint64
}

func newFullStore(t *testing.T) *fullStore {
	f := &fullStore{t: t, blobs: new(edgestoretest.Blobs)}
	f.limit.Store(1 << 40)
	f.o = edgestore.FileOptions{Dir: t.TempDir(), Incarnation: 7, Blobs: f.blobs, MaxFileBytes: 512 << 10, Invariants: true,
		BeforeWrite: func(place string) error {
			if place != "husks" && (f.locked.Load() || f.used() >= f.limit.Load()) {
				return &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
			}
			return nil
		}}
	f.Store = mustOpen(t, f.o)
	return f
}

func (f *fullStore) used() (n int64) {
	names, err := os.ReadDir(f.o.Dir)
	if err != nil {
		f.t.Error(err)
	}
	for _, e := range names {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

func (f *fullStore) append(n int) {
	f.t.Helper()
	for range n {
		f.last++
		m := edgestore.Msg{Seq: f.last, Time: int64(f.last), Subject: fmt.Sprint("s.", f.last%7), Body: bytes.Repeat([]byte{byte(f.last)}, 10<<10)}
		if err := f.Append(&m, f.blobs.Add(&m)); err != nil {
			f.t.Fatal(err)
		}
	}
}

// seen is everything that can be asked of a store.
func seen(t *testing.T, s edgestore.Store) string {
	t.Helper()
	var b bytes.Buffer
	st := s.State()
	fmt.Fprintf(&b, "%+v\n", st)
	for i := range 7 {
		sub := fmt.Sprint("s.", i)
		c, ok, _ := s.Subject(sub)
		last, _ := s.LastFor(sub)
		fmt.Fprintln(&b, sub, c.Msgs, ok, last, edgestore.CountOf(s, []string{sub}, 0, false))
	}
	for seq := st.FirstSeq; seq <= st.LastSeq; seq++ {
		m, _, err := s.Load(seq, nil)
		if err != nil && !errors.Is(err, edgestore.ErrDeleted) {
			t.Fatalf("message %d: %v", seq, err)
		}
		if err == nil && (len(m.Body) != 10<<10 || m.Body[0] != byte(seq)) {
			t.Fatalf("message %d has another body", seq)
		}
		fmt.Fprintln(&b, seq, m.Subject, err)
	}
	if d := s.Damage(); len(d) > 0 {
		t.Fatalf("damage: %v", d)
	}
	return b.String()
}

func (f *fullStore) flush() error {
	f.Seal(edgestore.LSN(f.last), edgestore.Chain{}, nil)
	return f.Flush()
}

// A purge makes room on a disk that has none at all, though there is something
// that was not flushed before it.
func TestFileStore_purgeOnAFullDisk(t *testing.T) {
	for name, purge := range map[string]func(f *fullStore) error{
		"part":    func(f *fullStore) error { _, err := f.Compact(150); return err },
		"all":     func(f *fullStore) error { _, err := f.Compact(f.last + 1); return err },
		"newest":  func(f *fullStore) error { _, err := f.Purge("s.*", 0, 30); return err },
		"subject": func(f *fullStore) error { return f.removeAll(20, 180) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFullStore(t)
			for range 5 {
				f.append(40)
				if err := f.flush(); err != nil {
					t.Fatal(err)
				}
			}
			full := f.used()
			f.limit.Store(full)
			f.append(20)
			if err := f.flush(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("flush on a full disk: %v", err)
			}
			if err := purge(f); err != nil {
				t.Fatal(err)
			}
			want := seen(t, f)
			if err := f.flush(); err != nil {
				t.Fatal(err)
			}
			if got := f.used(); got >= full {
				t.Errorf("the folder has %d bytes after the purge, %d before", got, full)
			}
			if got := seen(t, f); got != want {
				t.Errorf("after the flush:\n%s\nbefore:\n%s", got, want)
			}
			if f.Close() != nil {
				t.Fatal("close failed")
			}
			if got := seen(t, mustOpen(t, f.o)); got != want {
				t.Errorf("after a restart:\n%s\nbefore:\n%s", got, want)
			}
		})
	}
}

func (f *fullStore) removeAll(from, to uint64) error {
	for seq := from; seq <= to; seq++ {
		if _, _, err := f.Remove(seq); err != nil {
			return err
		}
	}
	return nil
}

// After a crash between making room and the flush, what had been removed is
// there again as far as it takes to remove it again, to the same result.
func TestFileStore_crashWithHusks(t *testing.T) {
	for name, remove := range map[string]func(f *fullStore) error{
		"part":     func(f *fullStore) error { _, err := f.Compact(150); return err },
		"all":      func(f *fullStore) error { _, err := f.Compact(f.last + 1); return err },
		"newest":   func(f *fullStore) error { _, err := f.Purge("s.*", 0, 30); return err },
		"one each": func(f *fullStore) error { return f.removeAll(20, 190) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFullStore(t)
			for range 5 {
				f.append(40)
				if err := f.flush(); err != nil {
					t.Fatal(err)
				}
			}
			durable := f.last
			full := f.used()
			f.append(20)
			if err := remove(f); err != nil {
				t.Fatal(err)
			}
			want := seen(t, f)
			f.locked.Store(true)
			if err := f.flush(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("flush on a full disk: %v", err)
			}
			if freed, err := f.Store.(interface{ Shrink() (bool, error) }).Shrink(); err != nil || freed {
				t.Fatalf("a second time it freed something: %v, %v", freed, err)
			}
			if got := f.used(); got >= full {
				t.Errorf("nothing was freed: %d bytes, %d before", got, full)
			}
			if got := seen(t, f); got != want {
				t.Errorf("with husks:\n%s\nbefore:\n%s", got, want)
			}

			// The crash: the folder as it is, in another store.
			g := newFullStore(t)
			g.Close()
			os.RemoveAll(g.o.Dir)
			if err := os.CopyFS(g.o.Dir, os.DirFS(f.o.Dir)); err != nil {
				t.Fatal(err)
			}
			g.o.Blobs, g.blobs = f.blobs, f.blobs
			g.Store = mustOpen(t, g.o)
			if g.Applied() != edgestore.LSN(durable) {
				t.Fatalf("applied is %d, want %d", g.Applied(), durable)
			}
			g.last = durable
			g.append(20)
			if err := remove(g); err != nil {
				t.Fatal(err)
			}
			if got := seen(t, g); got != want {
				t.Errorf("after the crash:\n%s\nbefore:\n%s", got, want)
			}
			g.locked.Store(false)
			if err := g.flush(); err != nil {
				t.Fatal(err)
			}
			if got := seen(t, g); got != want {
				t.Errorf("after the flush:\n%s\nbefore:\n%s", got, want)
			}
		})
	}
}
