package edgestore

import (
	"fmt"

	"go.etcd.io/bbolt"
)

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
	s, w := f.s, &f.builder
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
			blob, err := s.blob(p.at, buf, false)
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
	return f.takeInto(&r, func() error { return f.emit(&f.builder) })
}

// takeInto adds what is left of a chunk to the builder, and drops the chunk; out
// is called when the builder is full.
func (f *flusher) takeInto(r *chunkRef, out func() error) error {
	s, w := f.s, &f.builder
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
