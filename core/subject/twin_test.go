package subject

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "seed of random tests, 0 for a new one")

// newRand makes the source of a random test and tells how to repeat it.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -seed=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// The dumb twins: what the functions mean, without any cleverness.

func dumbMatch(pattern, literal string) bool {
	p, l := strings.Split(pattern, "."), strings.Split(literal, ".")
	for _, token := range l {
		if token == "" {
			return false
		}
	}
	for i, token := range p {
		if token == ">" && i == len(p)-1 {
			return len(l) > i
		}
		if i >= len(l) || token != "*" && token != l[i] {
			return false
		}
	}
	return len(p) == len(l)
}

// universe is every literal of one to four tokens over a small alphabet. "z"
// stands in no pattern, so patterns that differ differ on the universe.
func universe() []string {
	all := []string{}
	level := []string{""}
	for range 4 {
		var next []string
		for _, s := range level {
			for _, token := range []string{"a", "b", "z"} {
				next = append(next, strings.TrimPrefix(s+"."+token, "."))
			}
		}
		all = append(all, next...)
		level = next
	}
	return all
}

func dumbCovers(all []string, wide, narrow string) bool {
	for _, s := range all {
		if dumbMatch(narrow, s) && !dumbMatch(wide, s) {
			return false
		}
	}
	return true
}

func dumbCollide(all []string, a, b string) bool {
	for _, s := range all {
		if dumbMatch(a, s) && dumbMatch(b, s) {
			return true
		}
	}
	return false
}

// randomPattern has up to three tokens, so that the universe is wide enough to
// tell what ">" means.
func randomPattern(r *rand.Rand) string {
	n := 1 + r.IntN(3)
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = []string{"a", "b", "*"}[r.IntN(3)]
	}
	if r.IntN(3) == 0 {
		tokens[n-1] = ">"
	}
	return strings.Join(tokens, ".")
}

func randomLiteral(r *rand.Rand) string {
	tokens := make([]string, 1+r.IntN(4))
	for i := range tokens {
		tokens[i] = []string{"a", "b", "z", "*", ">", "aa", ""}[min(6, r.IntN(30)%8)]
	}
	return strings.Join(tokens, ".")
}
