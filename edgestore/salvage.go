package edgestore

import (
	"fmt"
	"os"
	"sort"

	"go.etcd.io/bbolt"
)

// salvage makes a new head when the records of the old one cannot be trusted.
// It searches all files for records of this stream and puts together the
// newest state there is: deletions are for ever, so all gap pages count; a
// chunk counts when nothing newer answers for its sequences; what neither a
// chunk nor a gap answers for is lost. Named values that were deleted may come
// back. Subjects and counts are made anew. With newest set the tree's own state
// is known to be old.
func (s *fileStore) salvage(ids []uint32, newest bool, cause error) error {
	next := max(ids[len(ids)-1]+1, s.free)
	more := fileName(s.o.Dir, next+1) + tmpSuffix
	defer os.Remove(more)
	v, err := s.search(ids, more, newest, cause)
	if err != nil {
		return err
	}
	s.records = recordSums{}
	if err := v.write(next); err != nil {
		return err
	}
	// The head is where the damage is. What chunks of others were readable are
	// in the new file.
	for _, id := range ids {
		path := fileName(s.o.Dir, id)
		if id == ids[len(ids)-1] || v.unread[path] {
			if err := s.setAside(path); err != nil {
				return err
			}
		} else if err := s.o.Disk.Remove(path); err != nil {
			return err
		}
	}
	if err := s.loadHead(next); err != nil {
		return err
	}
	return nil
}

type found struct {
	path   string
	place  rawPlace
	flush  uint64
	id     uint64
	crc    uint32
	last   uint64
	number uint32 // of messages
}

type salvager struct {
	s      *fileStore
	state  *fileState
	number uint64          // flush of the state
	unread map[string]bool // files with nothing of this stream in them
	chunks []found
	gapSet gapSet
	gaps   []gapAt
	losses []lostAt
	// aux are the newest of the named values, and older what each was before: a
	// commit that did not come to its end may have left the newest.
	aux, older map[string]found

	refs  []chunkRef
	from  []found // where refs lie
	more  string  // a file for those that come from elsewhere
	lost  ranges
	subs  subjects
	msgs  uint64
	bytes uint64
}

// search finds what there is to be salvaged; more is a file that it may make.
func (s *fileStore) search(ids []uint32, more string, newest bool, cause error) (*salvager, error) {
	v := &salvager{s: s, more: more, aux: make(map[string]found), older: make(map[string]found), unread: make(map[string]bool)}
	for _, id := range ids {
		path := fileName(s.o.Dir, id)
		v.unread[path] = true
		err := rawScan(path, s.o, func(off int64, b []byte) error { v.see(path, off, b); return nil })
		if err != nil {
			return nil, fmt.Errorf("searching the files (%v): %w", cause, err)
		}
	}
	if !newest {
		v.readState(ids)
	}
	if v.state == nil && len(v.chunks) == 0 {
		return nil, fmt.Errorf("no state and no messages found: %w", cause)
	}
	if v.state == nil {
		v.guessState()
		s.met().Stateless = true
		if s.o.StatelessEnd != nil {
			if last, keep, ok := s.o.StatelessEnd(); ok {
				v.endAt(last, keep)
			}
		}
	}
	return v, v.choose()
}

// endAt leaves out what lies above last, and values that are not to be kept. A
// chunk that goes beyond it goes as a whole: what is missing below is told lost.
func (v *salvager) endAt(last uint64, keep func(key string) bool) {
	for key := range v.aux {
		if !keep(key) {
			delete(v.aux, key)
		}
	}
	st := v.state
	if st.last <= last {
		return
	}
	st.last, st.first = last, min(st.first, last+1)
	kept := v.chunks[:0]
	for _, f := range v.chunks {
		if f.last <= last {
			kept = append(kept, f)
		}
	}
	v.chunks = kept
}

type lostAt struct {
	flush uint64
	losses
}

type gapAt struct {
	flush uint64
	page  gapPage
}

// see takes note of one record. What is of another kind or stream is passed
// over: pages are used again, and old records lie in free ones.
func (v *salvager) see(path string, off int64, b []byte) {
	rec, err := parseRecord(b, b[5])
	if err != nil || rec.incarnation != v.s.o.Incarnation {
		return
	}
	delete(v.unread, path)
	f := found{path: path, place: rawPlace{off, uint32(len(b))}, flush: rec.flush, id: rec.id, crc: rec.crc}
	switch rec.kind {
	case kindState:
		if st, err := decodeState(rec.payload, rec.format); err == nil && (v.state == nil || rec.flush >= v.number) {
			v.state, v.number = &st, rec.flush
		}
	case kindChunk:
		if c, err := decodeChunk(b, 0); err == nil {
			f.last, f.number = c.last, uint32(len(c.msgs))
			v.chunks = append(v.chunks, f)
		}
	case kindGap:
		if p, err := decodeGapPage(rec.id, rec.payload); err == nil {
			v.gaps = append(v.gaps, gapAt{rec.flush, p})
		}
	case kindLost:
		if l, err := decodeLosses(rec.payload); err == nil {
			v.losses = append(v.losses, lostAt{rec.flush, l})
		}
	case kindAux:
		if key, _, err := decodeAux(rec.payload); err == nil {
			v.seeAux(key, f)
		}
	}
}

func (v *salvager) seeAux(key string, f found) {
	switch was, ok := v.aux[key]; {
	case !ok || f.flush == was.flush:
		v.aux[key] = f
	case f.flush > was.flush:
		v.aux[key], v.older[key] = f, was
	case f.flush >= v.older[key].flush:
		v.older[key] = f
	}
}

// guessState makes a state from the chunks alone.
func (v *salvager) guessState() {
	st := &fileState{first: v.chunks[0].id, nextDir: 1, nextRun: 1}
	for _, c := range v.chunks {
		st.first, st.last = min(st.first, c.id), max(st.last, c.last)
		v.number = max(v.number, c.flush)
	}
	for _, g := range v.gaps {
		v.number = max(v.number, g.flush)
	}
	v.state = st
}

// readState prefers the state that the tree of the newest file has, if it can
// be read: the newest in the pages may be of a flush that was not committed.
func (v *salvager) readState(ids []uint32) {
	file := &boltFile{path: fileName(v.s.o.Dir, ids[len(ids)-1]), readOnly: true, hooks: v.s.o}
	l := &loader{s: v.s}
	err := file.view("state", func(tx *bbolt.Tx) error {
		b := tx.Bucket(recordsBucket)
		if b == nil {
			return ErrCorrupt
		}
		return l.readState(boltRecords{b})
	})
	_ = file.shut()
	if err == nil {
		v.state, v.number = &l.state, l.number
	}
}

// choose decides which chunks and gaps count, and what is lost.
func (v *salvager) choose() error {
	for _, g := range v.gaps {
		if g.flush <= v.number {
			v.gapSet.union(&g.page)
		}
	}
	for key, f := range v.aux {
		if f.flush <= v.number {
			continue
		}
		if was, ok := v.older[key]; ok && was.flush <= v.number {
			v.aux[key] = was
		} else {
			delete(v.aux, key)
		}
	}
	sort.Slice(v.chunks, func(i, j int) bool {
		a, b := &v.chunks[i], &v.chunks[j]
		return a.flush > b.flush || a.flush == b.flush && a.id < b.id
	})
	var chosen []found
	for _, f := range v.chunks {
		if f.flush > v.number || f.id > v.state.last || f.last < v.state.first {
			continue
		}
		if v.gapSet.count(f.id, f.last) == f.last-f.id+1 {
			continue
		}
		i := sort.Search(len(chosen), func(i int) bool { return chosen[i].id >= f.id })
		if i > 0 && chosen[i-1].last >= f.id || i < len(chosen) && chosen[i].id <= f.last {
			continue
		}
		chosen = append(chosen, f)
		copy(chosen[i+1:], chosen[i:])
		chosen[i] = f
	}
	if err := v.countAll(chosen); err != nil {
		return err
	}
	if err := v.again(); err != nil {
		return err
	}
	if err := v.findLost(); err != nil {
		return err
	}
	newest := uint64(0)
	var old ranges
	for _, l := range v.losses {
		if l.flush <= v.number && l.flush >= newest {
			newest, old = l.flush, l.booked
		}
	}
	v.lost = v.lost.union(old)
	return nil
}

// countAll counts chunks, ascending, and nothing else.
func (v *salvager) countAll(list []found) error {
	v.refs, v.from, v.subs, v.msgs, v.bytes = nil, nil, newSubjects(false), 0, 0
	for _, f := range list {
		if err := v.count(f); err != nil {
			return err
		}
	}
	return nil
}

// count reads a chosen chunk and counts what is alive in it.
func (v *salvager) count(f found) error {
	b, err := readAt(f.path, f.place)
	if err != nil {
		return err
	}
	c, err := decodeChunk(b, 0)
	if err == nil {
		_, err = c.bodies()
	}
	if err != nil {
		return nil // changed under our eyes: its messages will be found missing
	}
	live := false
	for i := range c.msgs {
		m := &c.msgs[i]
		if m.seq < v.state.first || m.seq > v.state.last || v.gapSet.has(m.seq) {
			continue
		}
		live = true
		name := c.subjects[m.subj]
		v.msgs++
		v.bytes += FileSize(len(name), int(m.header), int(m.body))
		s := &v.subs.all[v.subs.intern(name)]
		if s.msgs == 0 {
			s.first = m.seq
		}
		s.msgs++
		s.last = m.seq
	}
	if !live {
		return nil
	}
	ref := chunkRef{first: f.id, last: c.last, bytes: c.bytes, msgs: uint32(len(c.msgs)), length: f.place.length,
		crc: f.crc, firstTime: c.msgs[0].time, maxTime: c.msgs[0].time, filter: newSlot(c.filter)}
	for i := range c.msgs {
		ref.maxTime = max(ref.maxTime, c.msgs[i].time)
	}
	v.refs, v.from = append(v.refs, ref), append(v.from, f)
	return nil
}

// findLost makes gaps of all that nothing answers for.
func (v *salvager) findLost() error {
	lost, err := v.missing()
	if err != nil {
		return err
	}
	v.lost = v.lost.union(lost)
	for _, r := range lost {
		v.gapSet.addRange(r.First, r.Last)
	}
	st := v.state
	st.msgs, st.bytes = v.msgs, v.bytes
	if v.msgs == 0 {
		st.first = st.last + 1
		v.gapSet = gapSet{}
	} else {
		st.first = v.gapSet.next(st.first)
	}
	v.gapSet.dropBelow(st.first)
	return nil
}

// missing is what neither a chunk nor a gap answers for.
func (v *salvager) missing() (lost ranges, err error) {
	var have gapSet // what is accounted for
	for _, p := range v.gapSet.pages {
		have.union(&p)
	}
	for i := range v.from {
		b, err := readAt(v.from[i].path, v.from[i].place)
		if err != nil {
			return nil, err
		}
		c, err := decodeChunk(b, 0)
		if err != nil {
			continue
		}
		for j := range c.msgs {
			have.add(c.msgs[j].seq)
		}
	}
	for seq := v.state.first; seq <= v.state.last; {
		lo := have.next(seq)
		if lo == 0 || lo > v.state.last {
			break
		}
		hi := v.state.last
		have.each(lo, v.state.last, func(a, _ uint64) bool { hi = a - 1; return false })
		lost = lost.add(lo, hi)
		seq = hi + 1
	}
	return lost, nil
}

// union adds a page to the set.
func (g *gapSet) union(p *gapPage) {
	base := p.key << gapShift
	if p.full() {
		g.addRange(base, (p.key+p.run-1)<<gapShift|gapMask)
		return
	}
	one := gapSet{pages: []gapPage{*p}}
	one.each(base, base|gapMask, func(lo, hi uint64) bool { g.addRange(lo, hi); return true })
}

// write makes the new head.
func (v *salvager) write(id uint32) error {
	s := v.s
	path := fileName(s.o.Dir, id)
	file, err := createBolt(path, s.o)
	if err != nil {
		return err
	}
	if err = v.fill(file, id); err == nil {
		err = file.finish(path)
	}
	if err != nil {
		file.discard()
		return err
	}
	return file.shut()
}

func (v *salvager) fill(file *boltFile, id uint32) error {
	if err := file.update("create", makeBuckets(v.s.o.Incarnation)); err != nil {
		return err
	}
	edit := &dirEdit{dirty: make(map[uint64]*dirPage), nextID: 1}
	var rows []row
	size := 0
	flush := func() error {
		err := file.update("chunks", func(tx *bbolt.Tx) error { return putAll(tx.Bucket(chunksBucket), rows) })
		rows, size = rows[:0], 0
		return err
	}
	for i, ref := range v.refs {
		ref.file = id
		value, err := readAt(v.from[i].path, v.from[i].place)
		if err != nil {
			return err
		}
		if len(value) < recordHeader1 || valueCRC(value) != ref.crc {
			return fmt.Errorf("chunk %d changed while it was copied: %w", ref.first, ErrCorrupt)
		}
		rows = append(rows, row{ref.rowKey(), value})
		edit.push(ref)
		if size += len(value); size >= v.s.o.TxBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	f := &flusher{s: v.s, number: v.number + 1, edit: edit, state: *v.state, put: make(map[string][]byte), cur: &seal{aux: make(map[string][]byte)}}
	f.cur.gaps = make(map[uint64][]byte)
	f.cur.lost = &losses{booked: v.lost}
	for i := range v.gapSet.pages {
		f.cur.gaps[v.gapSet.pages[i].key] = v.gapSet.pages[i].encode(nil)
	}
	for key := range v.aux {
		value, err := v.value(key)
		if err != nil {
			return err
		}
		if value != nil {
			f.cur.aux[key] = value
		}
	}
	f.state.files, f.state.runs, f.state.records, f.state.sum = nil, nil, 0, 0
	f.cur.subjects = [][]subjectDelta{v.subs.list()}
	f.encodeRecords()
	return file.update("records", func(tx *bbolt.Tx) error {
		if err := f.writeRun(tx); err != nil {
			return err
		}
		return f.writeRecords(tx.Bucket(recordsBucket))
	})
}

// value reads one of the named values that were found; nil: there is none.
func (v *salvager) value(key string) ([]byte, error) {
	at, ok := v.aux[key]
	if !ok {
		return nil, nil
	}
	b, err := readAt(at.path, at.place)
	if err != nil {
		return nil, err
	}
	if rec, err := parseRecord(b, kindAux); err == nil {
		if _, value, err := decodeAux(rec.payload); err == nil {
			return append([]byte{}, value...), nil
		}
	}
	return nil, nil
}

// list gives all subjects as changes.
func (t *subjects) list() []subjectDelta {
	var out []subjectDelta
	t.each(">", func(_ uint32, s *subject) bool {
		out = append(out, subjectDelta{s.name, s.msgs, s.first, s.last, s.flags & (staleFirst | staleLast)})
		return true
	})
	return out
}
