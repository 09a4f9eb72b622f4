package edgestore

import (
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

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
	file, err := createBolt(fileName(s.o.Dir, next), s.o)
	if err != nil {
		return err
	}
	f.file, f.rolled, f.changed = file, true, true
	f.state.files = append(f.state.files, f.id)
	f.id = next
	if err := file.update("create", makeBuckets(s.o.Incarnation)); err != nil {
		return err
	}
	keys := make([]string, 0, s.records.len())
	s.records.each(func(k string, _ uint32) { keys = append(keys, k) })
	slices.Sort(keys)
	missing := make(map[string]uint32)
	for len(keys) > 0 {
		batch, rest, err := f.readRecords(keys, missing)
		if err != nil && !isCorrupt(err) {
			return err
		}
		if err != nil { // the tree gives nothing
			for _, k := range keys {
				missing[k], _ = s.records.get(k)
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
			crc, _ := s.records.get(k)
			v, err := get(k)
			if err == nil {
				var rec record
				if rec, err = parseRecord(v, k[0]); err == nil && rec.crc != crc {
					err = ErrCorrupt
				}
			}
			switch {
			case isCorrupt(err):
				missing[k] = crc
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
		if f.cur.lost == nil {
			before := f.s.lostBefore()
			f.cur.lost = &before
		}
	default:
		// A named value stays away until it changes.
		s.o.toldWrite(fmt.Errorf("a named value is lost: %w", err))
	}
}

// gapsAtSeal is a page of gaps as of the seal.
func (f *flusher) gapsAtSeal(key uint64) []byte {
	f.s.mu.RLock()
	defer f.s.mu.RUnlock()
	var g gapSet
	base, end := key<<gapShift, key<<gapShift
	f.goneAtSealLocked(base, f.cur.last, func(lo, hi uint64) bool {
		if lo == end {
			end = hi + 1
		}
		return lo < end
	})
	if n := (end - base) >> gapShift; n > 0 { // the page stands for a run of full ones
		g.addFull(key, n)
	} else {
		f.goneAtSealLocked(base, min(base|gapMask, f.cur.last), func(lo, hi uint64) bool { g.addRange(lo, hi); return true })
	}
	if len(g.pages) == 0 {
		return nil
	}
	return g.pages[0].encode(nil)
}

// goneAtSealLocked calls fn for what was not there at the seal: what is not there
// now, but for what was removed since. What lies below the first message counts
// as gone.
func (f *flusher) goneAtSealLocked(lo, hi uint64, fn func(lo, hi uint64) bool) {
	s, after := f.s, f.cur.after
	without := func(lo, hi uint64) bool {
		for seq := after.next(max(lo, 1)); seq != 0 && seq <= hi; {
			to := hi
			after.each(seq, hi, func(a, _ uint64) bool { to = a - 1; return false })
			if !fn(seq, to) {
				return false
			}
			seq = after.next(to + 1)
		}
		return true
	}
	first := s.mu.first
	if s.mu.msgs == 0 {
		first = hi + 1
	}
	if lo < first {
		if !without(lo, min(hi, first-1)) {
			return
		}
		lo = first
	}
	s.mu.gaps.each(lo, hi, without)
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

func (f *flusher) abandon() {
	if f.rolled && f.file != nil {
		f.file.discard()
	}
}
