package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Operations of several goroutines are numbered by stream in the order of the
// log, and what is refused takes no number.
func TestJournal_numbersTheOperationsOfEachStream(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	o.StagedBytes = 20_000
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	chains := make([]edgestore.Chain, 4) // of stream 0, the catalogue, too
	var refused int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(g)))
			for range 300 {
				stream := rnd.IntN(len(chains))
				r := edgestore.Record{
					Incarnation: uint64(stream), Takes: rnd.IntN(2) == 0, Twice: rnd.IntN(20) == 0, Chain: &chains[stream],
				}
				_, err := j.Append(&r, nil, nil, make([]byte, rnd.IntN(2000)))
				if errors.Is(err, edgestore.ErrBusy) {
					mu.Lock()
					refused++
					mu.Unlock()
					mustSync(t, j)
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustSync(t, j)
	if refused == 0 {
		t.Error("nothing was refused: the test shows less than it should")
	}
	check := func(what string, entries []edgestore.Entry) {
		t.Helper()
		if len(entries) < 300 {
			t.Fatalf("%s: %d entries", what, len(entries))
		}
		seen := make([]edgestore.Chain, len(chains))
		for _, e := range entries {
			s := &seen[e.Incarnation]
			if e.Seat != s.Seat+1 || e.Place != s.Place {
				t.Fatalf("%s: LSN %d of stream %d has seat %d and place %d behind %+v", what, e.LSN, e.Incarnation, e.Seat, e.Place, *s)
			}
			s.Seat++
			if e.Takes {
				s.Place++
			}
		}
		for i := range chains {
			if seen[i] != chains[i] {
				t.Errorf("%s: stream %d ends at %+v, its chain at %+v", what, i, seen[i], chains[i])
			}
		}
	}
	check("applied", c.all())
	mustClose(t, j)
	o.StagedBytes = 0
	j, _ = mustOpen(t, o)
	check("replayed", mustReplay(t, j, 0))
	mustClose(t, j)
}

// story is what a replay gave: entries and holes in their order.
func story(t *testing.T, j *Journal) (events []string, entries []edgestore.Entry) {
	t.Helper()
	err := j.Replay(0, replayer{
		entry: func(e *edgestore.Entry) error {
			c := *e
			c.Data = append([]byte(nil), e.Data...)
			entries = append(entries, c)
			events = append(events, fmt.Sprint(e.LSN))
			return nil
		},
		hole: func(first, last edgestore.LSN) error {
			events = append(events, fmt.Sprintf("hole %d-%d", first, last))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return events, entries
}

// buildGuarded writes three groups, each of small records around one that is
// written twice, and a last group without one.
func buildGuarded(t *testing.T) (*vfs.Mem, []edgestore.Entry) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	j, _ := mustOpen(t, o)
	var c collector
	var chain edgestore.Chain
	add := func(twice bool, size int) {
		r := edgestore.Record{Incarnation: 1, Takes: true, Twice: twice, Chain: &chain}
		if _, err := j.Append(&r, nil, nil, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	j.Start(c.apply)
	for g := range 3 {
		add(false, 100)
		add(true, 200+3000*g)
		add(false, 10+5000*(2-g))
		add(true, 100)
		mustSync(t, j)
	}
	add(false, 10)
	mustSync(t, j)
	mustClose(t, j)
	return mem, c.all()
}

// Whichever page of the segment is zeroed, a record that was written twice is
// there, and every other one is there or in a hole in its place.
func TestJournal_keepsWhatWasWrittenTwice(t *testing.T) {
	mem, want := buildGuarded(t)
	holes, fromCopies := 0, 0
	rnd := rand.New(rand.NewPCG(1, 1))
	for at := segmentHeader; at < minSegment; at += sector {
		hurt := mem.Crash(rnd, 1)
		// A page at its own place, and any other stretch of that length: a flash
		// need not have the pages of the kernel.
		hurt.Corrupt(testDir+"/"+segmentName(1), func(b []byte) { clear(b[at:min(at+pageBytes, len(b))]) })
		j, _ := mustOpen(t, memOptions(hurt))
		_, got := story(t, j)
		next := 0
		for _, e := range got {
			for ; want[next].LSN < e.LSN; next++ {
				holes++
				if want[next].Twice {
					t.Fatalf("page at %d zeroed: LSN %d is lost though it was written twice", at, want[next].LSN)
				}
			}
			w := want[next]
			checkRecord(t, &e.Record, &w.Record)
			if e.At != w.At {
				fromCopies++
			}
			if b, err := j.Read(e.At, nil); err != nil || len(b) != len(w.Data) {
				t.Fatalf("page at %d zeroed: LSN %d at %+v is not read back: %v", at, e.LSN, e.At, err)
			}
			next++
		}
		mustClose(t, j)
	}
	if holes == 0 || fromCopies < 6 {
		t.Errorf("%d holes, %d records from copies: the test shows less than it should", holes, fromCopies)
	}
}

func TestJournal_tellsAHoleBeforeTheEntryBehindIt(t *testing.T) {
	mem, want := buildGuarded(t)
	// Records 5 (alone), 9 to 11: 10 is written twice and its copy lives.
	for _, i := range []int{4, 8, 9, 10} {
		at := want[i].At
		mem.Corrupt(testDir+"/"+segmentName(at.Segment), func(b []byte) { b[at.Offset+1] ^= 1 })
	}
	j, _ := mustOpen(t, memOptions(mem))
	defer mustClose(t, j)
	var ahead []edgestore.LSN
	if err := j.Scan(7, func(e *edgestore.Entry) error { ahead = append(ahead, e.LSN); return nil }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(ahead) != "[8 10 12 13]" || len(j.Damage()) > 0 {
		t.Errorf("scanned %v, damage %v", ahead, j.Damage())
	}
	got, _ := story(t, j)
	if fmt.Sprint(got) != "[1 2 3 4 hole 5-5 6 7 8 hole 9-9 10 hole 11-11 12 13]" {
		t.Errorf("replayed %v", got)
	}
	if fmt.Sprint(j.Damage()) != "[{5 5} {9 9} {11 11}]" {
		t.Errorf("damage %v", j.Damage())
	}
	boom := errors.New("boom")
	err := j.Replay(0, replayer{hole: func(first, last edgestore.LSN) error { return boom }})
	if !errors.Is(err, boom) {
		t.Errorf("an error of the handler came back as %v", err)
	}
}

// A record that is written twice fits, with its copy, or is refused.
func TestJournal_refusesWhatDoesNotFitTwice(t *testing.T) {
	mem := vfs.NewMem()
	j, _ := mustOpen(t, memOptions(mem))
	var c collector
	j.Start(c.apply)
	most := j.maxRecord(true) - recordHeader
	for _, n := range []int{most, most - 1, most + 1} {
		mustAppend(t, j, "small")
		_, err := j.Append(&edgestore.Record{Twice: true}, nil, nil, make([]byte, n))
		if big := n > most; big != errors.Is(err, ErrTooLarge) || !big && err != nil {
			t.Errorf("%d bytes, of %d: %v", n, most, err)
		}
	}
	for range 300 {
		if _, err := j.Append(&edgestore.Record{Twice: true}, nil, nil, make([]byte, 3000)); err != nil {
			t.Fatal(err)
		}
	}
	mustSync(t, j)
	n := len(c.all())
	mustClose(t, j)
	j, _ = mustOpen(t, memOptions(mem))
	if got := mustReplay(t, j, 0); len(got) != n {
		t.Errorf("%d of %d came back", len(got), n)
	}
	mustClose(t, j)
}
