package subject

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// dumbIndex is the twin: a list.
type dumbIndex []dumbEntry

type dumbEntry struct {
	pattern, queue string
	v              int
}

func (x *dumbIndex) count(pattern, queue string) int {
	n := 0
	for _, e := range *x {
		if e.pattern == pattern && e.queue == queue {
			n++
		}
	}
	return n
}

func (x *dumbIndex) insert(e dumbEntry) (first bool) {
	if slices.Contains(*x, e) {
		return false
	}
	*x = append(*x, e)
	return x.count(e.pattern, e.queue) == 1
}

func (x *dumbIndex) remove(e dumbEntry) (last, ok bool) {
	i := slices.Index(*x, e)
	if i < 0 {
		return false, false
	}
	*x = slices.Delete(*x, i, i+1)
	return x.count(e.pattern, e.queue) == 0, true
}

// match is a text that is equal for equal results.
func (x *dumbIndex) match(literal string) string {
	groups := map[string][]int{}
	for _, e := range *x {
		if dumbMatch(e.pattern, literal) {
			groups[e.queue] = append(groups[e.queue], e.v)
		}
	}
	return describe(groups)
}

func describe(groups map[string][]int) string {
	var lines []string
	for name, members := range groups {
		slices.Sort(members)
		lines = append(lines, fmt.Sprintf("%q:%v", name, members))
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

func describeResult(t *testing.T, r *Result[int]) string {
	t.Helper()
	groups := map[string][]int{}
	if len(r.Plain) > 0 {
		groups[""] = slices.Clone(r.Plain)
	}
	for _, g := range r.Queues {
		if _, twice := groups[g.Name]; twice || len(g.Members) == 0 {
			t.Errorf("group %q is there twice or empty", g.Name)
		}
		groups[g.Name] = slices.Clone(g.Members)
	}
	return describe(groups)
}

func TestIndex_agreesWithTwin(t *testing.T) {
	r := newRand(t)
	x, twin := NewIndex[int](), &dumbIndex{}
	var search Search[int]
	subjects := append(universe(), "a..b", "", "a.", "a.*", "b.>", "*")
	for step := range 8_000 {
		e := dumbEntry{randomPattern(r), []string{"", "", "q1", "q2"}[r.IntN(4)], r.IntN(5)}
		before := x.Generation()
		if r.IntN(2) == 0 {
			size := len(*twin)
			if got, want := x.Insert(e.pattern, e.queue, e.v), twin.insert(e); got != want {
				t.Fatalf("step %d: Insert(%+v) is %v, twin says %v", step, e, got, want)
			}
			if changed := x.Generation() != before; changed != (len(*twin) != size) {
				t.Fatalf("step %d: Insert(%+v) changed the generation: %v", step, e, changed)
			}
		} else {
			last, ok := x.Remove(e.pattern, e.queue, e.v)
			wantLast, wantOK := twin.remove(e)
			if last != wantLast || ok != wantOK {
				t.Fatalf("step %d: Remove(%+v) is %v, %v, twin says %v, %v", step, e, last, ok, wantLast, wantOK)
			}
			if changed := x.Generation() != before; changed != ok {
				t.Fatalf("step %d: Remove(%+v) changed the generation: %v", step, e, changed)
			}
		}
		s := subjects[r.IntN(len(subjects))]
		want := twin.match(s)
		if got := describeResult(t, x.Match([]byte(s))); got != want {
			t.Fatalf("step %d: Match(%q) is %s, twin says %s", step, s, got, want)
		}
		if got := describeResult(t, x.Once([]byte(s), &search)); got != want {
			t.Fatalf("step %d: Once(%q) is %s, twin says %s", step, s, got, want)
		}
		if got := x.HasInterest(s); got != (want != "") {
			t.Fatalf("step %d: HasInterest(%q) is %v, twin says %s", step, s, got, want)
		}
		if x.Len() != len(*twin) {
			t.Fatalf("step %d: Len is %d, twin says %d", step, x.Len(), len(*twin))
		}
	}
	checkEach(t, x, *twin)
	for _, e := range *twin {
		x.Remove(e.pattern, e.queue, e.v)
	}
	if !x.mu.root.empty() || x.Len() != 0 {
		t.Error("an index without values still has nodes")
	}
}

func checkEach(t *testing.T, x *Index[int], twin dumbIndex) {
	t.Helper()
	seen := dumbIndex{}
	x.Each(func(pattern, queue string, members []int) {
		for _, v := range members {
			seen = append(seen, dumbEntry{pattern, queue, v})
		}
	})
	order := func(a, b dumbEntry) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	want := slices.Clone(twin)
	slices.SortFunc(seen, order)
	slices.SortFunc(want, order)
	if !slices.Equal(seen, want) {
		t.Errorf("Each gives %v, want %v", seen, want)
	}
}

func TestIndex_mergesGroupsOfDifferentSubjects(t *testing.T) {
	x := NewIndex[int]()
	x.Insert("q.*", "grp", 1)
	x.Insert("q.1", "grp", 2)
	x.Insert("q.1", "other", 3)
	got := describeResult(t, x.Match([]byte("q.1")))
	if want := `"grp":[1 2] "other":[3]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIndex_manyValuesAndGroups(t *testing.T) {
	x, twin := NewIndex[int](), &dumbIndex{}
	const n = 500
	for i := range n {
		for _, e := range []dumbEntry{{"a.b", "", i}, {"a.*", fmt.Sprint("q", i%100), i}} {
			x.Insert(e.pattern, e.queue, e.v)
			twin.insert(e)
		}
	}
	r := newRand(t)
	for _, i := range r.Perm(n) {
		e := dumbEntry{"a.b", "", i}
		last, ok := x.Remove(e.pattern, e.queue, e.v)
		wantLast, wantOK := twin.remove(e)
		if last != wantLast || ok != wantOK {
			t.Fatalf("Remove(%d) is %v, %v", i, last, ok)
		}
		if i%50 == 0 {
			if got, want := describeResult(t, x.Match([]byte("a.b"))), twin.match("a.b"); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
}

func TestIndex_resultsNeverChange(t *testing.T) {
	x := NewIndex[int]()
	x.Insert("a", "", 1)
	x.Insert("a", "", 2)
	r := x.Match([]byte("a"))
	x.Remove("a", "", 1)
	x.Insert("a", "", 3)
	if got, want := describeResult(t, r), `"":[1 2]`; got != want {
		t.Errorf("an old result became %s, was %s", got, want)
	}
	if got, want := describeResult(t, x.Match([]byte("a"))), `"":[2 3]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIndex_literalChangesKeepTheCacheOfOthers(t *testing.T) {
	x := NewIndex[int]()
	x.Insert("a.>", "", 1)
	r := x.Match([]byte("a.b"))
	x.Insert("_INBOX.x", "", 2)
	if x.Match([]byte("a.b")) != r {
		t.Error("an inbox emptied the cache")
	}
	x.Insert("a.*", "", 3)
	if got, want := describeResult(t, x.Match([]byte("a.b"))), `"":[1 3]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIndex_cacheIsBounded(t *testing.T) {
	x := NewIndex[int]()
	for i := range 1000 {
		x.Insert(">", "", i)
	}
	for i := range 2 * cacheSize {
		s := fmt.Sprintf("a.%d", i)
		if got := len(x.Match([]byte(s)).Plain); got != 1000 {
			t.Fatalf("%s has %d", s, got)
		}
	}
	// One result may go over the bound before the next one clears it.
	if got := x.cache.slots.Load(); got > cacheSlots+1000 {
		t.Errorf("the cache holds %d values", got)
	}
	total := int64(0)
	for i := range x.cache.table {
		if e := x.cache.table[i].Load(); e != nil {
			total += int64(e.result.cost())
		}
	}
	if total != x.cache.slots.Load() {
		t.Errorf("the cache holds %d values and counts %d", total, x.cache.slots.Load())
	}
	x.Match([]byte(strings.Repeat("x", cacheSubject+1)))
	for i := range x.cache.table {
		if e := x.cache.table[i].Load(); e != nil && len(e.subject) > cacheSubject {
			t.Error("a long subject was remembered")
		}
	}
}

// A reader that starts after a change has returned sees the change.
func TestIndex_concurrentChangesAreSeen(t *testing.T) {
	x := NewIndex[int]()
	x.Insert("c.>", "", -1)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(g), 7))
			var search Search[int]
			for i := range 3000 {
				pattern := []string{"c.*", "c.x", "c.x.>", ">"}[r.IntN(4)]
				v := g*10_000 + i
				x.Insert(pattern, "", v)
				s := []byte("c.x")
				if pattern == "c.x.>" {
					s = []byte("c.x.y")
				}
				if !slices.Contains(x.Match(s).Plain, v) || !slices.Contains(x.Once(s, &search).Plain, v) {
					t.Errorf("%s of goroutine %d is not seen after Insert", pattern, g)
				}
				x.Remove(pattern, "", v)
				if slices.Contains(x.Match(s).Plain, v) || slices.Contains(x.Once(s, &search).Plain, v) {
					t.Errorf("%s of goroutine %d is seen after Remove", pattern, g)
				}
			}
		}()
	}
	wg.Wait()
	if x.Len() != 1 {
		t.Errorf("%d values are left", x.Len())
	}
}

func TestIndex_cachedMatchDoesNotAllocate(t *testing.T) {
	x := NewIndex[int]()
	x.Insert("a.*", "", 1)
	s := []byte("a.b")
	x.Match(s)
	if n := testing.AllocsPerRun(100, func() { x.Match(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIndex_searchDoesNotAllocate(t *testing.T) {
	x := NewIndex[int]()
	x.Insert("a.*", "", 1)
	x.Insert("a.>", "", 2)
	var search Search[int]
	s := []byte("a.b")
	x.Once(s, &search)
	if n := testing.AllocsPerRun(100, func() { x.Once(s, &search) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for i := range 10 * searchKeeps {
		x.Insert("b", "", i)
	}
	x.Once([]byte("b"), &search)
	if x.Once(s, &search); cap(search.found.Plain) > searchKeeps {
		t.Errorf("room for %d subscriptions is kept for a subject with 2", cap(search.found.Plain))
	}
}

// A search that met many groups begins anew with the next subject.
func TestIndex_searchForgetsManyGroups(t *testing.T) {
	x := NewIndex[int]()
	const many = 3 * groupScan
	for i := range many {
		x.Insert("many", fmt.Sprint(i), i)
	}
	x.Insert("few", fmt.Sprint(many-1), -1)
	x.Insert("few", "other", -2)
	var search Search[int]
	for range 2 {
		if n := len(x.Once([]byte("many"), &search).Queues); n != many {
			t.Errorf("%d groups, want %d", n, many)
		}
		want := fmt.Sprintf(`"%d":[-1] "other":[-2]`, many-1)
		if got := describeResult(t, x.Once([]byte("few"), &search)); got != want {
			t.Errorf("then %s, want %s", got, want)
		}
	}
}

func BenchmarkIndex_match(b *testing.B) {
	x := NewIndex[int]()
	for i := range 10_000 {
		x.Insert(fmt.Sprintf("sensors.%d.temp", i), "", i)
	}
	x.Insert("sensors.*.temp", "", -1)
	b.Run("cached", func(b *testing.B) {
		s := []byte("sensors.17.temp")
		b.ReportAllocs()
		for b.Loop() {
			x.Match(s)
		}
	})
	b.Run("not cached", func(b *testing.B) {
		s := []byte("sensors.17.temp")
		b.ReportAllocs()
		for b.Loop() {
			x.cache.outdate()
			x.Match(s)
		}
	})
}

func BenchmarkIndex_insertRemove(b *testing.B) {
	x := NewIndex[int]()
	b.ReportAllocs()
	for b.Loop() {
		x.Insert("_INBOX.Zt3kQwXYZ.17", "", 1)
		x.Remove("_INBOX.Zt3kQwXYZ.17", "", 1)
	}
}

func TestIndex_manyChildrenOfOneToken(t *testing.T) {
	r := newRand(t)
	x, twin := NewIndex[int](), &dumbIndex{}
	token := func() dumbEntry { return dumbEntry{fmt.Sprintf("d.%d.temp", r.IntN(12)), "", 0} }
	for step := range 5_000 {
		e := token()
		// Phases of growth and decline, so that nodes change their form.
		if grow := step/200%2 == 0; r.IntN(10) < 8 == grow {
			if got, want := x.Insert(e.pattern, "", 0), twin.insert(e); got != want {
				t.Fatalf("step %d: Insert(%q) is %v", step, e.pattern, got)
			}
		} else {
			last, ok := x.Remove(e.pattern, "", 0)
			if wantLast, wantOK := twin.remove(e); last != wantLast || ok != wantOK {
				t.Fatalf("step %d: Remove(%q) is %v, %v", step, e.pattern, last, ok)
			}
		}
		s := token().pattern
		if got, want := describeResult(t, x.Match([]byte(s))), twin.match(s); got != want {
			t.Fatalf("step %d: Match(%q) is %s, twin says %s", step, s, got, want)
		}
	}
	checkEach(t, x, *twin)
}
