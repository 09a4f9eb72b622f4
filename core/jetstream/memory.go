package jetstream

// defaultCacheBytes is what the caches of all stores hold where nothing is said.
const defaultCacheBytes = 32 << 20

// Held is the memory, in bytes, that what streams have on the disk takes beside
// their indexes.
type Held struct {
	Staged  int64 // of operations that wait for the disk, or to be applied
	Journal int64 // of those that were written last
	Caches  int64 // decoded messages of files that were read
}

// Held tells it. It waits for no disk.
func (e *Engine) Held() Held {
	h := Held{Caches: e.cfg.caches.Held()}
	if e.journal != nil {
		h.Staged, h.Journal = e.journal.Memory()
	}
	return h
}

// EmptyCaches gives back what can be read from the disk again.
func (e *Engine) EmptyCaches() { e.cfg.caches.Empty() }
