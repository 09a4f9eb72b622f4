package edgestore

import (
	"encoding/binary"
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
		s.hooks.toldWrite(err)
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
			s.hooks.toldWrite(err)
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

// mustRoll tells whether the head is large enough to become an old file, or
// has become mostly empty: a bbolt file never shrinks.
func (f *flusher) mustRoll() bool {
	s := f.s
	size := f.file.size()
	if size >= s.o.MaxFileBytes {
		return true
	}
	if size < min(16<<20, s.o.MaxFileBytes/2) {
		return false
	}
	live := int64(0)
	for _, p := range f.edit.pages {
		for i := range p.refs {
			r := &p.refs[i]
			if r.file == f.id && r.msgs > 0 {
				live += int64(uint64(r.length) * f.alive(r) / uint64(r.msgs))
			}
		}
	}
	for _, r := range f.state.runs {
		live += int64(r.bytes)
	}
	return live < size/4
}

// roll begins the next file, with all records of the head.
func (f *flusher) roll() error {
	s := f.s
	next := max(f.id+1, s.free)
	file, err := createBolt(fileName(s.o.Dir, next), s.hooks)
	if err != nil {
		return err
	}
	f.file, f.rolled, f.changed = file, true, true
	f.state.files = append(f.state.files, f.id)
	f.id = next
	if err := file.update("create", makeBuckets(s.o.Incarnation)); err != nil {
		return err
	}
	keys := make([]string, 0, len(s.records))
	for k := range s.records {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	missing := make(map[string]uint32)
	for len(keys) > 0 {
		batch, rest, err := f.readRecords(keys, missing)
		if err != nil && !isCorrupt(err) {
			return err
		}
		if err != nil { // the tree gives nothing
			for _, k := range keys {
				missing[k] = s.records[k]
			}
			break
		}
		keys = rest
		if err := putRecords(file, batch); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var batch []row
	err = s.rawRecords(s.files.head.path, missing, func(key string, value []byte) {
		batch = append(batch, row{[]byte(key), slices.Clone(value)})
		delete(missing, key)
	})
	if err != nil {
		return err
	}
	if err := putRecords(file, batch); err != nil {
		return err
	}
	for key := range missing {
		f.makeAgain(key)
	}
	return nil
}

// readRecords reads some records out of the head; those that its tree does not
// have as they should be go to missing.
func (f *flusher) readRecords(keys []string, missing map[string]uint32) (batch []row, rest []string, err error) {
	s := f.s
	err = s.files.head.view("records", func(tx *bbolt.Tx) error {
		batch, rest = batch[:0], keys
		get, size := getIn(tx), 0
		for len(rest) > 0 && size < s.o.TxBytes {
			k := rest[0]
			v, err := get(k)
			if err == nil {
				var rec record
				if rec, err = parseRecord(v, k[0]); err == nil && rec.crc != s.records[k] {
					err = ErrCorrupt
				}
			}
			switch {
			case isCorrupt(err):
				missing[k] = s.records[k]
			case err != nil:
				return err
			default:
				batch = append(batch, row{[]byte(k), slices.Clone(v)})
				size += len(v)
			}
			rest = rest[1:]
		}
		return nil
	})
	return batch, rest, err
}

func putRecords(file *boltFile, batch []row) error {
	return file.update("records", func(tx *bbolt.Tx) error { return putAll(tx.Bucket(recordsBucket), batch) })
}

// makeAgain writes a record that is damaged for good from what is in memory.
func (f *flusher) makeAgain(key string) {
	s := f.s
	err := fmt.Errorf("%s: record %q: %w", s.files.head.path, key, ErrCorrupt)
	id := uint64(0)
	if len(key) >= 9 {
		id = binary.BigEndian.Uint64([]byte(key[1:]))
	}
	f.put[key] = nil // unless it is set below
	switch key[0] {
	case kindDir:
		for _, p := range f.edit.pages {
			if p.id == id {
				f.edit.dirty[id] = p
			}
		}
	case kindGap:
		if _, ok := f.cur.gaps[id]; !ok {
			f.cur.gaps[id] = f.gapsAtSeal(id)
		}
	case kindRun:
		f.dropRuns()
	case kindLost:
		f.cur.lost = &losses{s.losses.booked, s.losses.found}
	default:
		// A named value stays away until it changes.
		s.hooks.toldWrite(fmt.Errorf("a named value is lost: %w", err))
	}
}

// gapsAtSeal is a page of gaps as of the seal: those of now without what was
// removed since.
func (f *flusher) gapsAtSeal(key uint64) []byte {
	s := f.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	var g gapSet
	base := key << gapShift
	end := base | gapMask
	i, ok := s.mu.gaps.at(key)
	if ok && s.mu.gaps.pages[i].key == key && s.mu.gaps.pages[i].full() {
		end = (key+s.mu.gaps.pages[i].run-1)<<gapShift | gapMask
	}
	s.mu.gaps.each(base, end, func(lo, hi uint64) bool {
		for seq := lo; seq <= hi; {
			if f.cur.after.has(seq) {
				seq++
				continue
			}
			to := hi
			f.cur.after.each(seq, hi, func(a, _ uint64) bool { to = a - 1; return false })
			g.addRange(seq, to)
			seq = to + 1
		}
		return true
	})
	for i := range g.pages {
		if g.pages[i].key == key {
			return g.pages[i].encode(nil)
		}
	}
	return nil
}

func makeBuckets(incarnation uint64) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(recordsBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(chunksBucket); err != nil {
			return err
		}
		return putFormat(b, incarnation)
	}
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

// atSealLocked tells whether a message was there at the seal.
func (f *flusher) atSealLocked(seq uint64) bool {
	if seq < f.cur.first || seq > f.cur.last {
		return false
	}
	return f.cur.after.has(seq) || f.s.liveLocked(seq)
}

// alive is how many messages of a chunk were there at the seal, or more.
func (f *flusher) alive(r *chunkRef) uint64 {
	s := f.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	lo := max(r.first, f.cur.first)
	if lo > r.last {
		return 0
	}
	n := f.cur.after.count(lo, r.last)
	if lo = max(lo, s.mu.first); lo <= r.last && s.mu.msgs > 0 {
		n += r.last - lo + 1 - s.mu.gaps.count(lo, r.last)
	}
	return min(n, uint64(r.msgs))
}

// newChunks turns the memtable up to the seal into chunks. When the last chunk
// is small it is continued.
func (f *flusher) newChunks() error {
	s, w := f.s, &f.s.builder
	w.reset()
	from := s.mu.drained + 1
	if from > f.cur.last {
		return nil
	}
	if err := f.continueTail(); err != nil {
		return err
	}
	var picks []pick
	var buf []byte
	for from <= f.cur.last {
		picks, from = f.pick(picks[:0], from)
		for i := range picks {
			p := &picks[i]
			blob, err := s.blob(p.at, buf)
			var subject, header, body []byte
			if err == nil {
				buf = blob
				subject, header, body, err = ParseBlob(blob)
			}
			switch {
			case isCorrupt(err):
				f.lost = f.lost.add(p.seq, p.seq)
				continue
			case err != nil:
				return fmt.Errorf("message %d: %w", p.seq, err)
			}
			if w.full(len(header) + len(body)) {
				if err := f.emit(w); err != nil {
					return err
				}
			}
			w.add(p.seq, p.time, subject, header, body)
		}
	}
	return f.emit(w)
}

type pick struct {
	seq  uint64
	time int64
	at   Location
}

// pick lists some messages from a sequence on, and where to go on.
func (f *flusher) pick(out []pick, from uint64) ([]pick, uint64) {
	s := f.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	next := f.cur.last + 1
	s.mu.tab.up(from, f.cur.last, func(seq uint64, e *entry) bool {
		if len(out) == 512 {
			next = seq
			return false
		}
		if f.atSealLocked(seq) {
			out = append(out, pick{seq, e.time, e.location()})
		}
		return true
	})
	return out, next
}

// continueTail puts the messages of a small last chunk in front of the new.
func (f *flusher) continueTail() error {
	if f.rolled || len(f.edit.pages) == 0 {
		return nil
	}
	p := f.edit.pages[len(f.edit.pages)-1]
	r := p.refs[len(p.refs)-1]
	if r.file != f.id || r.length >= chunkTarget/2 || f.fresh[r.key()] {
		return nil
	}
	f.edit.replace(r.first, r.last, nil)
	return f.takeInto(&r, func() error { return f.emit(&f.s.builder) })
}

// takeInto adds what is left of a chunk to the builder, and drops the chunk; out
// is called when the builder is full.
func (f *flusher) takeInto(r *chunkRef, out func() error) error {
	s, w := f.s, &f.s.builder
	c, err := s.load(r)
	if isCorrupt(err) {
		f.lost = f.lost.add(r.first, r.last)
		f.dropped = append(f.dropped, *r)
		return nil
	}
	if err != nil {
		return err
	}
	body, err := c.bodies()
	if err != nil {
		return err
	}
	var keep []int
	s.mu.RLock()
	for i := range c.msgs {
		if f.atSealLocked(c.msgs[i].seq) {
			keep = append(keep, i)
		}
	}
	s.mu.RUnlock()
	for _, i := range keep {
		m := &c.msgs[i]
		if w.full(int(m.header + m.body)) {
			if err := out(); err != nil {
				return err
			}
		}
		w.add(m.seq, m.time, []byte(c.subjects[m.subj]), body[m.off:m.off+m.header], body[m.off+m.header:m.off+m.header+m.body])
	}
	f.dropped = append(f.dropped, *r)
	return nil
}

// emit finishes the chunk under way.
func (f *flusher) emit(w *chunkBuilder) error {
	ref, value := f.encode(w)
	if value == nil {
		return nil
	}
	f.edit.push(ref)
	return f.write(ref, value)
}

func (f *flusher) encode(w *chunkBuilder) (chunkRef, []byte) {
	if len(w.msgs) == 0 {
		return chunkRef{}, nil
	}
	first, last := w.msgs[0].seq, w.msgs[len(w.msgs)-1].seq
	prev := uint64(0)
	d := directory{pages: f.edit.pages}
	if before := d.findDown(first - 1); before != nil {
		prev = before.first
	}
	ref, value := w.finish(f.s.o.Incarnation, f.number, f.id, first, last, prev, f.s.o.Compression)
	w.reset()
	f.fresh[ref.key()] = true
	return ref, value
}

// write puts a row into the file, sooner or later.
func (f *flusher) write(ref chunkRef, value []byte) error {
	f.rows = append(f.rows, row{ref.rowKey(), value})
	f.rowBytes += len(value)
	if f.rowBytes < f.s.o.TxBytes {
		return nil
	}
	f.s.orphans = true
	err := f.file.update("chunks", func(tx *bbolt.Tx) error { return putAll(tx.Bucket(chunksBucket), f.rows) })
	f.rows, f.rowBytes = f.rows[:0], 0
	return err
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
	f.losses = f.s.losses
	if f.cur.lost != nil {
		f.losses = *f.cur.lost
	}
	f.losses.found = f.losses.found.union(f.lost)
	switch old := &f.s.losses; {
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
	for key := range f.s.records {
		if key[0] == kindRun {
			f.put[key] = nil
		}
	}
	f.state.uncounted, f.state.runs = true, nil
}

// writeRecords puts the records and, last, the state.
func (f *flusher) writeRecords(b *bbolt.Bucket) error {
	old := f.s.records
	for key, value := range f.put {
		if crc, ok := old[key]; ok {
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
			delete(s.records, key)
		} else {
			s.records[key] = valueCRC(value)
		}
	}
	s.state, s.number, s.orphans = f.state, f.number, false
	clear(s.husks) // dropped, every one
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
	s.losses = f.losses
	s.markFound(f.lost, errUnread)
	s.unlinks = append(s.unlinks, f.unlink...)
	if s.unnamed = f.unnamed != nil; s.unnamed {
		// A power cut may bring back the file before: what is in the new one is
		// used, and nothing is given up for it.
		return f.unnamed
	}
	s.setDurable(&f.state)
	for _, id := range s.unlinks {
		err = errors.Join(err, s.files.unlink(id))
	}
	s.unlinks = nil
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

func (f *flusher) abandon() {
	if f.rolled && f.file != nil {
		f.file.discard()
	}
}
