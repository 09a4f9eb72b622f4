package journal

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

const testDir = "j"

// TestMain checks that no journal leaves a goroutine behind.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if left := goroutinesLeft(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "a goroutine is left:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// goroutinesLeft gives the stacks of all goroutines while one of a journal is
// among them. One that has said that it ends may still be there for a moment.
func goroutinesLeft() string {
	all := make([]byte, 1<<20)
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		stacks := string(all[:runtime.Stack(all, true)])
		left := false
		for _, name := range []string{"(*shelf).keep", "(*committer).run", "(*Journal).applyGroups"} {
			left = left || strings.Contains(stacks, name)
		}
		if !left {
			return ""
		}
		if time.Now().After(deadline) {
			return stacks
		}
	}
}

// collector is an apply function that keeps what it gets.
type collector struct {
	mu      sync.Mutex
	entries []edgestore.Entry
}

func (c *collector) apply(entries []edgestore.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		e.Data = bytes.Clone(e.Data)
		e.Side = bytes.Clone(e.Side)
		c.entries = append(c.entries, e)
	}
}

func (c *collector) all() []edgestore.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]edgestore.Entry(nil), c.entries...)
}

func mustOpen(t testing.TB, o Options) (*Journal, Recovery) {
	t.Helper()
	j, rec, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return j, rec
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustSync(t testing.TB, j *Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := j.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, j *Journal, data string) edgestore.LSN {
	t.Helper()
	lsn, err := j.Append(&edgestore.Record{Incarnation: 1}, nil, nil, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

func mustReplay(t testing.TB, j *Journal, from edgestore.LSN) []edgestore.Entry {
	t.Helper()
	var got []edgestore.Entry
	if err := j.Replay(from, replayer{entry: func(e *edgestore.Entry) error {
		c := *e
		c.Data = bytes.Clone(e.Data)
		got = append(got, c)
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	return got
}

// replayer is a handler made of functions; either may be nil.
type replayer struct {
	entry func(*edgestore.Entry) error
	hole  func(first, last edgestore.LSN) error
}

func (r replayer) Entry(e *edgestore.Entry) error {
	if r.entry == nil {
		return nil
	}
	return r.entry(e)
}

func (r replayer) Hole(first, last edgestore.LSN) error {
	if r.hole == nil {
		return nil
	}
	return r.hole(first, last)
}

func memOptions(fs vfs.FS) Options {
	return Options{FS: fs, Dir: testDir, SegmentBytes: minSegment, StagedBytes: 8 << 20, Rand: bytes.NewReader(make([]byte, 8))}
}

func TestJournal_keepsRecordsOverARestart(t *testing.T) {
	for name, o := range map[string]Options{
		"on disk":   {Dir: filepath.Join(t.TempDir(), "journal"), SegmentBytes: 1 << 20},
		"in memory": memOptions(vfs.NewMem()),
	} {
		t.Run(name, func(t *testing.T) {
			j, rec := mustOpen(t, o)
			if rec.Boot != 1 || rec.Last != 0 || rec.First != 1 {
				t.Fatalf("a new journal: %+v", rec)
			}
			var c collector
			j.Start(c.apply)
			type token struct{ n int }
			stamp := edgestore.Stamp{Boot: 7, Mono: 12, Wall: 1_700_000_000_000_000_000, Synced: true}
			want := []edgestore.Record{
				{LSN: 1, Kind: 3, Incarnation: 77, Stamp: stamp, Data: []byte("whole")},
				{LSN: 2, Group: 9, Index: 8, Term: 7, Kind: 255, Stamp: edgestore.Stamp{Boot: 1, Mono: -1}, Data: []byte("raft")},
				{LSN: 3, Stamp: edgestore.Stamp{Boot: 1}, Data: bytes.Repeat([]byte("x"), 50_000)},
				{LSN: 4, Stamp: edgestore.Stamp{Boot: 1}, Data: []byte{}},
			}
			for i, r := range want {
				r := r
				data := r.Data
				r.Data, r.Stamp.Boot = data[:len(data)/2], r.Stamp.Boot%7
				if r.LSN == 1 {
					r.Stamp.Boot = 7
				}
				if r.Stamp.Boot == 1 {
					r.Stamp.Boot = 0
				}
				lsn, err := j.Append(&r, []byte(fmt.Sprint("side", i)), token{i}, data[len(data)/2:])
				if err != nil || lsn != want[i].LSN {
					t.Fatalf("append %d: LSN %d, %v", i, lsn, err)
				}
			}
			mustSync(t, j)
			got := c.all()
			if len(got) != len(want) {
				t.Fatalf("%d of %d applied", len(got), len(want))
			}
			for i := range got {
				checkRecord(t, &got[i].Record, &want[i])
				if string(got[i].Side) != fmt.Sprint("side", i) || got[i].Token != (token{i}) {
					t.Errorf("entry %d: side %q, token %v", i, got[i].Side, got[i].Token)
				}
				b, err := j.Read(got[i].At, nil)
				if err != nil || !bytes.Equal(b, want[i].Data) {
					t.Errorf("read entry %d: %d bytes, %v", i, len(b), err)
				}
			}
			mustClose(t, j)
			if _, err := j.Append(&want[0], nil, nil); !errors.Is(err, edgestore.ErrClosed) {
				t.Errorf("append after close: %v", err)
			}

			j, rec = mustOpen(t, o)
			if rec.Boot != 2 || rec.Last != 4 || rec.First != 1 || !rec.Clean || rec.Torn {
				t.Fatalf("after the restart: %+v", rec)
			}
			back := mustReplay(t, j, 0)
			if len(back) != len(want) {
				t.Fatalf("%d of %d replayed", len(back), len(want))
			}
			for i := range back {
				checkRecord(t, &back[i].Record, &want[i])
				if back[i].At != got[i].At {
					t.Errorf("entry %d: at %v, was %v", i, back[i].At, got[i].At)
				}
				b, err := j.Read(back[i].At, nil)
				if err != nil || !bytes.Equal(b, want[i].Data) {
					t.Errorf("read entry %d from the file: %d bytes, %v", i, len(b), err)
				}
			}
			if rest := mustReplay(t, j, 3); len(rest) != 1 || rest[0].LSN != 4 {
				t.Errorf("replay above 3: %v", rest)
			}
			if d := j.Damage(); len(d) != 0 {
				t.Errorf("damage: %v", d)
			}
			mustClose(t, j)
		})
	}
}

func checkRecord(t testing.TB, got, want *edgestore.Record) {
	t.Helper()
	g, w := *got, *want
	if !bytes.Equal(g.Data, w.Data) {
		t.Errorf("LSN %d: data of %d bytes differ from %d", g.LSN, len(g.Data), len(w.Data))
	}
	g.Data, w.Data = nil, nil
	if fmt.Sprint(g) != fmt.Sprint(w) {
		t.Errorf("record is\n%+v, want\n%+v", g, w)
	}
}
