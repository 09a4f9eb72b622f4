package edgestore_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

func TestMemoryStore(t *testing.T) {
	edgestoretest.Run(t, edgestoretest.Kind{Memory: true, Steps: rounds(200, 500), Seed: *seedFlag}, func(t testing.TB, _ *edgestoretest.Blobs, firstSeq uint64) edgestore.Store {
		return edgestore.NewMemoryStore(firstSeq)
	})
}

// A page of many subjects takes memory for the page, not for all of them.
func TestStore_subjectPageInLittleMemory(t *testing.T) {
	const subjects, page = 50_000, 100
	s := edgestore.NewMemoryStore(1)
	for i := range uint64(subjects) {
		if err := s.Append(&edgestore.Msg{Seq: i + 1, Time: 1, Subject: fmt.Sprintf("s.%d", i)}, edgestore.Location{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, filter := range []string{">", "s.*"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		seen := 0
		n := s.SubjectPage(filter, subjects-page/2, page, func(string, uint64) { seen++ })
		runtime.ReadMemStats(&after)
		if n != subjects || seen != page/2 {
			t.Errorf("%q: %d of %d", filter, seen, n)
		}
		// All of them are more than a megabyte.
		if took := after.TotalAlloc - before.TotalAlloc; took > 256<<10 {
			t.Errorf("%q: a page took %d bytes", filter, took)
		}
	}
}
