package edgestore

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRecordSums compares the checksums of records with a map, while they are
// few and when they become many.
func TestRecordSums(t *testing.T) {
	for _, keys := range []int{4, fewSums, fewSums + 1, 60} {
		var sums recordSums
		want := map[string]uint32{}
		rnd := rand.New(rand.NewPCG(7, uint64(keys)))
		for range 400 {
			key := strings.Repeat("k", rnd.IntN(keys))
			if keys == 4 && rnd.IntN(50) == 0 {
				key = strings.Repeat("long", 80)
			}
			if rnd.IntN(3) == 0 {
				sums.remove(key)
				delete(want, key)
			} else {
				crc := rnd.Uint32()
				sums.set(key, crc)
				want[key] = crc
			}
			got := map[string]uint32{}
			sums.each(func(key string, crc uint32) { got[key] = crc })
			if crc, ok := sums.get(key); !maps.Equal(got, want) || sums.len() != len(want) || crc != want[key] || ok != (crc != 0) {
				t.Fatalf("%d keys: %v, want %v", keys, got, want)
			}
		}
	}
}
