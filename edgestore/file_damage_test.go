package edgestore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

var flipsFlag = flag.Int("flips", rounds(20, 60), "damaged files that the damage test tries")

// stored is everything that a test has put into a store, and what of it is live.
type stored struct {
	msgs map[uint64]edgestore.Msg
	live map[uint64]bool
	last uint64
}

// build makes a closed store of several files with gaps and returns what is in it.
func build(t testing.TB, o edgestore.FileOptions, n int) stored {
	t.Helper()
	blobs := new(edgestoretest.Blobs)
	o.Blobs = blobs
	s := mustOpen(t, o)
	rnd := rand.New(rand.NewPCG(5, 6))
	st := stored{msgs: map[uint64]edgestore.Msg{}, live: map[uint64]bool{}}
	for i := 1; i <= n; i++ {
		m := edgestore.Msg{Seq: uint64(i), Time: int64(i) * 1000, Subject: fmt.Sprintf("s.%d", rnd.IntN(200)),
			Header: []byte("NATS/1.0\r\nA: b\r\n\r\n"), Body: bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 20+rnd.IntN(100))}
		if i%3 > 0 {
			m.Header = nil
		}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
		st.msgs[m.Seq], st.live[m.Seq], st.last = m, true, m.Seq
		if i%5 == 0 {
			seq := uint64(1 + rnd.IntN(i))
			if _, ok, err := s.Remove(seq); err != nil {
				t.Fatal(err)
			} else if ok {
				delete(st.live, seq)
			}
		}
		if i%400 == 0 || i == n {
			s.Seal(edgestore.LSN(i), edgestore.Chain{}, []edgestore.Aux{{Key: fmt.Sprintf("c/%d", i%7), Value: []byte("v")}})
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return st
}

func readDir(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = b
	}
	return out
}

func writeDir(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func sameMsg(a, b edgestore.Msg) bool {
	return a.Seq == b.Seq && a.Time == b.Time && a.Subject == b.Subject && bytes.Equal(a.Header, b.Header) && bytes.Equal(a.Body, b.Body)
}

// verify reads everything: what comes back is what was stored, and what does
// not come back was deleted or is reported. It returns how many are lost.
func (st *stored) verify(t testing.TB, s edgestore.Store) (lost int) {
	t.Helper()
	seen := map[uint64]bool{}
	at := uint64(0)
	var buf []byte
	for {
		m, out, err := s.LoadNext(nil, at, buf)
		if errors.Is(err, edgestore.ErrNotFound) {
			break
		}
		if err != nil {
			t.Fatalf("next from %d: %v", at, err)
		}
		if want, ok := st.msgs[m.Seq]; !ok || !sameMsg(m, want) {
			t.Fatalf("message %d is not what was stored", m.Seq)
		}
		seen[m.Seq] = true
		buf, at = out, m.Seq+1
	}
	reported := func(seq uint64) bool {
		return slices.ContainsFunc(s.Damage(), func(r edgestore.SeqRange) bool { return r.First <= seq && seq <= r.Last })
	}
	for seq := uint64(1); seq <= st.last; seq++ {
		m, _, err := s.Load(seq, nil)
		switch {
		case err == nil:
			if !sameMsg(m, st.msgs[seq]) {
				t.Fatalf("message %d is not what was stored", seq)
			}
			if !seen[seq] {
				t.Fatalf("message %d loads, and a walk passes it over", seq)
			}
		case !st.live[seq]:
		case reported(seq):
			lost++
		default:
			t.Fatalf("message %d is gone and nobody says so: %v; damage %v", seq, err, s.Damage())
		}
	}
	return lost
}

func TestFileStore_flippedBits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, MaxFileBytes: 256 << 10, CacheBytes: 1}
	st := build(t, o, 4000)
	good := readDir(t, dir)
	if len(good) < 2 {
		t.Fatalf("only %d file", len(good))
	}
	names := make([]string, 0, len(good))
	for n := range good {
		names = append(names, n)
	}
	slices.Sort(names)
	seed := *seedFlag + 1
	t.Logf("seed %d, %d files", seed, len(names))
	rnd := rand.New(rand.NewPCG(seed, 1))
	refused, losses, unhurt := 0, 0, 0
	for i := 0; i < *flipsFlag; i++ {
		files := map[string][]byte{}
		for n, b := range good {
			files[n] = b
		}
		name := names[rnd.IntN(len(names))]
		bad := slices.Clone(good[name])
		at := flipPlace(rnd, bad)
		bit := rnd.IntN(8)
		bad[at] ^= 1 << bit
		files[name] = bad
		writeDir(t, dir, files)
		what := fmt.Sprintf("%s byte %d bit %d", name, at, bit)
		lost, err := st.tryDamaged(t, o, what)
		switch {
		case err != nil:
			refused++
		case lost > 0:
			losses++
		default:
			unhurt++
		}
		if lost > 600 {
			t.Errorf("%s: one flipped bit has cost %d messages", what, lost)
		}
	}
	t.Logf("%d unhurt, %d with losses, %d refused", unhurt, losses, refused)
	if refused > 0 {
		t.Errorf("%d stores with one flipped bit did not open", refused)
	}
}

// flipPlace is anywhere, or, every other time, in the header of a page, where
// bbolt keeps its structure.
func flipPlace(rnd *rand.Rand, b []byte) int {
	if rnd.IntN(2) == 0 {
		return rnd.IntN(len(b))
	}
	pages := len(b) / 4096
	for {
		p := rnd.IntN(pages) * 4096
		id := binary.NativeEndian.Uint64(b[p:])
		if id == uint64(p/4096) {
			return p + rnd.IntN(96)
		}
	}
}

// bookAll books everything that was found, and checks that afterwards every
// count is that of what can be read.
func bookAll(t testing.TB, s edgestore.Store) {
	t.Helper()
	for _, r := range s.Found() {
		if n, err := s.Lose(r.First, r.Last); err != nil || n != r.Last-r.First+1 {
			t.Fatalf("lose %v: %d, %v", r, n, err)
		}
	}
	if f := s.Found(); len(f) > 0 {
		t.Fatalf("still not booked: %v", f)
	}
	checkCounts(t, s)
}

// checkCounts compares every count with what a walk finds.
func checkCounts(t testing.TB, s edgestore.Store) {
	t.Helper()
	var msgs, size uint64
	subjects := map[string]edgestore.SubjectState{}
	var buf []byte
	for at := uint64(0); ; {
		m, out, err := s.LoadNext(nil, at, buf)
		if errors.Is(err, edgestore.ErrNotFound) {
			break
		}
		if err != nil {
			t.Fatalf("next from %d: %v", at, err)
		}
		msgs, size, buf, at = msgs+1, size+m.Size(), out, m.Seq+1
		sub := subjects[m.Subject]
		if sub.Msgs == 0 {
			sub.First = m.Seq
		}
		sub.Msgs, sub.Last = sub.Msgs+1, m.Seq
		subjects[m.Subject] = sub
	}
	state := s.State()
	if state.Msgs != msgs || state.Bytes != size || state.NumSubjects != len(subjects) {
		t.Fatalf("state %+v, a walk finds %d messages of %d bytes on %d subjects", state, msgs, size, len(subjects))
	}
	if state.NumDeleted != state.LastSeq+1-state.FirstSeq-msgs {
		t.Fatalf("state %+v: deleted", state)
	}
	if n := edgestore.CountOf(s, nil, 0, false); n != msgs {
		t.Fatalf("%d pending of %d", n, msgs)
	}
	if n := edgestore.CountOf(s, []string{"*.*", "k.>"}, 0, true); n != uint64(len(subjects)) {
		t.Fatalf("%d subjects pending of %d", n, len(subjects))
	}
	if newest, err := s.LastPerSubject(nil, 0, 0); err != nil || len(newest) != len(subjects) {
		t.Fatalf("%d newest of %d subjects, %v", len(newest), len(subjects), err)
	}
	for name, want := range subjects {
		if got, ok, err := s.Subject(name); err != nil || !ok || got != want {
			t.Fatalf("subject %q: %+v, %v, want %+v", name, got, ok, want)
		}
		if n := edgestore.CountOf(s, []string{name}, 0, false); n != want.Msgs {
			t.Fatalf("subject %q: %d pending of %d", name, n, want.Msgs)
		}
		if last, err := s.LastFor(name); err != nil || last != want.Last {
			t.Fatalf("subject %q: last %d, want %d", name, last, want.Last)
		}
	}
}

func (st *stored) tryDamaged(t *testing.T, o edgestore.FileOptions, what string) (lost int, err error) {
	t.Helper()
	blobs := new(edgestoretest.Blobs)
	o.Blobs = blobs
	s, err := edgestore.OpenFileStore(o)
	if err != nil {
		if !errors.Is(err, edgestore.ErrCorrupt) {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, err)
		return 0, err
	}
	defer s.Close()
	defer func() {
		if t.Failed() {
			t.Logf("with %s", what)
		}
	}()
	lost = st.verify(t, s)
	bookAll(t, s)
	st.verify(t, s)
	s.State()
	edgestore.CountOf(s, []string{"s.1", "s.2*"}, 500, true)
	if err := s.Subjects("s.*", func(string, edgestore.SubjectState) bool { return true }); err != nil {
		t.Fatalf("subjects: %v", err)
	}
	if _, err := s.LastPerSubject([]string{"s.*"}, 1, 2000); err != nil {
		t.Fatalf("newest of each subject: %v", err)
	}
	// The stream goes on, or says that it cannot.
	m := edgestore.Msg{Seq: s.State().LastSeq + 1, Subject: "after", Body: []byte("x")}
	if err := s.Append(&m, blobs.Add(&m)); err != nil {
		t.Fatalf("append: %v", err)
	}
	for seq := uint64(1); seq < 200; seq++ {
		if _, _, err := s.Remove(seq); err != nil {
			t.Fatalf("remove: %v", err)
		}
	}
	s.Seal(edgestore.LSN(m.Seq), edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil && !errors.Is(err, edgestore.ErrCorrupt) {
		t.Fatalf("flush: %v", err)
	}
	if m2, _, err := s.Load(m.Seq, nil); err != nil || !sameMsg(m, m2) {
		t.Fatalf("the new message: %v", err)
	}
	return lost, nil
}

// TestFileStore_mixedPages is a power cut during a commit: any subset of the
// pages that the commit changes may have reached the disk, and one of the meta
// pages with them only when all have. Either commit must come out.
func TestFileStore_mixedPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: dir, Incarnation: 3, Blobs: blobs}
	s := mustOpen(t, o)
	st := stored{msgs: map[uint64]edgestore.Msg{}, live: map[uint64]bool{}}
	step := func(n int) {
		for i := 0; i < n; i++ {
			st.last++
			m := edgestore.Msg{Seq: st.last, Time: int64(st.last), Subject: fmt.Sprintf("s.%d", st.last%17), Body: bytes.Repeat([]byte{byte(st.last)}, 150)}
			if err := s.Append(&m, blobs.Add(&m)); err != nil {
				t.Fatal(err)
			}
			st.msgs[m.Seq], st.live[m.Seq] = m, true
		}
		for seq := uint64(3); seq < st.last; seq += 11 {
			if _, ok, err := s.Remove(seq); err != nil {
				t.Fatal(err)
			} else if ok {
				delete(st.live, seq)
			}
		}
		s.Seal(edgestore.LSN(st.last), edgestore.Chain{}, nil)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	step(1500)
	step(700)
	seed := *seedFlag + 1
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	tried := map[edgestore.LSN]int{}
	n := rounds(6, 18)
	for round := range n {
		if round == n/2 {
			step(3000)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		before, stBefore := readDir(t, dir), st.clone()
		s = mustOpen(t, o)
		step(50 + rnd.IntN(900))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		after := readDir(t, dir)
		if len(before) != 1 || len(after) != 1 {
			t.Fatalf("%d and %d files", len(before), len(after))
		}
		for try := 0; try < 6; try++ {
			all := try == 5
			writeDir(t, dir, mixPages(before, after, rnd, all))
			s := mustOpen(t, o)
			applied := s.Applied()
			tried[applied]++
			want := stBefore
			if all && applied == edgestore.LSN(st.last) {
				want = st
			} else if applied != edgestore.LSN(stBefore.last) {
				t.Fatalf("applied %d, neither %d nor %d", applied, stBefore.last, st.last)
			}
			if lost := want.verify(t, s); lost > 0 || len(s.Damage()) > 0 {
				t.Fatalf("lost %d, damage %v", lost, s.Damage())
			}
			if got := s.State().Msgs; got != uint64(len(want.live)) {
				t.Fatalf("%d messages, want %d", got, len(want.live))
			}
			s.Close()
		}
		writeDir(t, dir, after)
		s = mustOpen(t, o)
	}
}

func (st *stored) clone() stored {
	c := stored{msgs: st.msgs, live: map[uint64]bool{}, last: st.last}
	for k := range st.live {
		c.live[k] = true
	}
	return c
}

// mixPages writes some of the changed data pages of after over before; with
// all, all of them and a torn or whole meta page.
func mixPages(before, after map[string][]byte, rnd *rand.Rand, all bool) map[string][]byte {
	out := map[string][]byte{}
	for name, b := range before {
		a := after[name]
		mix := slices.Clone(b)
		if len(a) > len(mix) {
			mix = append(mix, make([]byte, len(a)-len(mix))...)
		}
		for p := 0; p+4096 <= len(a); p += 4096 {
			if p < 2*4096 {
				continue
			}
			if all || rnd.IntN(2) == 0 {
				copy(mix[p:p+4096], a[p:])
			}
		}
		if all {
			for p := 0; p < 2*4096; p += 4096 {
				if bytes.Equal(b[p:p+4096], a[p:p+4096]) {
					continue
				}
				copy(mix[p:p+4096], a[p:])
				if rnd.IntN(2) == 0 { // torn: bbolt writes the page with its checksum last
					copy(mix[p+16+40:p+16+64], b[p+16+40:])
				}
			}
		}
		out[name] = mix
	}
	return out
}

func TestFileStore_cutShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, CacheBytes: 1}
	st := build(t, o, 1500)
	good := readDir(t, dir)
	for name, b := range good {
		for _, n := range []int{len(b) - 4096, len(b) * 2 / 3, len(b) / 3} {
			writeDir(t, dir, map[string][]byte{name: b[:n]})
			if _, err := st.tryDamaged(t, o, fmt.Sprintf("cut to %d of %d", n, len(b))); err != nil {
				t.Logf("cut to %d of %d: %v", n, len(b), err)
			}
		}
	}
}

func TestFileStore_missingOldFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, MaxFileBytes: 256 << 10}
	st := build(t, o, 4000)
	good := readDir(t, dir)
	names := make([]string, 0)
	for n := range good {
		names = append(names, n)
	}
	slices.Sort(names)
	delete(good, names[0])
	writeDir(t, dir, good)
	lost, err := st.tryDamaged(t, o, "without "+names[0])
	if err != nil || lost == 0 {
		t.Fatalf("lost %d, %v", lost, err)
	}
}

func TestFileStore_refusesAnotherIncarnation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9}
	build(t, o, 10)
	o.Incarnation = 10
	if _, err := edgestore.OpenFileStore(o); err == nil || errors.Is(err, edgestore.ErrCorrupt) {
		t.Fatalf("opened, or called damaged: %v", err)
	}
	o.Incarnation = 9
	mustOpen(t, o)
	if _, err := edgestore.OpenFileStore(o); !errors.Is(err, edgestore.ErrLocked) {
		t.Fatalf("a second open: %v", err)
	}
}

func TestFileStore_deleteRemovesEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, MaxFileBytes: 256 << 10}
	build(t, o, 4000)
	for _, run := range []string{"00000003.ids", "00000004.ids.tmp"} { // ids, and what was not finished of them
		if err := os.WriteFile(filepath.Join(dir, run), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, o)
	if op := s.(interface{ Opening() edgestore.Opening }).Opening(); len(op.Strays) > 0 {
		t.Errorf("strays: %q", op.Strays)
	}
	if err := s.Delete(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the folder is still there: %v", err)
	}
}
