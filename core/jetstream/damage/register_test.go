package damage

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// disk is the catalogue that a register writes its rows to.
type disk map[string][]byte

func (d disk) write(r *Register) {
	for _, a := range r.Seal() {
		if a.Value == nil {
			delete(d, a.Key)
		} else {
			d[a.Key] = a.Value
		}
	}
}

// restart gives the register of the next start.
func (d disk) restart(t *testing.T) *Register {
	t.Helper()
	r := new(Register)
	d.load(t, r)
	return r
}

func (d disk) load(t *testing.T, r *Register) {
	t.Helper()
	var rows []Entry
	for n := range uint64(10 * maxEntries) { // by their keys
		if v, ok := d[rowKey(n)]; ok {
			e, err := ReadRow(rowKey(n), v)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, e)
		}
	}
	r.Load(rows)
}

func ranges(seqs ...uint64) (list []edgestore.SeqRange) {
	for i := 0; i < len(seqs); i += 2 {
		list = append(list, edgestore.SeqRange{First: seqs[i], Last: seqs[i+1]})
	}
	return list
}

// What is in the register outlives a restart: what was acknowledged stays so, the
// next case of it is another entry, and no number is given twice.
func TestRegister_overRestarts(t *testing.T) {
	d := disk{}
	r := d.restart(t)
	first, _ := r.Add(Entry{Kind: Lost, Stream: "S", Lost: ranges(1, 2), Times: 1})
	if again, _ := r.Add(Entry{Kind: Lost, Stream: "S", Lost: ranges(3, 4), Times: 1}); again != first {
		t.Errorf("one more case is %d, not %d", again, first)
	}
	d.write(r)
	if err := r.Ack(first); err != nil || !r.Dirty() {
		t.Errorf("%v; what was acknowledged is to be written: %v", err, r.Dirty())
	}
	d.write(r)

	r = new(Register)
	if id, _ := r.Add(Entry{Kind: Read, Where: "early", Times: 1}); id != 0 {
		t.Errorf("%d before the rows were read", id)
	}
	d.load(t, r)
	second, _ := r.Add(Entry{Kind: Lost, Stream: "S", Lost: ranges(9, 9), Times: 1})
	d.write(r)
	if early := r.List(false)[0].ID; early != first+1 || second != first+2 {
		t.Errorf("%d and %d follow %d", early, second, first)
	}

	// The same again before the rows are read is one more case of theirs.
	r = new(Register)
	r.Add(Entry{Kind: Lost, Stream: "S", Lost: ranges(20, 29), Times: 2})
	d.load(t, r)
	d.write(r)
	list := d.restart(t).List(true)
	if len(list) != 3 || !list[0].Acked || !reflect.DeepEqual(list[0].Lost, ranges(1, 4)) || list[0].Times != 2 {
		t.Fatalf("%+v", list)
	}
	if x := list[2]; x.ID != second || x.Acked || x.Times != 3 || !reflect.DeepEqual(x.Lost, ranges(9, 9, 20, 29)) {
		t.Errorf("%+v", x)
	}
}

// The register is bounded, and so is what is written of it: the acknowledged go
// first, and then the oldest.
func TestRegister_isBounded(t *testing.T) {
	d := disk{}
	r := d.restart(t)
	add := func(name string) (id uint64) {
		id, _ = r.Add(Entry{Kind: Read, Where: name, Times: 1})
		d.write(r)
		return id
	}
	name := func(i int) string { return strings.Repeat("x", i) }
	for i := range maxEntries {
		add(name(i))
	}
	if err := r.Ack(r.List(false)[7].ID); err != nil {
		t.Fatal(err)
	}
	has := func(where string) bool {
		for _, x := range d.restart(t).List(true) {
			if x.Where == where {
				return true
			}
		}
		return false
	}
	if add("next"); has(name(7)) || !has(name(0)) {
		t.Error("not what was acknowledged has gone first")
	}
	if add("another"); has(name(0)) || !has(name(1)) || !has("another") {
		t.Error("not the oldest has gone")
	}
	if n := len(d); n != maxEntries {
		t.Errorf("%d rows", n)
	}
	for i := range 3 { // of a version that kept more
		d[rowKey(uint64(2*maxEntries+i))] = d[rowKey(r.List(true)[0].ID)]
	}
	r = d.restart(t)
	if n := len(r.List(true)); n != maxEntries {
		t.Errorf("%d entries of %d rows", n, len(d))
	}
}

// What is counted is logged once a minute, and only what is new.
func TestRegister_saysWhatIsNew(t *testing.T) {
	r := disk{}.restart(t)
	now := time.Unix(1e9, 0)
	says := func(after time.Duration, lost ...uint64) bool {
		now = now.Add(after)
		_, say := r.Add(Entry{At: now, Kind: Lost, Stream: "S", Lost: ranges(lost...), Times: 1})
		return say
	}
	got := []bool{says(0, 1, 1), says(silence-1, 2, 2), says(1, 3, 3), says(silence), says(0, 4, 4)}
	if want := []bool{true, false, true, false, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestRegister_untold(t *testing.T) {
	r := disk{}.restart(t)
	r.Add(Entry{Kind: Lost, Account: "A", Stream: "S", Lost: ranges(3, 4, 8, 8), Times: 1})
	r.Add(Entry{Kind: Operations, Account: "A", Stream: "S", Lost: ranges(5, 5), Times: 1})
	r.Add(Entry{Kind: Lost, Account: "B", Stream: "S", Lost: ranges(1, 99), Times: 1})
	if got, want := r.Untold("A", "S", ranges(1, 6, 8, 8, 10, 11)), ranges(1, 2, 6, 6, 10, 11); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestMergeRanges(t *testing.T) {
	got := MergeRanges(ranges(9, 9, 1, 2, 3, 5, 20, 21, 7, 7, 4, 4), 3)
	if want := ranges(1, 5, 7, 7, 9, 21); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}
