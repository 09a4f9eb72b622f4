package jetstream

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// An id in a run is known as long as it is in the window, whatever else is in
// the run; what was out of the window stays out when the window grows, over a
// restart as well.
func TestDedup_horizonOfRuns(t *testing.T) {
	d := dedup{window: 100, key: edgestore.IDKey{1, 2}}
	d.clock = idClock{started: true, now: 1000}
	ids := []edgestore.ID{{ID: []byte("old"), Seq: 1, At: 900}, {ID: []byte("new"), Seq: 2, At: 901}}
	slices.SortFunc(ids, func(a, b edgestore.ID) int { return cmp.Compare(d.key.Hash(a.ID), d.key.Hash(b.ID)) })
	w, err := edgestore.CreateIDRun(vfs.OS{}, t.TempDir(), 7, 0, d.key, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := w.Add(d.key.Hash(id.ID), id); err != nil {
			t.Fatal(err)
		}
	}
	run, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	d.runs = []*edgestore.IDRun{run}
	check := func(when string) {
		t.Helper()
		for id, want := range map[string]bool{"old": false, "new": true} {
			if _, known, err := d.seen([]byte(id)); known != want || err != nil {
				t.Errorf("%s: %s is known: %v %v", when, id, known, err)
			}
		}
	}
	check("in the window")
	d.setWindow(time.Hour)
	check("the window grew")
	again := dedup{window: d.window}
	if err := again.load(auxIDs, d.append(nil)); err != nil {
		t.Fatal(err)
	}
	again.runs = d.runs
	d = again
	check("restarted")
}
