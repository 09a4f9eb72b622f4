package journal

import (
	"fmt"

	"github.com/frondmq/frond/edgestore"
)

// applyBatch is how many entries apply gets at once: enough to spread its
// fixed cost, few enough to stay in the processor's cache.
const applyBatch = 512

// applyGroups is the applier: it hands out synced groups, in order, while the
// committer is busy with the next one.
func (j *Journal) applyGroups(apply func([]edgestore.Entry)) {
	var entries []edgestore.Entry
	for g := range j.toApply {
		give := apply
		if g.lost {
			give = j.lost
		}
		if invariants && !g.lost && j.o.SyncInterval == 0 && g.last > j.Synced() {
			panic(fmt.Sprintf("journal: LSN %d goes to apply, but only %d is synced", g.last, j.Synced()))
		}
		for from := 0; from < len(g.refs) && give != nil; from += applyBatch {
			entries = g.entries(entries[:0], from, min(from+applyBatch, len(g.refs)))
			give(entries)
			clear(entries)
		}
		last, staged, lost := g.last, g.staged, g.lost
		if invariants {
			// Whoever kept a borrowed slice shall see it.
			for i := range g.buf {
				g.buf[i] = 0xdb
			}
			for i := range g.sides {
				g.sides[i] = 0xdb
			}
		}
		g.reset(2 * j.o.GroupBytes)
		j.mu.Lock()
		if !lost {
			j.mu.applied = last
		}
		j.mu.staged -= staged
		if len(j.mu.spare) < j.maxSpare {
			j.mu.spare = append(j.mu.spare, g)
		}
		waiting := len(j.mu.waiters) > 0
		j.mu.Unlock()
		if waiting {
			j.wakeWaiters(nil)
		}
	}
}
