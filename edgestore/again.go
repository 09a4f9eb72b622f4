package edgestore

import (
	"errors"
	"os"
	"sort"
)

// fillers makes chunks of messages that a salvage has lost and that come again
// from elsewhere. Their rows lie in a file beside the store's, as those that were
// found lie in the damaged ones, until all are in the new file.
type fillers struct {
	v       *salvager
	free    ranges // what is lost and lies between the chunks that were found
	file    *os.File
	size    int64
	builder chunkBuilder
	in      SeqRange // the range of free that the builder's messages are in
	last    uint64   // the newest message
	chunks  []found
}

// again asks whoever has messages once more for those that are lost, and counts
// anew when there are such. Where that, or a write, fails, they stay lost.
func (v *salvager) again() error {
	if v.s.o.Again == nil || v.s.met().Stateless {
		return nil
	}
	lost, err := v.missing()
	if err != nil {
		return err
	}
	for i := range v.refs {
		lost = lost.sub(v.refs[i].first, v.refs[i].last)
	}
	if len(lost) == 0 {
		return nil
	}
	f := &fillers{v: v, free: lost}
	if f.file, err = os.Create(v.more); err != nil {
		return nil
	}
	err = v.s.o.Again(v.state.chain, v.state.last, lost, v.value, f.add)
	if err == nil {
		err = f.flush()
	}
	if cerr := f.file.Close(); err != nil || cerr != nil {
		return nil
	}
	all := append(f.chunks, v.from...)
	sort.Slice(all, func(i, j int) bool { return all[i].id < all[j].id })
	return v.countAll(all)
}

// errOrder: whoever has the messages does not give them ascending.
var errOrder = errors.New("messages come in another order")

// add takes a message, if it is lost. They come ascending.
func (f *fillers) add(m *Msg) error {
	r, ok := f.free.find(m.Seq)
	switch {
	case !ok:
		return nil
	case m.Seq <= f.last:
		return errOrder
	}
	f.last = m.Seq
	if r != f.in || f.builder.full(len(m.Header)+len(m.Body)) {
		if err := f.flush(); err != nil {
			return err
		}
		f.in = r
		f.builder.reset()
	}
	f.builder.add(m.Seq, m.Time, []byte(m.Subject), m.Header, m.Body)
	return nil
}

// flush writes the chunk that is begun.
func (f *fillers) flush() error {
	w := &f.builder
	if len(w.msgs) == 0 {
		return nil
	}
	o := f.v.s.o
	ref, row := w.finish(o.Incarnation, f.v.number, 0, w.msgs[0].seq, w.msgs[len(w.msgs)-1].seq, 0, o.Compression)
	if _, err := f.file.WriteAt(row, f.size); err != nil {
		return err
	}
	f.chunks = append(f.chunks, found{path: f.v.more, place: rawPlace{f.size, uint32(len(row))}, id: ref.first, crc: ref.crc, last: ref.last})
	f.size += int64(len(row))
	w.reset()
	return nil
}
