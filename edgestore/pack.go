package edgestore

import (
	"encoding/binary"
	"slices"
)

func valueCRC(value []byte) uint32 { return binary.LittleEndian.Uint32(value[12:]) }

// packChunks looks at the chunks that have lost messages: what is dead goes,
// and what is less than half alive is packed with its neighbours.
func (f *flusher) packChunks() error {
	touched := f.cur.touched
	slices.Sort(touched)
	budget := moveBytes
	done := uint64(0)
	for _, seq := range touched {
		if seq <= done {
			continue
		}
		r := f.find(seq)
		if r == nil || f.fresh[r.key()] {
			continue
		}
		alive := f.alive(r)
		if !f.worth(r, alive) {
			continue
		}
		if budget <= 0 && alive > 0 {
			f.carry = append(f.carry, seq)
			continue
		}
		last, err := f.pack(*r, &budget)
		if err != nil {
			return err
		}
		done = last
	}
	return nil
}

// find returns the chunk that answers for seq.
func (f *flusher) find(seq uint64) *chunkRef {
	d := directory{pages: f.edit.pages}
	r := d.find(seq)
	if r == nil || r.first > seq {
		return nil
	}
	return r
}

func (f *flusher) worth(r *chunkRef, alive uint64) bool {
	return alive*2 < uint64(r.msgs)
}

// pack drops or rewrites the chunks from r on, as long as they are worth it or
// small enough to go along, and returns the last sequence that it looked at.
func (f *flusher) pack(r chunkRef, budget *int) (uint64, error) {
	w := &f.builder
	w.reset()
	first, last := r.first, r.last
	var refs []chunkRef
	out := func() error {
		ref, value := f.encode(w)
		if value == nil {
			return nil
		}
		refs = append(refs, ref)
		return f.write(ref, value)
	}
	for {
		last = r.last
		if f.alive(&r) == 0 {
			f.dropped = append(f.dropped, r)
		} else {
			*budget -= int(r.length)
			if err := f.takeInto(&r, out); err != nil {
				return 0, err
			}
		}
		d := directory{pages: f.edit.pages}
		next := d.find(last + 1)
		if next == nil || *budget <= 0 {
			break
		}
		alive := f.alive(next)
		if !f.worth(next, alive) {
			left := uint64(next.length) * alive / uint64(next.msgs)
			if len(w.msgs) == 0 || uint64(len(w.body))+left > chunkTarget {
				break
			}
		}
		r = *next
	}
	if err := out(); err != nil {
		return 0, err
	}
	f.edit.replace(first, last, refs)
	f.changed = true
	return last, nil
}

// moveOldFiles empties old files that are mostly dead, and gives up those that
// no chunk lies in.
func (f *flusher) moveOldFiles() error {
	if !f.changed || len(f.state.files) == 0 {
		return nil
	}
	live := make(map[uint32]int64)
	for _, p := range f.edit.pages {
		for i := range p.refs {
			live[p.refs[i].file] += int64(p.refs[i].length)
		}
	}
	budget := moveBytes
	for _, id := range f.state.files {
		n, size := live[id], int64(0)
		if n == 0 {
			continue
		}
		if file := f.s.files.get(id); file != nil {
			size = file.size()
		}
		if n > size/3 {
			continue
		}
		moved, err := f.moveFile(id, &budget)
		if err != nil {
			return err
		}
		live[id] -= moved
	}
	f.state.files = slices.DeleteFunc(f.state.files, func(id uint32) bool {
		if live[id] > 0 {
			return false
		}
		f.unlink = append(f.unlink, id)
		return true
	})
	return nil
}

// moveFile copies chunks of a file to the one that is written.
func (f *flusher) moveFile(id uint32, budget *int) (moved int64, err error) {
	return f.move(id, budget, func([]byte) bool { return true })
}

// moveFresh copies the chunks of a file that its last flush has written.
func (f *flusher) moveFresh(id uint32) error {
	budget := int(^uint(0) >> 1)
	_, err := f.move(id, &budget, func(value []byte) bool {
		return binary.LittleEndian.Uint64(value[24:]) >= f.s.number
	})
	return err
}

func (f *flusher) move(id uint32, budget *int, want func(value []byte) bool) (moved int64, err error) {
	pages := slices.Clone(f.edit.pages)
	for _, p := range pages {
		for _, r := range p.refs {
			if r.file != id || f.fresh[r.key()] {
				continue
			}
			if *budget <= 0 {
				return moved, nil
			}
			value, err := f.readOld(&r)
			if err != nil {
				return moved, err
			}
			if value != nil && !want(value) {
				continue
			}
			*budget -= int(r.length)
			moved += int64(r.length)
			if value == nil { // damaged
				f.lost = f.lost.add(r.first, r.last)
				f.edit.replace(r.first, r.last, nil)
				continue
			}
			to := r
			to.file = f.id
			f.fresh[to.key()] = true
			f.edit.replace(r.first, r.last, []chunkRef{to})
			if err := f.write(to, value); err != nil {
				return moved, err
			}
		}
	}
	return moved, nil
}

// readOld reads a row as it is; nil when it is damaged for good.
func (f *flusher) readOld(r *chunkRef) ([]byte, error) {
	file := f.s.files.get(r.file)
	if file == nil {
		return nil, nil
	}
	value, err := readRow(file, r, "move")
	if err == nil {
		if _, err = f.s.decode(value, r); err == nil {
			return value, nil
		}
	}
	if !isCorrupt(err) {
		return nil, err
	}
	return f.s.rawRow(r)
}
