package edgestore

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// Flush writes what was sealed, in these steps: (1) chunks that have lost all
// or most of their messages are dropped or packed, (2) the memtable up to the
// seal becomes chunks, (3) what is left of mostly dead old files is moved, (4)
// the records that have changed and the state go into one transaction with the
// rest of the rows, (5) the readers get the new directory.
//
// When a commit fails, the file shows what may not be on the disk, and a second
// try in it would build on that. So it is only read from then on, and the next
// flush begins a new file with what was there before the failed one.
//
// A large flush puts rows into the file in several transactions; nothing
// refers to them before the last, and an open removes them.
func (s *fileStore) Flush() error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if s.isClosed() {
		return ErrClosed
	}
	cur := s.take()
	if cur == nil {
		return nil
	}
	if err := s.makeLate(); err != nil {
		s.untake()
		err = fmt.Errorf("flush %s: %w", s.o.Dir, err)
		s.o.toldWrite(err)
		return err
	}
	rolled, err := s.flush(cur, true)
	if noSpace(err) && s.files.head.failed() == nil {
		// Room is made inside the head, so that is where the rest must go.
		freed, serr := s.shrink(cur)
		if freed || rolled {
			_, err = s.flush(cur, false)
		}
		if err != nil && !noSpace(serr) {
			err = errors.Join(err, serr)
		}
	}
	if err != nil {
		var name errName
		if !errors.As(err, &name) {
			s.untake()
		}
		err = fmt.Errorf("flush %s: %w", s.o.Dir, err)
		if !isIO(err) {
			s.o.toldWrite(err)
		}
	}
	return err
}

// flush tries once, and reports whether it began a new file.
func (s *fileStore) flush(cur *seal, mayRoll bool) (rolled bool, err error) {
	f := s.newFlusher(cur, mayRoll)
	err = f.run()
	var name errName
	if err != nil && !errors.As(err, &name) {
		f.abandon()
	}
	return f.rolled, err
}

func (s *fileStore) newFlusher(cur *seal, mayRoll bool) *flusher {
	return &flusher{s: s, cur: cur, number: s.number + 1, mayRoll: mayRoll,
		fresh: make(map[chunkKey]bool), put: make(map[string][]byte)}
}

// flusher is one flush under way.
type flusher struct {
	s      *fileStore
	cur    *seal
	number uint64
	// mayRoll: a new file may be begun.
	mayRoll bool

	file   *boltFile // that is written: the head, or the next one
	id     uint32
	rolled bool

	builder  chunkBuilder
	edit     *dirEdit
	state    fileState
	rows     []row
	rowBytes int
	dropped  []chunkRef // rows that are not needed any more
	fresh    map[chunkKey]bool
	put      map[string][]byte // records; nil: delete
	lost     ranges            // found unreadable
	losses   losses            // what is written of them
	unlink   []uint32
	carry    []uint64
	unnamed  error // the new file is whole, and its name may not be on the disk
	changed  bool  // chunks were dropped, packed or left behind
}

type row struct{ key, value []byte }

// moveBytes is how much of old chunks one flush rewrites at most.
const moveBytes = 8 << 20

func (f *flusher) run() error {
	if err := f.begin(); err != nil {
		return err
	}
	if err := f.packChunks(); err != nil {
		return err
	}
	if err := f.newChunks(); err != nil {
		return err
	}
	if err := f.moveOldFiles(); err != nil {
		return err
	}
	f.encodeRecords()
	if err := f.commit(); err != nil {
		return err
	}
	return f.publish()
}

func (f *flusher) begin() error {
	s := f.s
	f.state = s.state
	f.state.files = slices.Clone(s.state.files)
	f.state.runs = slices.Clone(s.state.runs)
	c := f.cur
	f.state.chain = c.chain
	f.state.applied, f.state.first, f.state.last = c.applied, c.first, c.last
	f.state.msgs, f.state.bytes, f.state.lastTime = c.msgs, c.bytes, c.lastTime
	f.edit = s.mu.dir.edit(f.state.nextDir)
	f.file, f.id = s.files.head, s.files.id
	if s.unnamed || f.file.failed() != nil {
		return f.roll()
	}
	if s.orphans {
		if err := s.removeOrphans(); err != nil {
			return err
		}
		s.orphans = false
	}
	if f.mayRoll && f.mustRoll() {
		return f.roll()
	}
	return nil
}

func putAll(b *bbolt.Bucket, rows []row) error {
	if b == nil {
		return fmt.Errorf("bucket is missing: %w", ErrCorrupt)
	}
	for _, r := range rows {
		if err := b.Put(r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}

// encodeRecords collects the records that have changed, but the runs.
func (f *flusher) encodeRecords() {
	for id, p := range f.edit.dirty {
		if p == nil {
			f.put[idKey(kindDir, id)] = nil
		} else {
			f.set(idKey(kindDir, id), &record{kind: kindDir, id: id, payload: p.encode(nil)})
		}
	}
	f.state.nextDir = f.edit.nextID
	for key, page := range f.cur.gaps {
		if page == nil {
			f.put[idKey(kindGap, key)] = nil
		} else {
			f.set(idKey(kindGap, key), &record{kind: kindGap, id: key, payload: page})
		}
	}
	old := f.s.lostBefore()
	f.losses = old
	if f.cur.lost != nil {
		f.losses = *f.cur.lost
	}
	f.losses.found = f.losses.found.union(f.lost)
	switch {
	case slices.Equal(old.booked, f.losses.booked) && slices.Equal(old.found, f.losses.found) && f.cur.lost == nil:
	case f.losses.empty():
		f.put[lostKey] = nil
	default:
		f.set(lostKey, &record{kind: kindLost, payload: f.losses.encode()})
	}
	for key, value := range f.cur.aux {
		k := string(rune(kindAux)) + key
		if value == nil {
			f.put[k] = nil
		} else {
			f.set(k, &record{kind: kindAux, payload: encodeAux(key, value)})
		}
	}
}

func (f *flusher) set(key string, r *record) {
	r.incarnation, r.flush = f.s.o.Incarnation, f.number
	f.put[key], _ = encodeRecord(r)
}

// commit writes everything that is left in one transaction. A new file gets
// its name after that.
func (f *flusher) commit() error {
	f.s.orphans = true
	err := f.file.update("commit", func(tx *bbolt.Tx) error {
		chunks, records := tx.Bucket(chunksBucket), tx.Bucket(recordsBucket)
		if chunks == nil || records == nil {
			return fmt.Errorf("buckets are missing: %w", ErrCorrupt)
		}
		if !f.rolled {
			for i := range f.dropped {
				// Those of older files may have a husk here.
				if err := chunks.Delete(f.dropped[i].rowKey()); err != nil {
					return err
				}
			}
		}
		if err := putAll(chunks, f.rows); err != nil {
			return err
		}
		if err := f.writeRun(tx); err != nil {
			return err
		}
		return f.writeRecords(records)
	})
	if err != nil {
		return err
	}
	if !f.rolled {
		return nil
	}
	err = f.file.finish(fileName(f.s.o.Dir, f.id))
	if errors.As(err, new(errName)) {
		f.file.mark()
		f.unnamed, err = err, nil
	}
	return err
}

// writeRun writes what has changed of the subjects as a new run, with the runs
// that it is time to merge.
func (f *flusher) writeRun(tx *bbolt.Tx) error {
	deltas := sortDeltas(f.cur.subjects)
	if len(deltas) == 0 || f.state.uncounted {
		return nil
	}
	size := uint64(0)
	for i := range deltas {
		size += uint64(len(deltas[i].name)) + 16
	}
	runs := append(slices.Clone(f.state.runs), runInfo{bytes: size})
	from := min(mergeFrom(runs), len(f.state.runs))
	var readers []*runReader
	for _, r := range f.state.runs[from:] {
		readers = append(readers, &runReader{get: getIn(tx), info: r})
	}
	readers = append(readers, &runReader{list: deltas})
	w := newRunWriter(f.state.nextRun, record{}, func(key string, r *record) error {
		f.set(key, r)
		return nil
	})
	f.state.nextRun++
	err := mergeRuns(readers, from == 0, w)
	if isCorrupt(err) {
		f.dropRuns()
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range f.state.runs[from:] {
		for b := uint32(0); b < r.blocks; b++ {
			f.put[runKey(r.id, b)] = nil
		}
	}
	f.state.runs = f.state.runs[:from]
	if w.info.count > 0 {
		f.state.runs = append(f.state.runs, w.info)
	}
	return nil
}

// dropRuns gives up the runs, one of which is damaged: an open counts the
// subjects, and then they are written anew.
func (f *flusher) dropRuns() {
	for key := range f.put {
		if key[0] == kindRun {
			delete(f.put, key)
		}
	}
	f.s.records.each(func(key string, _ uint32) {
		if key[0] == kindRun {
			f.put[key] = nil
		}
	})
	f.state.uncounted, f.state.runs = true, nil
}

// writeRecords puts the records and, last, the state.
func (f *flusher) writeRecords(b *bbolt.Bucket) error {
	for key, value := range f.put {
		if crc, ok := f.s.records.get(key); ok {
			f.state.records--
			f.state.sum ^= recordSum(key, crc)
		}
		if value == nil {
			if err := b.Delete([]byte(key)); err != nil {
				return err
			}
			continue
		}
		f.state.records++
		f.state.sum ^= recordSum(key, valueCRC(value))
		if err := b.Put([]byte(key), value); err != nil {
			return err
		}
	}
	return putState(b, &f.state, f.s.o.Incarnation, f.number)
}

func putState(b *bbolt.Bucket, st *fileState, incarnation, number uint64) error {
	value, _ := encodeRecord(&record{kind: kindState, incarnation: incarnation, flush: number, payload: st.encode()})
	for _, k := range stateKeys {
		if err := b.Put([]byte(k), value); err != nil {
			return err
		}
	}
	return nil
}

// publish makes the flush what the store reads.
func (f *flusher) publish() error {
	s := f.s
	for key, value := range f.put {
		if value == nil {
			s.records.remove(key)
		} else {
			s.records.set(key, valueCRC(value))
		}
	}
	s.aux = nil
	s.state, s.number, s.orphans = f.state, f.number, false
	if s.rare != nil {
		clear(s.rare.husks) // dropped, every one
	}
	var err error
	if f.rolled {
		err = s.files.roll(f.file, f.id)
	}
	s.mu.Lock()
	s.mu.dir.pages = f.edit.pages
	s.mu.drained = f.cur.last
	s.mu.tab.dropBelow(f.cur.last + 1)
	for _, p := range f.edit.dirty {
		if p == nil {
			continue
		}
		for i := range p.refs {
			// What was removed while its chunk was being written.
			if r := &p.refs[i]; f.fresh[r.key()] && f.cur.after.count(r.first, r.last) > 0 {
				s.mu.touched = append(s.mu.touched, r.first)
			}
		}
	}
	s.mu.touched = append(s.mu.touched, f.carry...)
	s.inflight = nil
	s.watchLocked()
	s.mu.Unlock()
	s.losses = nil
	if !f.losses.empty() {
		lost := f.losses
		s.losses = &lost
	}
	s.markFound(f.lost, errUnread)
	if len(f.unlink) > 0 {
		r := s.rareties()
		r.unlinks = append(r.unlinks, f.unlink...)
	}
	if s.unnamed = f.unnamed != nil; s.unnamed {
		// A power cut may bring back the file before: what is in the new one is
		// used, and nothing is given up for it.
		return f.unnamed
	}
	s.setDurable(&f.state)
	if s.rare != nil {
		for _, id := range s.rare.unlinks {
			err = errors.Join(err, s.files.unlink(id))
		}
		s.rare.unlinks = nil
	}
	_ = err // the flush is durable, and an open removes files that nobody needs
	if s.o.Invariants {
		return s.checkLaws()
	}
	return nil
}

// lostKey is where the losses are.
const lostKey = string(kindLost)

var errUnread = fmt.Errorf("could not be read for a flush: %w", ErrCorrupt)

// checkLaws compares what the index says with what the chunks hold, for tests.
func (s *fileStore) checkLaws() error {
	var msgs, bytes uint64
	if err := s.each(matcher{all: true}, 0, ^uint64(0), func(h hit) bool {
		msgs++
		bytes += h.size
		return true
	}); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.mu.lost.found) == 0 && (msgs != s.mu.msgs || bytes != s.mu.bytes) {
		panic(fmt.Sprintf("edgestore: %d messages of %d bytes are stored, the state says %d of %d", msgs, bytes, s.mu.msgs, s.mu.bytes))
	}
	return nil
}
