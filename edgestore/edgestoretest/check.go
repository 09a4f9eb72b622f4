package edgestoretest

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// checkState compares what is cheap to compare.
func checkState(t testing.TB, s edgestore.Store, m *Model) {
	t.Helper()
	index := m.state()
	index.FirstTime = time.Time{}
	if got := s.Index(); got != index {
		t.Fatalf("index:\n got %+v\nwant %+v", got, index)
	}
	if got, want := s.State(), m.state(); got != want {
		t.Fatalf("state:\n got %+v\nwant %+v", got, want)
	}
}

func sameMsg(a, b edgestore.Msg) bool {
	return a.Seq == b.Seq && a.Time == b.Time && a.Subject == b.Subject &&
		bytes.Equal(a.Header, b.Header) && bytes.Equal(a.Body, b.Body)
}

// checkLoad reads one sequence.
func checkLoad(t testing.TB, s edgestore.Store, m *Model, seq uint64) {
	t.Helper()
	got, _, err := s.Load(seq, nil)
	i, ok := m.index(seq)
	switch {
	case ok:
		if err != nil || !sameMsg(got, m.msgs[i]) {
			t.Fatalf("load %d:\n got %+v, %v\nwant %+v", seq, got, err, m.msgs[i])
		}
	case m.lost[seq]:
		if !errors.Is(err, edgestore.ErrLost) || !errors.Is(err, edgestore.ErrDeleted) {
			t.Fatalf("load %d, lost: %v", seq, err)
		}
	case seq > m.last || seq == 0:
		if !errors.Is(err, edgestore.ErrNotFound) {
			t.Fatalf("load %d beyond the end: %v", seq, err)
		}
	default:
		if !errors.Is(err, edgestore.ErrDeleted) {
			t.Fatalf("load %d, deleted: %v", seq, err)
		}
	}
}

// checkNear asks everything about one place and some filters.
func checkNear(t testing.TB, s edgestore.Store, m *Model, filters []string, at uint64) {
	t.Helper()
	got, buf, err := s.LoadNext(filters, at, nil)
	want, ok := m.next(filters, at)
	if ok != (err == nil) || (!ok && !errors.Is(err, edgestore.ErrNotFound)) || !sameMsg(got, want) {
		t.Fatalf("next %q from %d:\n got %+v, %v\nwant %+v, %v", filters, at, got, err, want, ok)
	}
	got, _, err = s.LoadPrev(filters, at, buf)
	want, ok = m.prev(filters, at)
	if ok != (err == nil) || !sameMsg(got, want) {
		t.Fatalf("prev %q from %d:\n got %+v, %v\nwant %+v, %v", filters, at, got, err, want, ok)
	}
	for _, last := range []bool{false, true} {
		c, err := s.Count(filters, at, last)
		if got, want := c.Msgs, m.pending(filters, at, last); err != nil || got != want {
			t.Fatalf("count %q from %d last %v: got %d, %v, want %d", filters, at, last, got, err, want)
		}
	}
	checkHot(t, s, m, filters, at)
}

// checkHot: what is told from memory alone is what is told, or that it is not there.
func checkHot(t testing.TB, s edgestore.Store, m *Model, filters []string, at uint64) {
	t.Helper()
	got, _, err := s.Hot().LoadNext(filters, at, nil)
	want, ok := m.next(filters, at)
	if !errors.Is(err, edgestore.ErrCold) && (ok != (err == nil) || !sameMsg(got, want)) {
		t.Fatalf("hot: next %q from %d:\n got %+v, %v\nwant %+v, %v", filters, at, got, err, want, ok)
	}
	c, err := s.Hot().Count(filters, at, false)
	if want := m.pending(filters, at, false); !errors.Is(err, edgestore.ErrCold) && (err != nil || c.Msgs != want) {
		t.Fatalf("hot: count %q from %d: got %d, %v, want %d", filters, at, c.Msgs, err, want)
	}
	if _, ok := m.index(at); ok != s.Has(at) {
		t.Fatalf("has %d: %v", at, !ok)
	}
}

// checkPages asks for the subjects in pages of n.
func checkPages(t testing.TB, s edgestore.Store, m *Model, filter string, n int) {
	t.Helper()
	want := m.subjects([]string{filter})
	names := slices.Sorted(maps.Keys(want))
	for at := 0; at <= len(names); at += n {
		i := at
		total := s.SubjectPage(filter, at, n, func(name string, msgs uint64) {
			if i >= len(names) || name != names[i] || msgs != want[name].Msgs {
				t.Fatalf("page of subjects %q at %d: %q with %d messages is number %d, want %q", filter, at, name, msgs, i, names)
			}
			i++
		})
		if total != len(names) || i != min(at+n, len(names)) {
			t.Fatalf("page of subjects %q at %d: %d of %d, want %q", filter, at, i-at, total, names)
		}
	}
}

// remove deletes a message: at once, or in two steps as who decides before does.
func remove(s edgestore.Store, seq uint64, twoSteps bool) (size uint64, ok bool, err error) {
	if !twoSteps {
		return s.Remove(seq)
	}
	r, readable, err := s.Describe(seq)
	switch {
	case err != nil || r.Seq != seq:
		return 0, false, err
	case !readable:
		return s.Remove(seq)
	}
	return r.Size, s.Drop([]edgestore.Removal{r, r}) == 1, nil
}

func checkSubjects(t testing.TB, s edgestore.Store, m *Model, filter string) {
	t.Helper()
	checkPages(t, s, m, filter, 3)
	got := map[string]edgestore.SubjectState{}
	err := s.Subjects(filter, func(name string, st edgestore.SubjectState) bool {
		if _, twice := got[name]; twice {
			t.Fatalf("subjects %q: %q twice", filter, name)
		}
		got[name] = st
		return true
	})
	if err != nil {
		t.Fatalf("subjects %q: %v", filter, err)
	}
	want := m.subjects([]string{filter})
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("subjects %q:\n got %v\nwant %v", filter, got, want)
	}
	newest := uint64(0)
	for name, st := range want {
		newest = max(newest, st.Last)
		if one, ok, err := s.Subject(name); err != nil || !ok || one != st {
			t.Fatalf("subject %q: got %v, %v, %v, want %v", name, one, ok, err, st)
		}
	}
	if got, err := s.LastFor(filter); err != nil || got != newest {
		t.Fatalf("last for %q: got %d, %v, want %d", filter, got, err, newest)
	}
}

// checkAll compares everything there is, slowly.
func checkAll(t testing.TB, s edgestore.Store, m *Model, filters [][]string) {
	t.Helper()
	checkState(t, s, m)
	if got, want := s.Deleted(-1), m.deleted(); !slices.Equal(got, want) {
		t.Fatalf("deleted:\n got %v\nwant %v", got, want)
	}
	var buf []byte
	var got edgestore.Msg
	var err error
	at := uint64(0)
	for i := range m.msgs {
		got, buf, err = s.LoadNext(nil, at, buf)
		if err != nil || !sameMsg(got, m.msgs[i]) {
			t.Fatalf("walk from %d:\n got %+v, %v\nwant %+v", at, got, err, m.msgs[i])
		}
		at = got.Seq + 1
	}
	if _, _, err = s.LoadNext(nil, at, buf); !errors.Is(err, edgestore.ErrNotFound) {
		t.Fatalf("walk past the end: %v", err)
	}
	for _, f := range filters {
		for _, at := range []uint64{0, m.first, m.last, m.last + 1, (m.first + m.last) / 2} {
			checkNear(t, s, m, f, at)
		}
		if len(f) == 1 {
			checkSubjects(t, s, m, f[0])
		}
	}
	checkSubjects(t, s, m, ">")
	if got, want := s.Damage(), m.damage(); !slices.Equal(got, want) {
		t.Fatalf("damage:\n got %v\nwant %v", got, want)
	}
	for seq := range m.lost {
		checkLoad(t, s, m, seq)
	}
	if f := s.Found(); len(f) > 0 {
		t.Fatalf("damage that is not booked: %v", f)
	}
}

// checkSome asks a few random questions.
func checkSome(t testing.TB, s edgestore.Store, m *Model, filters [][]string, rnd *rand.Rand) {
	t.Helper()
	checkState(t, s, m)
	place := func() uint64 {
		lo := m.first - min(m.first, 3)
		return lo + rnd.Uint64N(m.last-lo+5)
	}
	checkLoad(t, s, m, place())
	f := filters[rnd.IntN(len(filters))]
	checkNear(t, s, m, f, place())
	a, b := place(), place()
	if rnd.IntN(4) == 0 {
		b = 0
	}
	if got, err := s.LastPerSubject(f, a, b); err != nil || !slices.Equal(got, m.lastPerSubject(f, a, b)) {
		t.Fatalf("last per subject %q %d..%d:\n got %v, %v\nwant %v", f, a, b, got, err, m.lastPerSubject(f, a, b))
	}
	if len(f) == 1 {
		checkSubjects(t, s, m, f[0])
	}
	if len(m.msgs) > 0 {
		at := m.msgs[rnd.IntN(len(m.msgs))].Time + rnd.Int64N(3) - 1
		if got, err := s.SeqAt(time.Unix(0, at)); err != nil || got != m.seqAt(at) {
			t.Fatalf("seq at %d: got %d, %v, want %d", at, got, err, m.seqAt(at))
		}
	}
	k := rnd.IntN(10)
	want := m.deleted()
	if got := s.Deleted(k); !slices.Equal(got, want[:min(k, len(want))]) {
		t.Fatalf("deleted(%d):\n got %v\nwant %v", k, got, want[:min(k, len(want))])
	}
}
