package edgestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/frondmq/frond/edgestore/vfs"
)

// A husk is what stays of a chunk all of whose messages are removed, but whose
// removal is not flushed: the chunk without bodies. A crash goes back to the
// state before the removals, and applying them again needs to know of each
// message the subject and the size, and nothing else.
//
// Husks make room on a full disk, where a flush, which has to write what is new
// before it can let go of the old, gets nowhere. No record names them: they lie
// under the chunk's own key in the head (also those of chunks in older files)
// and go with the next flush.

// huskBatch is how many chunks one transaction turns into husks: few, because
// there may be room for few pages only, and each batch makes some for the next.
const huskBatch = 64

// encodeHusk makes the husk of a chunk's value.
func encodeHusk(value []byte, ref *chunkRef) ([]byte, error) {
	rec, err := parseRecord(value, kindChunk)
	if err != nil {
		return nil, err
	}
	if rec.crc != ref.crc || rec.id != ref.first {
		return nil, fmt.Errorf("another chunk: %w", ErrCorrupt)
	}
	r := reader{b: rec.payload}
	c := &chunk{key: chunkKey{ref.file, rec.crc, rec.id}}
	c.decodeMeta(&r)
	if r.err != nil {
		return nil, r.err
	}
	h := record{kind: kindHusk, incarnation: rec.incarnation, flush: rec.flush, id: rec.id}
	h.payload = binary.LittleEndian.AppendUint32(nil, rec.crc)
	h.payload = append(h.payload, rec.payload[:len(rec.payload)-len(r.b)]...)
	b, _ := encodeRecord(&h)
	return b, nil
}

// decodeHusk makes a chunk without bodies.
func decodeHusk(b []byte, file uint32) (*chunk, error) {
	rec, err := parseRecord(b, kindHusk)
	if err != nil {
		return nil, err
	}
	r := reader{b: rec.payload}
	c := &chunk{key: chunkKey{file, r.uint32(), rec.id}, incarn: rec.incarnation, flush: rec.flush}
	c.decodeMeta(&r)
	r.end()
	if r.err != nil {
		return nil, r.err
	}
	c.filter = newFilter(c.subjects)
	c.once.Do(func() {
		c.bodyErr = fmt.Errorf("chunk %d: its messages are removed: %w", rec.id, ErrCorrupt)
	})
	return c, nil
}

// loadHusk reads what stayed of a chunk, nil if that is not what is there.
func (s *fileStore) loadHusk(ref *chunkRef) *chunk {
	var c *chunk
	place := fmt.Sprintf("husk %d", ref.first)
	_ = s.files.get(s.files.headID()).view(place, func(tx *bbolt.Tx) error {
		b := tx.Bucket(chunksBucket)
		if b == nil {
			return nil
		}
		v := b.Get(ref.rowKey())
		if v == nil {
			return nil
		}
		h, err := decodeHusk(append([]byte(nil), v...), ref.file)
		if err == nil && h.key == ref.key() && h.incarn == s.o.Incarnation && h.last == ref.last && len(h.msgs) == int(ref.msgs) {
			c = h
		}
		return nil
	})
	return c
}

// Shrink makes room without taking any: chunks of which nothing is left at the
// last seal become husks, and files of which nothing else is left go. It
// reports whether anything went. Flush does it by itself when the disk is full;
// it is for when other stores took the room that a Flush would begin with.
func (s *fileStore) Shrink() (bool, error) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if s.isClosed() {
		return false, ErrClosed
	}
	if s.unmade {
		return false, nil
	}
	cur := s.take()
	if cur == nil {
		return false, nil
	}
	defer s.untake()
	freed, err := s.shrink(cur)
	if err != nil {
		err = fmt.Errorf("shrink %s: %w", s.o.Dir, err)
	}
	return freed, err
}

// shrink does it for a seal that was taken.
func (s *fileStore) shrink(cur *seal) (freed bool, err error) {
	f := &flusher{s: s, cur: cur, file: s.files.head, id: s.files.id, edit: s.mu.dir.edit(s.state.nextDir)}
	var here []chunkRef // in the head
	old := make(map[uint32][]chunkRef)
	alive := make(map[uint32]bool)
	for _, p := range f.edit.pages {
		for _, r := range p.refs {
			switch {
			case r.file != f.id && alive[r.file]:
			case f.alive(&r) > 0:
				alive[r.file] = true
			case s.rare != nil && s.rare.husks[r.key()]:
			case r.file == f.id:
				here = append(here, r)
			default:
				old[r.file] = append(old[r.file], r)
			}
		}
	}
	// The head first: its own pages are what the husks of other files need.
	n, err := s.makeHusks(here)
	if err != nil {
		return n, err
	}
	freed = n
	for _, id := range s.state.files {
		if alive[id] || s.files.get(id) == nil {
			continue
		}
		if _, err := s.makeHusks(old[id]); err != nil {
			return freed, err
		}
		if err := s.files.unlink(id); err != nil {
			return freed, err
		}
		freed = true
	}
	return freed, nil
}

// makeHusks turns chunks into husks; damaged ones stay as they are.
func (s *fileStore) makeHusks(refs []chunkRef) (done bool, err error) {
	for len(refs) > 0 {
		n := min(len(refs), huskBatch)
		var rows []row
		for i := range refs[:n] {
			r := &refs[i]
			value, err := readRow(s.files.get(r.file), r, "husk")
			if err == nil {
				value, err = encodeHusk(value, r)
			}
			switch {
			case isCorrupt(err): // or it is a husk since before a restart
			case err != nil:
				return done, err
			default:
				rows = append(rows, row{r.rowKey(), value})
			}
		}
		if len(rows) > 0 {
			err := s.files.head.update("husks", func(tx *bbolt.Tx) error { return putAll(tx.Bucket(chunksBucket), rows) })
			if err != nil {
				return done, err
			}
			done = true
		}
		for i := range refs[:n] {
			rare := s.rareties()
			if rare.husks == nil {
				rare.husks = make(map[chunkKey]bool)
			}
			rare.husks[refs[i].key()] = true
		}
		refs = refs[n:]
	}
	return done, nil
}

// noSpace tells whether err means that the disk is full.
func noSpace(err error) bool { return vfs.IsNoSpace(err) || errors.Is(err, ErrDiskFull) }
