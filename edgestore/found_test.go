package edgestore

import (
	"errors"
	"slices"
	"testing"
)

// What is found beside or across what was found before is new, and told; what
// was found as a whole is not, nor is what was deleted counted.
func TestFound_inPart(t *testing.T) {
	var told []SeqRange
	b := &base{damaged: func(first, last uint64, _ error) { told = append(told, SeqRange{first, last}) }}
	b.init(1, true)
	b.mu.last, b.mu.msgs = 100, 99
	b.mu.gaps.add(17)
	for _, x := range []struct {
		bad, all ranges
		fresh    bool
	}{
		{ranges{{10, 20}}, ranges{{10, 16}, {18, 20}}, true},
		{ranges{{10, 20}}, ranges{{10, 16}, {18, 20}}, false},
		{ranges{{12, 15}}, ranges{{10, 16}, {18, 20}}, false},
		{ranges{{15, 25}}, ranges{{10, 16}, {18, 25}}, true},
		{ranges{{5, 12}}, ranges{{5, 16}, {18, 25}}, true},
		{ranges{{1, 100}}, ranges{{1, 16}, {18, 100}}, true},
	} {
		told = nil
		b.markFound(x.bad, errors.New("x"))
		if !slices.Equal(b.Found(), x.all) || (len(told) == 1 && told[0] == x.bad[0]) != x.fresh {
			t.Errorf("%v: found are %v, want %v; told %v", x.bad, b.Found(), x.all, told)
		}
	}
}
