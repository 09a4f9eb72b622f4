package edgestore

import (
	"fmt"
	"slices"
	"sort"

	"go.etcd.io/bbolt"
)

// loader checks and decodes the records of a head.
type loader struct {
	s      *fileStore
	state  fileState
	number uint64
	sum    uint32
	sums   recordSums
	pages  []*dirPage
	gaps   []gapPage
	lost   losses
	subs   subjects
}

// records are the rows of the bucket of records.
type records interface {
	get(key string) []byte // nil: there is none
	each(f func(k, v []byte) error) error
}

type boltRecords struct{ *bbolt.Bucket }

func (b boltRecords) get(key string) []byte { return b.Get([]byte(key)) }

func (b boltRecords) each(f func(k, v []byte) error) error {
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) read(rows records) error {
	if err := l.readState(rows); err != nil {
		return err
	}
	err := rows.each(func(k, v []byte) error {
		switch k[0] {
		case kindState:
			return nil
		case kindFile:
			return checkFormat(v)
		}
		if err := l.record(string(k), v); err != nil {
			return fmt.Errorf("record %q: %w", k, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := l.sums.len(); uint64(n) != l.state.records || l.sum != l.state.sum {
		return fmt.Errorf("%d records with sum %08x where %d with %08x belong: %w",
			n, l.sum, l.state.records, l.state.sum, ErrCorrupt)
	}
	slices.SortFunc(l.pages, func(a, b *dirPage) int {
		if a.refs[0].first < b.refs[0].first {
			return -1
		}
		return 1
	})
	for i := 1; i < len(l.pages); i++ {
		if l.pages[i].refs[0].first <= l.pages[i-1].last() {
			return fmt.Errorf("directory pages overlap: %w", ErrCorrupt)
		}
	}
	sort.Slice(l.gaps, func(i, j int) bool { return l.gaps[i].key < l.gaps[j].key })
	for i := 1; i < len(l.gaps); i++ {
		if l.gaps[i].key < l.gaps[i-1].key+l.gaps[i-1].run {
			return fmt.Errorf("gap pages overlap: %w", ErrCorrupt)
		}
	}
	return nil
}

// readState takes the first copy of the state that is whole.
func (l *loader) readState(rows records) error {
	var first error
	for _, k := range stateKeys {
		rec, err := parseRecord(rows.get(k), kindState)
		if err == nil {
			if rec.incarnation != l.s.o.Incarnation {
				return fmt.Errorf("folder belongs to stream incarnation %d, not %d", rec.incarnation, l.s.o.Incarnation)
			}
			if l.state, err = decodeState(rec.payload, rec.format); err == nil {
				l.number = rec.flush
				return nil
			}
		}
		if first == nil {
			first = fmt.Errorf("state: %w", err)
		}
	}
	return first
}

func (l *loader) record(k string, v []byte) error {
	rec, err := parseRecord(v, k[0])
	if err != nil {
		return err
	}
	if rec.incarnation != l.s.o.Incarnation {
		return fmt.Errorf("of incarnation %d: %w", rec.incarnation, ErrCorrupt)
	}
	l.sums.set(k, rec.crc)
	l.sum ^= recordSum(k, rec.crc)
	switch k[0] {
	case kindDir:
		p, err := decodeDirPage(rec.id, rec.payload)
		if err != nil {
			return err
		}
		l.pages = append(l.pages, p)
	case kindGap:
		p, err := decodeGapPage(rec.id, rec.payload)
		if err != nil {
			return err
		}
		l.gaps = append(l.gaps, p)
	case kindLost:
		if l.lost, err = decodeLosses(rec.payload); err != nil {
			return err
		}
	case kindAux:
		if key, _, err := splitAux(rec.payload); err != nil || string(key) != k[1:] {
			return fmt.Errorf("another name in it: %w", ErrCorrupt)
		}
	case kindRun:
		return nil // read in the order of runs
	default:
		return fmt.Errorf("unknown kind: %w", ErrCorrupt)
	}
	return nil
}

func (l *loader) readSubjects(rows records) error {
	get := func(key string) ([]byte, error) {
		v := rows.get(key)
		if v == nil {
			return nil, fmt.Errorf("record %q is missing: %w", key, ErrCorrupt)
		}
		return v, nil
	}
	var readers []*runReader
	for _, r := range l.state.runs {
		readers = append(readers, &runReader{get: get, info: r})
	}
	l.subs = newSubjects(false)
	err := mergeInto(readers, func(d *subjectDelta) error {
		if d.msgs > 0 {
			l.subs.restore(d)
		}
		return nil
	})
	l.subs.track = true
	return err
}

// restore puts a subject as it was saved.
func (t *subjects) restore(d *subjectDelta) {
	s := &t.all[t.intern(d.name)]
	s.msgs, s.first, s.last = d.msgs, d.first, d.last
	s.flags |= d.stale
}
