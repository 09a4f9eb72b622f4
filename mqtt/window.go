package mqtt

import "encoding/binary"

// window are the packet identifiers of QoS 1 messages that a client has not
// acknowledged, bounded by its Receive Maximum, and the messages that wait for
// a free one. It is guarded by the lock of the connection's outbound.
type window struct {
	max   int
	inUse map[uint16]struct{}
	next  uint16
	peak  int // size of inUse since it was made

	// queued are the packets that wait. In front of each stand its size and
	// where its identifier is to be put, four bytes each.
	queued pile
}

const queuedHead = 8

func newWindow(limit int) window { return window{max: limit} }

// take gives the next free identifier; none is free when the window is full or
// others wait already.
func (w *window) take() (uint16, bool) {
	if w.queued.size > 0 {
		return 0, false
	}
	return w.free()
}

func (w *window) free() (uint16, bool) {
	if len(w.inUse) >= w.max {
		return 0, false
	}
	for {
		w.next++
		if w.next == 0 {
			continue
		}
		if _, used := w.inUse[w.next]; !used {
			if w.inUse == nil {
				w.inUse = make(map[uint16]struct{})
			}
			w.inUse[w.next] = struct{}{}
			w.peak = max(w.peak, len(w.inUse))
			return w.next, true
		}
	}
}

// queue keeps a packet, head and payload, whose identifier belongs at idAt.
func (w *window) queue(head, payload []byte, idAt int, pool *pieces) {
	var b [queuedHead]byte
	binary.BigEndian.PutUint32(b[:], uint32(len(head)+len(payload)))
	binary.BigEndian.PutUint32(b[4:], uint32(idAt))
	w.queued.write(b[:], pool)
	w.queued.write(head, pool)
	w.queued.write(payload, pool)
}

// release frees an identifier. Unknown ones are ignored.
func (w *window) release(id uint16) {
	delete(w.inUse, id)
	if len(w.inUse) == 0 && w.peak > 64 {
		w.inUse, w.peak = nil, 0 // maps never shrink
	}
}

// ready moves the next waiting packet to the end of to, with its identifier. It
// gives the packet's size, 0 when none waits or may go.
func (w *window) ready(to *pile, pool *pieces) int {
	if w.queued.size == 0 {
		return 0
	}
	id, ok := w.free()
	if !ok {
		return 0
	}
	var b [queuedHead]byte
	w.queued.read(b[:], pool)
	size, idAt := int(binary.BigEndian.Uint32(b[:])), int(binary.BigEndian.Uint32(b[4:]))
	w.queued.move(to, idAt, pool)
	w.queued.read(b[:2], pool) // the place of the identifier
	to.write(binary.BigEndian.AppendUint16(b[:0], id), pool)
	w.queued.move(to, size-idAt-2, pool)
	return size
}
