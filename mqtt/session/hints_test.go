package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/testkit"
)

func TestHints(t *testing.T) {
	var h hints
	for i := range uint64(400) {
		h.add(1000 + 7*i + i%2)
	}
	list, all := h.first(0, 10)
	if len(list) != 10 || all || list[0] != 1000 || list[9] != 1064 {
		t.Errorf("%v, all %v", list, all)
	}
	list, all = h.first(1064, 1000)
	if all || len(list) < 200 || list[0] != 1070 || len(h.b) > maxHints {
		t.Errorf("%d from %d, all %v", len(list), list[0], all)
	}
	if list, all = h.first(1<<40, 10); len(list) > 0 || all || h.b != nil {
		t.Errorf("%v, all %v", list, all)
	}
	h = hints{}
	if _, all := h.first(0, 1); !all {
		t.Error("there are others than none")
	}
	h.add(5)
	h.add(9)
	if list, all := h.first(5, 9); len(list) != 1 || list[0] != 9 || !all {
		t.Errorf("behind 5: %v, all %v", list, all)
	}
	h.first(9, 9)
	h.add(12)
	if list, all := h.first(9, 9); len(list) != 1 || list[0] != 12 || !all {
		t.Errorf("behind 9: %v, all %v", list, all)
	}
	h.add(11) // out of order
	if list, all := h.first(9, 9); len(list) != 0 || all {
		t.Errorf("out of order: %v, all %v", list, all)
	}
}

// TestHints_twin: hints beside a list of all, with what comes in steps as with what does
// not.
func TestHints_twin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var h hints
		var all []uint64
		seq, position := r.Uint64N(3), uint64(0)
		for range 40 {
			step := 1 + r.Uint64N(300)
			for range 1 + r.IntN(20) {
				seq += step
				h.add(seq)
				if !h.over {
					all = append(all, seq)
				}
			}
			if r.IntN(4) == 0 {
				position += r.Uint64N(seq - min(position, seq) + 3)
			}
			for len(all) > 0 && all[0] <= position {
				all = all[1:]
			}
			n := r.IntN(60)
			got, whole := h.first(position, n)
			if !slices.Equal(got, all[:min(n, len(all))]) || whole != (!h.over && n >= len(all)) {
				t.Fatalf("%d behind %d: %v (%v), want %v", n, position, got, whole, all)
			}
		}
	}
}

// TestHints_steps: what comes in steps takes nearly nothing, however much it is.
func TestHints_steps(t *testing.T) {
	var h hints
	for i := range uint64(100_000) {
		h.add(5 + 10_000*i)
	}
	list, all := h.first(5+10_000*99_000, 10)
	if len(list) != 10 || all || list[0] != 5+10_000*99_001 || h.over || len(h.b) > 8 {
		t.Errorf("%v, all %v, %d bytes", list, all, len(h.b))
	}
}

// TestStore_sparse has what few wait for found among what many wait for, more of it
// than is remembered.
func TestStore_sparse(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("d.>")
	d.Detach(60)
	h.attach("e", false).sub("e")
	var want []string
	publish := func(from, upTo int) {
		for i := from; i < upTo; i++ {
			h.publishAll("d.x", fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
			for range sparse + i%2 {
				h.publishAll("e", "x")
			}
		}
	}
	publish(0, maxHints)
	h.crash()
	d = h.attach("d", true)
	testkit.Eventually(t, "what was there is counted", func() bool { n, _ := d.Pending(); return n == maxHints })
	d.wants(strings.Join(want, " "))
	d.ackAll()
	want = nil
	publish(0, 3)
	d.wants("0 1 2")
	d.Detach(60)
	publish(3, 6)
	d = h.attach("d", true)
	d.wants("3 4 5")
	d.ackAll()
	if err := h.s.Drop(t.Context(), nil, "e", "u"); err != nil {
		t.Fatal(err)
	}
	h.holds(msgsStream, 0)
}
