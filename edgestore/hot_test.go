package edgestore_test

import (
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// What was read for a purge is good for that one, and while nothing else went.
func TestStore_purgeReadBefore(t *testing.T) {
	for name, between := range map[string]func(s edgestore.Store){
		"nothing":                             func(edgestore.Store) {},
		"another message of the subject goes": func(s edgestore.Store) { s.Remove(3) },
		"one more comes": func(s edgestore.Store) {
			s.Append(&edgestore.Msg{Seq: 11, Subject: "a"}, edgestore.Location{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			purged, compacted := edgestore.NewMemoryStore(1), edgestore.NewMemoryStore(1)
			for _, s := range []edgestore.Store{purged, compacted} {
				for i := range 10 {
					if err := s.Append(&edgestore.Msg{Seq: uint64(i + 1), Subject: []string{"a", "b"}[i%2]}, edgestore.Location{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := purged.Hot().ReadPurge("a", 0, 0); err != nil {
				t.Fatal(err)
			}
			if err := compacted.ReadPurge("", 6, 0); err != nil {
				t.Fatal(err)
			}
			between(purged)
			between(compacted)
			want, st := edgestore.CountOf(purged, []string{"a"}, 1, false), purged.Index()
			if n, err := purged.Purge("a", 0, 0); err != nil || n != want {
				t.Errorf("purged %d of %d: %v", n, want, err)
			}
			if now := purged.Index(); now.Msgs != st.Msgs-want || edgestore.CountOf(purged, []string{"a"}, 1, false) != 0 {
				t.Errorf("left are %+v", now)
			}
			want = edgestore.CountOf(compacted, nil, 1, false) - edgestore.CountOf(compacted, nil, 6, false)
			if n, err := compacted.Compact(6); err != nil || n != want {
				t.Errorf("compacted %d of %d: %v", n, want, err)
			}
			if st, _, _ := compacted.Subject("a"); st.Msgs != edgestore.CountOf(compacted, []string{"a"}, 1, false) {
				t.Errorf("the subject has %+v", st)
			}
		})
	}
}
