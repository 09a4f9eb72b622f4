package jetstream

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// What is shown never falls as the line goes on, line is the inverse of wall, and
// cutoff that of settled, whatever steps there were; and all of it is the same
// when it was written and read.
func TestTimetable_laws(t *testing.T) {
	const hour = int64(time.Hour)
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var table timetable
		at, wall, known := int64(0), int64(0), rnd.IntN(2) == 0
		var stamps []int64
		begin := func() {
			table, at = table.begin(at, wall, known, []string{"", "a", "b"}[rnd.IntN(3)], int64(rnd.IntN(1000)))
		}
		wall = in2026.UnixNano()
		begin()
		for range 1 + rnd.IntN(40) {
			switch rnd.IntN(4) {
			case 0:
				wall += int64(rnd.IntN(1000)) * hour
				known = rnd.IntN(3) > 0
				begin()
			case 1:
				if by := wall - at - table.last(); known && (table.unset != 0 || by > clockSlack || by < -clockSlack) {
					var jump int64
					table, jump = table.step(at, by)
					at += jump
				}
			case 2:
				wall += (int64(rnd.IntN(2000)) - 1000) * hour
			}
			for range rnd.IntN(3) {
				d := 1 + rnd.Int64N(hour)
				at, wall = at+d, wall+d
				stamps = append(stamps, at)
			}
			if rnd.IntN(10) == 0 && len(stamps) > 0 {
				stamps = stamps[rnd.IntN(len(stamps)):]
				table.forget(stamps[0])
			}
		}
		read, err := readTimetable(table.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if read.news(&table) || table.news(&read) || read.latest != table.latest || read.run != table.run {
			t.Fatalf("seed %d: wrote %+v, read %+v", seed, table, read)
		}
		if !slices.IsSorted(stamps) {
			t.Fatalf("seed %d: the line went back", seed)
		}
		for i, x := range stamps {
			w, s := table.wall(x), table.settled(x)
			if i > 0 && (w < table.wall(stamps[i-1]) || s < table.settled(stamps[i-1])) {
				t.Fatalf("seed %d: %+v: %d is shown as %d, %d as %d", seed, table, stamps[i-1], table.wall(stamps[i-1]), x, w)
			}
			// The first stamp that is shown as w or later.
			first := slices.IndexFunc(stamps, func(y int64) bool { return table.wall(y) >= w })
			if got := slices.IndexFunc(stamps, func(y int64) bool { return y >= table.line(w) }); got != first {
				t.Fatalf("seed %d: %+v: from %d on begins with stamp %d, want %d", seed, table, w, got, first)
			}
			for _, c := range []int64{s, s + 1, s - 1} {
				if below := x < table.cutoff(c); below != (s < c) {
					t.Fatalf("seed %d: %+v: stamp %d is settled at %d, and below the cutoff of %d: %v", seed, table, x, s, c, below)
				}
			}
		}
	}
}

// However often a machine without a clock starts, the timetable stays small and
// nothing gets older by that.
func TestTimetable_isBounded(t *testing.T) {
	var table timetable
	at, wall := int64(0), in2026.UnixNano()
	table, at = table.begin(0, wall, true, "0", 0)
	first := at + 1
	for i := range 3 * maxMoves {
		wall += int64(time.Hour)
		table, at = table.begin(at+1, in1970.UnixNano(), false, string(rune('a'+i)), 0)
		at += int64(time.Minute)
		var jump int64
		table, jump = table.step(at, wall-at-table.last())
		at += jump
	}
	if len(table.moves) > maxMoves || len(table.shifts) > maxShifts {
		t.Errorf("%d moves, %d shifts", len(table.moves), len(table.shifts))
	}
	if _, err := readTimetable(table.append(nil)); err != nil {
		t.Error(err)
	}
	if age := at - table.settled(first); age > 3*maxMoves*int64(time.Hour+time.Minute) {
		t.Errorf("the first one is %v old", time.Duration(age))
	}
	table.forget(at)
	if len(table.moves) != 0 || len(table.shifts) > 1 {
		t.Errorf("nothing is left, and there are %d moves and %d shifts", len(table.moves), len(table.shifts))
	}
}

// A timetable that can't be is refused.
func TestTimetable_damaged(t *testing.T) {
	good := timetable{latest: 5, shifts: []shift{{from: 1, by: 2}, {from: 3, by: 4}}, moves: []move{{1, 5, 3}}}
	b := good.append(nil)
	if _, err := readTimetable(b); err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := readTimetable(b[:n]); err == nil {
			t.Errorf("cut at %d it is taken", n)
		}
	}
	for _, bad := range []timetable{
		{shifts: []shift{{from: 3}, {from: 1}}},
		{shifts: []shift{{from: -1}}},
		{shifts: []shift{{from: 1, end: -1}}},
		{moves: []move{{3, 4, 1}, {1, 2, 1}}},
		{moves: []move{{-1, 2, 1}}},
		{moves: []move{{2, 1, 1}}},
		{moves: []move{{1, 5, -1}}},
		{moves: []move{{1, 5, 6}}},
		{moves: []move{{1, 5, math.MaxInt64}}},
		{moves: []move{{1, 5, 1}, {4, 8, 1}}},
	} {
		if _, err := readTimetable(bad.append(nil)); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	// What is added to the end of the line stays at its end.
	far, err := readTimetable((&timetable{
		shifts: []shift{{from: 1, by: math.MaxInt64}, {from: math.MaxInt64 - 1, by: math.MaxInt64}},
		moves:  []move{{1, math.MaxInt64, math.MaxInt64 - 5}},
	}).append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if w, s := far.wall(10), far.settled(10); w != math.MaxInt64 || s != math.MaxInt64 {
		t.Errorf("shown as %d, settled at %d", w, s)
	}
}

// What a look found is shortened for the log. The timetable that stamps are shown
// by meanwhile stays as it is, also when the log takes nothing.
func TestTimeline_lookLeavesTheTableAlone(t *testing.T) {
	var cfg Config
	newTestMachine(in2026).configure(&cfg)
	l := newTimeline(&cfg)
	before := timetable{latest: 500, shifts: []shift{{from: 100, by: 7}, {from: 200, by: 9}}, moves: []move{{100, 300, 20}}}
	before.bound()
	l.begin(&before, 0, false)
	s, due := l.follows(l.look())
	if !due {
		t.Fatal("another run of the machine is no news")
	}
	was := l.table().clone()
	s.table.forget(l.at())
	if !reflect.DeepEqual(*l.table(), was) {
		t.Errorf("it was %+v, and is %+v", was, *l.table())
	}
}
