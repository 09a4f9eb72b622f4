package edgestore

import (
	"slices"
	"sort"
	"strings"
)

// subjects is what a store knows of each subject that has messages: a sorted
// order for wildcards and, once they are more than a few, a hash table for the
// exact name, both of small numbers (ids) that entries of the memtable carry
// too.
//
// Laws: an id is valid as long as its subject has messages; then it may name
// another subject. first is exact or, with staleFirst, a lower bound; last is
// exact or, with staleLast, an upper bound. Bounds are tightened when somebody
// asks (base.settle), because finding the next message of a subject may mean
// reading chunks.
type subjects struct {
	n      int
	byName map[string]uint32 // nil: few, and found by their order
	all    []subject
	free   []uint32
	blocks [][]uint32 // ids sorted by name, in blocks of at most maxNames

	track bool
	dirty []uint32            // ids with fDirty set
	gone  map[string]struct{} // names removed since the last drain; nil: none
}

type subject struct {
	name  string
	msgs  uint64
	first uint64
	last  uint64
	flags uint8
}

const (
	staleFirst = 1 << iota
	staleLast
	fDirty
	fUsed

	maxNames = 512
	// fewNames is up to how many are found without a hash table: most streams
	// of a device have one subject or two, and a table costs as much as ten.
	fewNames = 8
)

func newSubjects(track bool) subjects {
	return subjects{track: track}
}

func (t *subjects) len() int { return t.n }

// find is the id of a name.
func (t *subjects) find(name string) (id uint32, ok bool) {
	if t.byName != nil {
		id, ok = t.byName[name]
		return id, ok
	}
	if len(t.blocks) == 0 {
		return 0, false
	}
	for _, id := range t.blocks[0] {
		if t.all[id].name == name {
			return id, true
		}
	}
	return 0, false
}

func (t *subjects) get(name string) *subject {
	if id, ok := t.find(name); ok {
		return &t.all[id]
	}
	return nil
}

func (t *subjects) mark(id uint32) {
	if s := &t.all[id]; t.track && s.flags&fDirty == 0 {
		s.flags |= fDirty
		t.dirty = append(t.dirty, id)
	}
}

// intern returns the id of name, new if need be. name is copied.
func (t *subjects) intern(name string) uint32 {
	if id, ok := t.find(name); ok {
		return id
	}
	name = strings.Clone(name)
	var id uint32
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
	} else {
		id = uint32(len(t.all))
		t.all = append(t.all, subject{})
	}
	t.all[id] = subject{name: name, flags: fUsed}
	t.insertName(id, name)
	t.n++
	switch {
	case t.byName != nil:
		t.byName[name] = id
	case t.n > fewNames:
		t.byName = make(map[string]uint32, 2*fewNames)
		for _, id := range t.blocks[0] {
			t.byName[t.all[id].name] = id
		}
	}
	return id
}

// drop forgets a subject that has no message left.
func (t *subjects) drop(id uint32) {
	name := t.all[id].name
	t.deleteName(name)
	delete(t.byName, name)
	t.n--
	t.note(name)
	t.all[id] = subject{}
	t.free = append(t.free, id)
}

func (t *subjects) clear() {
	if t.track {
		for _, blk := range t.blocks {
			for _, id := range blk {
				t.note(t.all[id].name)
			}
		}
	}
	track, gone := t.track, t.gone
	*t = newSubjects(track)
	t.gone = gone
}

// note remembers that a name went.
func (t *subjects) note(name string) {
	if !t.track {
		return
	}
	if t.gone == nil {
		t.gone = make(map[string]struct{})
	}
	t.gone[name] = struct{}{}
}

// seek finds where the first name at or above name stands.
func (t *subjects) seek(name string) (b, i int) {
	b = sort.Search(len(t.blocks), func(b int) bool {
		blk := t.blocks[b]
		return t.all[blk[len(blk)-1]].name >= name
	})
	if b == len(t.blocks) {
		return b, 0
	}
	blk := t.blocks[b]
	i = sort.Search(len(blk), func(i int) bool { return t.all[blk[i]].name >= name })
	return b, i
}

func (t *subjects) insertName(id uint32, name string) {
	b, i := t.seek(name)
	if b == len(t.blocks) {
		if b == 0 {
			t.blocks = append(t.blocks, make([]uint32, 0, 4))
		} else {
			b--
		}
		i = len(t.blocks[b])
	}
	blk := slices.Insert(t.blocks[b], i, id)
	t.blocks[b] = blk
	if len(blk) > maxNames {
		// Names often come in ascending order: leave the old block full then.
		cut := maxNames / 2
		if b == len(t.blocks)-1 && i == len(blk)-1 {
			cut = maxNames
		}
		right := append(make([]uint32, 0, maxNames+1), blk[cut:]...)
		t.blocks[b] = blk[:cut:cut]
		t.blocks = slices.Insert(t.blocks, b+1, right)
	}
}

func (t *subjects) deleteName(name string) {
	b, i := t.seek(name)
	blk := slices.Delete(t.blocks[b], i, i+1)
	if len(blk) == 0 {
		t.blocks = slices.Delete(t.blocks, b, b+1)
		return
	}
	t.blocks[b] = blk
}

// each calls f for the id of every subject that matches one filter until f
// returns false, in the order of names.
func (t *subjects) each(filter string, f func(id uint32, s *subject) bool) bool {
	if filter == "" || filter == ">" {
		for _, blk := range t.blocks {
			for _, id := range blk {
				if !f(id, &t.all[id]) {
					return false
				}
			}
		}
		return true
	}
	if !hasWildcard(filter) {
		if id, ok := t.find(filter); ok {
			return f(id, &t.all[id])
		}
		return true
	}
	prefix := literalPrefix(filter)
	b, i := t.seek(prefix)
	misses := 0
	for b < len(t.blocks) {
		blk := t.blocks[b]
		if i >= len(blk) {
			b, i = b+1, 0
			continue
		}
		id := blk[i]
		s := &t.all[id]
		if !strings.HasPrefix(s.name, prefix) {
			return true
		}
		if matchSubject(filter, s.name) {
			misses = 0
			if !f(id, s) {
				return false
			}
		} else if misses++; misses > 16 {
			// Far from the next match: jump instead of walking.
			if to, ok := skipTo(filter, s.name); ok {
				b, i = t.seek(to)
				misses = 8
				continue
			}
		}
		i++
	}
	return true
}

// skipTo gives a name above the non-matching name below which nothing matches
// the pattern; ok is false when it does not know better than the next one.
func skipTo(pattern, name string) (string, bool) {
	p, n := pattern, 0 // n: where the present token of name begins
	for {
		pt, prest, pmore := cutToken(p)
		if pt == ">" && !pmore {
			return "", false
		}
		st, _, smore := cutToken(name[n:])
		if pt == "*" || pt == st {
			if !smore || !pmore {
				return "", false
			}
			p, n = prest, n+len(st)+1
			continue
		}
		want := pt
		if pmore {
			want += "."
		}
		if name[n:] < want {
			return name[:n] + want, true
		}
		if n == 0 {
			return "", false
		}
		// Nothing below the tokens before can match any more; '/' follows '.'.
		return name[:n-1] + "/", true
	}
}

// eachAny is each for several filters; a subject that matches two is visited
// once.
func (t *subjects) eachAny(m *matcher, f func(id uint32, s *subject) bool) {
	if m.all {
		t.each(">", f)
		return
	}
	for i, filter := range m.filters {
		earlier := m.filters[:i]
		ok := t.each(filter, func(id uint32, s *subject) bool {
			for _, e := range earlier {
				if matchSubject(e, s.name) {
					return true
				}
			}
			return f(id, s)
		})
		if !ok {
			return
		}
	}
}
