package edgestore

import "maps"

// seal is what Seal fixes: the store at one moment, as far as it has changed
// since the seal before. Messages are not in it: they stay in the memtable, and
// after says which of them were there then and are not now.
type seal struct {
	applied  LSN
	chain    Chain
	first    uint64
	last     uint64
	msgs     uint64
	bytes    uint64
	lastTime int64
	subjects [][]subjectDelta  // older lists first
	gaps     map[uint64][]byte // encoded pages; nil: the page is gone
	aux      map[string][]byte // nil: the value is gone
	touched  []uint64          // drained sequences whose chunks have lost messages
	after    *gapSet           // removed since
	lost     *losses           // nil: as before
}

// Seal fixes everything applied so far as the next thing to be flushed.
func (s *fileStore) Seal(applied LSN, chain Chain, aux []Aux) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := &seal{
		applied: applied, chain: chain, first: s.mu.first, last: s.mu.last, msgs: s.mu.msgs, bytes: s.mu.bytes, lastTime: s.mu.lastTime,
		gaps: s.mu.gaps.drain(), aux: make(map[string][]byte, len(aux)), touched: s.mu.touched, after: new(gapSet),
	}
	if d := s.mu.subs.drain(); len(d) > 0 {
		now.subjects = [][]subjectDelta{d}
	}
	for _, a := range aux {
		now.aux[a.Key] = a.Value
	}
	s.mu.touched = nil
	if s.mu.lostDirty {
		now.lost, s.mu.lostDirty = &losses{s.mu.lost.booked, s.mu.lost.found}, false
	}
	if s.sealed != nil {
		now = s.sealed.add(now)
	}
	s.sealed = now
	s.watchLocked()
}

// add makes one seal of two that follow each other.
func (s *seal) add(newer *seal) *seal {
	sum := *newer
	sum.subjects = append(s.subjects, newer.subjects...)
	sum.gaps = s.gaps
	maps.Copy(sum.gaps, newer.gaps)
	sum.aux = s.aux
	maps.Copy(sum.aux, newer.aux)
	if sum.lost == nil {
		sum.lost = s.lost
	}
	sum.touched = append(s.touched, newer.touched...)
	return &sum
}

// watchLocked lists the seals that must hear of removals.
func (s *fileStore) watchLocked() {
	s.mu.after = nil
	for _, x := range []*seal{s.inflight, s.sealed} {
		if x != nil {
			s.mu.after = append(s.mu.after, x.after)
		}
	}
}

// take makes the sealed state the one that is flushed.
func (s *fileStore) take() *seal {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inflight, s.sealed = s.sealed, nil
	s.watchLocked()
	return s.inflight
}

// untake gives back what could not be flushed.
func (s *fileStore) untake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed == nil {
		s.sealed = s.inflight
	} else {
		s.sealed = s.inflight.add(s.sealed)
	}
	s.inflight = nil
	s.watchLocked()
}

// drain returns the pages that have changed since the last drain.
func (g *gapSet) drain() map[uint64][]byte {
	out := make(map[uint64][]byte, len(g.dirty))
	for key := range g.dirty {
		if i, ok := g.at(key); ok && g.pages[i].key == key && g.pages[i].count > 0 {
			out[key] = g.pages[i].encode(nil)
		} else {
			out[key] = nil
		}
	}
	g.dirty = nil
	return out
}

// drain returns what has changed since the last drain.
func (t *subjects) drain() []subjectDelta {
	if len(t.dirty) == 0 && len(t.gone) == 0 {
		return nil
	}
	out := make([]subjectDelta, 0, len(t.dirty)+len(t.gone))
	for name := range t.gone {
		if t.get(name) == nil {
			out = append(out, subjectDelta{name: name})
		}
	}
	for _, id := range t.dirty {
		s := &t.all[id]
		if s.flags&fDirty == 0 {
			continue
		}
		s.flags &^= fDirty
		out = append(out, subjectDelta{s.name, s.msgs, s.first, s.last, s.flags & (staleFirst | staleLast)})
	}
	t.dirty, t.gone = t.dirty[:0], nil
	return out
}
