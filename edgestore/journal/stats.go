package journal

import (
	"sync/atomic"

	"github.com/frondmq/frond/edgestore"
)

// Stats are counters since Open, and the state of this moment.
type Stats struct {
	Syncs, SyncErrors uint64
	Groups            uint64
	Records           uint64
	Bytes             uint64 // written, with headers and padding
	MaxGroup          int    // records in the largest group
	Rolls             uint64 // segments begun

	Synced, Applied edgestore.LSN
	StagedBytes     int64 // waiting for the disk or for apply
	GroupBound      int   // bytes that a group may have now
	Segments        int   // with records
	UnreleasedBytes int64 // of those segments
	Full            bool  // the disk has no room for another segment
	Stalled         bool  // the disk does not take anything
}

// counters are written by the committer.
type counters struct {
	syncs, syncErrors, groups, records, bytes, rolls, maxGroup atomic.Uint64
	stalled                                                    atomic.Bool
}

// Stats takes a snapshot.
func (j *Journal) Stats() Stats {
	c := &j.stats
	st := Stats{
		Syncs: c.syncs.Load(), SyncErrors: c.syncErrors.Load(),
		Groups: c.groups.Load(), Records: c.records.Load(), Bytes: c.bytes.Load(),
		MaxGroup: int(c.maxGroup.Load()), Rolls: c.rolls.Load(),
		Synced: j.Synced(), Full: j.shelf.full.Load(), Stalled: c.stalled.Load(),
	}
	j.mu.Lock()
	st.Applied, st.StagedBytes, st.GroupBound = j.mu.applied, j.mu.staged, j.mu.bound
	j.mu.Unlock()
	j.shelf.mu.Lock()
	for _, s := range j.shelf.mu.live {
		st.Segments++
		st.UnreleasedBytes += s.size
	}
	j.shelf.mu.Unlock()
	return st
}

// Memory tells how many bytes are held for what waits for the disk or for apply,
// and for what was written last.
func (j *Journal) Memory() (staged, cached int64) {
	j.mu.Lock()
	staged = j.mu.staged
	j.mu.Unlock()
	j.cache.mu.Lock()
	defer j.cache.mu.Unlock()
	return staged, int64(len(j.cache.mu.ring))
}
