package jetstream

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/subject"
)

// What collides is found as a look at each says it.
func TestCaptures_agreesWithTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tokens := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "a-", "a0", "ab", "é"}
	pattern := func(wild int) string {
		var p []string
		for range 3 + r.IntN(3) {
			switch r.IntN(wild) {
			case 0:
				return strings.Join(append(p, ">"), ".")
			case 1:
				p = append(p, "*")
			default:
				p = append(p, tokens[r.IntN(len(tokens))])
			}
		}
		return strings.Join(p, ".")
	}
	var c captures
	var twin []capture
	hits, checks, most := 0, 0, 0
	for step := range 40_000 {
		x := capture{pattern(500), fmt.Sprint(r.IntN(4))}
		// The set grows past one block and shrinks again.
		if grow := step/2000%2 == 0; r.IntN(4) == 0 != grow {
			c.add(x)
			twin = append(twin, x)
		} else if len(twin) > 0 {
			i := r.IntN(len(twin))
			c.remove(twin[i])
			twin = slices.Delete(twin, i, i+1)
		}
		for _, b := range c.blocks {
			if len(b) == 0 || len(b) > captureBlock {
				t.Fatalf("step %d: a block of %d", step, len(b))
			}
		}
		most = max(most, len(c.blocks))
		if step%4 != 0 && len(twin) > 20 {
			continue
		}
		p, except := pattern(10), fmt.Sprint(r.IntN(4))
		want := slices.ContainsFunc(twin, func(x capture) bool { return x.stream != except && subject.Collide(x.subject, p) })
		if got := c.collides(p, except); got != want {
			t.Fatalf("step %d: %q beside stream %s: %v, and %v by a look at each of %v", step, p, except, got, want, twin)
		}
		if checks++; want {
			hits++
		}
	}
	if hits < 1000 || checks-hits < 1000 || most < 2 {
		t.Errorf("%d of %d collided, in up to %d blocks", hits, checks, most)
	}
	for _, x := range twin {
		c.remove(x)
	}
	if len(c.blocks) != 0 {
		t.Errorf("%d blocks are left of an empty set", len(c.blocks))
	}
}

// Two streams that capture the same collide wherever a block ends between them.
func TestCaptures_overTheEndOfABlock(t *testing.T) {
	for _, first := range []string{"", "!"} {
		var c captures
		if first != "" {
			c.add(capture{first, "A"})
		}
		for i := range 3 * captureBlock {
			s := fmt.Sprintf("s.%05d", i)
			c.add(capture{s, "A"})
			c.add(capture{s, "B"})
		}
		for i := range 3 * captureBlock {
			s := fmt.Sprintf("s.%05d", i)
			for _, except := range []string{"A", "B"} {
				if !c.collides(s, except) {
					t.Fatalf("%d blocks: %s beside stream %s does not collide", len(c.blocks), s, except)
				}
			}
		}
	}
}

// One of two streams that capture the same is not asked, and the other one is
// found, whichever way a pattern meets it.
func TestCaptures_theOtherOfTwo(t *testing.T) {
	var c captures
	c.add(capture{"a.b", "A"})
	c.add(capture{"a.b", "B"})
	for _, pattern := range []string{"a.b", "a.*", "*.b", "a.>", ">"} {
		for _, except := range []string{"A", "B", "C"} {
			if !c.collides(pattern, except) {
				t.Errorf("%s beside stream %s does not collide", pattern, except)
			}
		}
	}
	c.remove(capture{"a.b", "B"})
	if c.collides("a.>", "A") {
		t.Error("a stream collides with itself")
	}
}

// What is kept of all streams together is true after every change of one, and
// nothing of a stream is left when it is gone.
func TestWays_follow(t *testing.T) {
	e, b := newTestEngine(t)
	a := e.account("A")
	check := func(when string) {
		t.Helper()
		var want ways
		var reserved [2]int64
		for _, s := range a.sorted() {
			want.add(s.config())
			reserved[s.config().Storage] += max(s.config().MaxBytes, 0)
		}
		a.mu.RLock()
		defer a.mu.RUnlock()
		if got := a.mu.ways; !slices.Equal(slices.Concat(got.captured.blocks...), slices.Concat(want.captured.blocks...)) || !maps.Equal(got.origins, want.origins) {
			t.Errorf("%s: %+v, and the streams say %+v", when, got, want)
		}
		for i := range reserved {
			for _, q := range []*quota{&e.quota, &a.quota} {
				if got := q.reserved[i].Load(); got != reserved[i] {
					t.Errorf("%s: %d bytes are reserved, and the streams say %d", when, got, reserved[i])
				}
			}
		}
	}
	mustStream(t, b, "name=S subjects=[s.>,t] storage=memory max_bytes=1000")
	mustStream(t, b, "name=M mirror={name=S} storage=memory max_bytes=50")
	mustStream(t, b, "name=Q subjects=[q] sources=[{name=S},{name=T}] storage=memory")
	check("created")
	if len(a.mu.ways.origins) != 2 || a.mu.ways.origins["S"] != 2 {
		t.Errorf("origins %v", a.mu.ways.origins)
	}
	b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s.*,u] storage=memory max_bytes=70", nil)
	b.call(t, "STREAM.UPDATE.Q", "name=Q subjects=[q] sources=[{name=T}] storage=memory max_bytes=5", nil)
	check("updated")
	b.call(t, "STREAM.UPDATE.M", "name=M subjects=[t] storage=memory", nil) // free again
	check("promoted")
	for _, name := range []string{"S", "M", "Q"} {
		b.call(t, "STREAM.DELETE."+name, ``, nil)
		check("deleted " + name)
	}
	if len(a.mu.ways.captured.blocks)+len(a.mu.ways.origins) != 0 {
		t.Errorf("left: %+v", a.mu.ways)
	}
}
