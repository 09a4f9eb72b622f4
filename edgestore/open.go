package edgestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/frondmq/frond/edgestore/vfs"
)

// OpenFileStore opens the stream in o.Dir, or makes it. It reads the records of
// the newest file (state, directory, gaps, subjects) and no messages. When a
// record is damaged or missing it searches the pages of all files and makes a
// new file of what it finds; what is lost is in Damage.
func OpenFileStore(o FileOptions) (Store, error) {
	o.fill()
	s := &fileStore{o: o, cache: newChunkCache(o.CacheBytes), husks: make(map[chunkKey]bool)}
	s.base.files, s.damaged = s, o.Damaged
	s.init(o.FirstSeq, true)
	s.files.dir, s.files.old, s.files.raw = o.Dir, make(map[uint32]*oldFile), make(map[uint32]rawIndex)
	if err := s.open(); err != nil {
		_ = s.files.close()
		return nil, fmt.Errorf("open store %s: %w", o.Dir, err)
	}
	return s, nil
}

func (s *fileStore) open() error {
	ids, err := s.findFiles()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return s.create()
	}
	head := ids[len(ids)-1]
	err = s.loadHead(head)
	lostCommit := err == nil && s.lostCommit(fileName(s.o.Dir, head))
	if isCorrupt(err) || lostCommit {
		if lostCommit {
			if err = s.files.close(); err != nil {
				return err
			}
			s.files.head = nil
		}
		if err = s.salvage(ids, lostCommit, err); err != nil {
			return err
		}
		if ids, err = s.findFiles(); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	for _, id := range ids[:len(ids)-1] {
		s.files.old[id] = &oldFile{boltFile: &boltFile{path: fileName(s.o.Dir, id), readOnly: true}}
		if !slices.Contains(s.state.files, id) {
			if err := s.files.unlink(id); err != nil {
				return err
			}
		}
	}
	if err := s.removeOrphans(); noSpace(err) {
		s.orphans = true // the first flush that finds room does it
	} else if err != nil {
		return err
	}
	return nil
}

// lostCommit tells whether a file had a newer commit than the one that opens.
// The meta page is written after everything it stands for was synced, so when
// it is torn or damaged the commit is there and whole: only the way to it is
// lost. Going back to the commit before would lose what the journal may have
// given up since.
func (s *fileStore) lostCommit(path string) bool {
	if !metaDamaged(path) {
		return false
	}
	newer := false
	err := rawScan(path, func(_ int64, b []byte) error {
		if rec, err := parseRecord(b, kindState); err == nil && rec.incarnation == s.o.Incarnation && rec.flush > s.number {
			newer = true
		}
		return nil
	})
	return err == nil && newer
}

// findFiles makes the folder if need be, removes temporary files, and returns
// the numbers of the rest, ascending.
func (s *fileStore) findFiles() ([]uint32, error) {
	if err := (vfs.OS{}).MkdirAll(s.o.Dir); err != nil {
		return nil, err
	}
	names, err := listFiles(s.o.Dir)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, n := range names {
		if strings.HasSuffix(n, tmpSuffix) {
			if err := os.Remove(filepath.Join(s.o.Dir, n)); err != nil {
				return nil, err
			}
			continue
		}
		id, err := strconv.ParseUint(strings.TrimSuffix(n, fileSuffix), 10, 32)
		if err != nil || fileName("", uint32(id)) != n {
			return nil, fmt.Errorf("%s is not the name of a store's file", n)
		}
		ids = append(ids, uint32(id))
	}
	slices.Sort(ids)
	return ids, nil
}

// create makes the first file of a new stream.
func (s *fileStore) create() error {
	s.state = fileState{first: s.mu.first, last: s.mu.last, nextDir: 1, nextRun: 1}
	path := fileName(s.o.Dir, 1)
	file, err := createBolt(path)
	if err != nil {
		return err
	}
	err = file.update("create", func(tx *bbolt.Tx) error {
		if err := makeBuckets(tx); err != nil {
			return err
		}
		return putState(tx.Bucket(recordsBucket), &s.state, s.o.Incarnation, 0)
	})
	if err == nil {
		err = file.finish(path)
	}
	if err != nil {
		file.discard()
		return err
	}
	s.records = make(map[string]uint32)
	return s.files.roll(file, 1)
}

// loadHead reads the records of the newest file into the index.
func (s *fileStore) loadHead(id uint32) error {
	file := &boltFile{path: fileName(s.o.Dir, id)}
	l := &loader{s: s, crc: make(map[string]uint32)}
	err := file.view("records", l.read)
	if err == nil {
		err = file.view("subjects", l.readSubjects)
	}
	if err != nil {
		return errors.Join(err, file.shut())
	}
	s.records, s.state, s.number = l.crc, l.state, l.number
	s.setDurable(&l.state)
	s.losses, s.mu.lost = l.lost, l.lost
	s.hurt.Store(len(l.lost.found) > 0)
	s.mu.first, s.mu.last, s.mu.drained = l.state.first, l.state.last, l.state.last
	s.mu.msgs, s.mu.bytes, s.mu.lastTime = l.state.msgs, l.state.bytes, l.state.lastTime
	s.mu.dir, s.mu.gaps.pages, s.mu.subs = directory{pages: l.pages}, l.gaps, l.subs
	return s.files.roll(file, id)
}

// loader checks and decodes the records of a head.
type loader struct {
	s      *fileStore
	state  fileState
	number uint64
	sum    uint32
	crc    map[string]uint32
	pages  []*dirPage
	gaps   []gapPage
	lost   losses
	subs   subjects
}

func (l *loader) read(tx *bbolt.Tx) error {
	b := tx.Bucket(recordsBucket)
	if b == nil || tx.Bucket(chunksBucket) == nil {
		return fmt.Errorf("buckets are missing: %w", ErrCorrupt)
	}
	if err := l.readState(b); err != nil {
		return err
	}
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if k[0] == kindState || k[0] == kindFile {
			continue
		}
		if err := l.record(string(k), v); err != nil {
			return fmt.Errorf("record %q: %w", k, err)
		}
	}
	if uint64(len(l.crc)) != l.state.records || l.sum != l.state.sum {
		return fmt.Errorf("%d records with sum %08x where %d with %08x belong: %w",
			len(l.crc), l.sum, l.state.records, l.state.sum, ErrCorrupt)
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
	slices.SortFunc(l.gaps, func(a, b gapPage) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	for i := 1; i < len(l.gaps); i++ {
		if l.gaps[i].key < l.gaps[i-1].key+l.gaps[i-1].run {
			return fmt.Errorf("gap pages overlap: %w", ErrCorrupt)
		}
	}
	return nil
}

// readState takes the first copy of the state that is whole.
func (l *loader) readState(b *bbolt.Bucket) error {
	var first error
	for _, k := range stateKeys {
		rec, err := parseRecord(b.Get([]byte(k)), kindState)
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
	l.crc[k] = rec.crc
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
		if key, _, err := decodeAux(rec.payload); err != nil || key != k[1:] {
			return fmt.Errorf("another name in it: %w", ErrCorrupt)
		}
	case kindRun:
		return nil // read in the order of runs
	default:
		return fmt.Errorf("unknown kind: %w", ErrCorrupt)
	}
	return nil
}

func (l *loader) readSubjects(tx *bbolt.Tx) error {
	var readers []*runReader
	for _, r := range l.state.runs {
		readers = append(readers, &runReader{get: getIn(tx), info: r})
	}
	l.subs = newSubjects(false)
	err := mergeInto(readers, func(d *subjectDelta) error {
		if d.msgs > 0 {
			l.subs.restore(d)
		}
		return nil
	})
	l.subs.track, l.subs.gone = true, make(map[string]struct{})
	return err
}

// restore puts a subject as it was saved.
func (t *subjects) restore(d *subjectDelta) {
	s := &t.all[t.intern(d.name)]
	s.msgs, s.first, s.last = d.msgs, d.first, d.last
	s.flags |= d.stale
}

// removeOrphans deletes rows that the directory does not know, left by a flush
// that did not come to its end. They lie at the end, but for packed chunks,
// which are few and go when the file does.
func (s *fileStore) removeOrphans() error {
	from := uint64(0)
	if n := len(s.mu.dir.pages); n > 0 {
		p := s.mu.dir.pages[n-1]
		from = p.refs[len(p.refs)-1].first
	}
	var keys [][]byte
	err := s.files.head.view("orphans", func(tx *bbolt.Tx) error {
		b := tx.Bucket(chunksBucket)
		if b == nil {
			return fmt.Errorf("buckets are missing: %w", ErrCorrupt)
		}
		c := b.Cursor()
		for k, _ := c.Seek(binary.BigEndian.AppendUint64(nil, from)); k != nil; k, _ = c.Next() {
			if len(k) == 12 {
				r := s.mu.dir.find(binary.BigEndian.Uint64(k))
				if r != nil && bytes.Equal(r.rowKey(), k) { // the chunk, or its husk
					continue
				}
			}
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		if isCorrupt(err) {
			return nil // the next flush will say so; reading goes on
		}
		return err
	}
	return s.update(s.files.head, "orphans", func(tx *bbolt.Tx) error {
		b := tx.Bucket(chunksBucket)
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}
