package mqtt

import (
	"encoding/binary"

	"github.com/frondmq/frond/core/outbound"
)

// window are the packet identifiers of QoS 1 messages that a client has not
// acknowledged, bounded by its Receive Maximum, and the messages that wait for
// a free one. It is guarded by the lock of the connection's outbound.
type window struct {
	max   int
	inUse map[uint16]struct{}
	next  uint16
	peak  int // size of inUse since it was made
	held  int // of inUse: of messages that are to be sent again, and were not yet

	// queued are the packets that wait. In front of each stand its size and
	// where its identifier is to be put, four bytes each.
	queued outbound.Queue
}

const queuedHead = 8

func newWindow(limit int, out *outbound.Buffer) window {
	return window{max: limit, queued: out.NewQueue()}
}

// take gives the next free identifier; none is free when the window is full or
// others wait already.
func (w *window) take() (uint16, bool) {
	if w.queued.Size() > 0 {
		return 0, false
	}
	return w.free()
}

func (w *window) free() (uint16, bool) {
	if w.full() || len(w.inUse) >= 65535 {
		return 0, false
	}
	for {
		w.next++
		if w.next == 0 {
			continue
		}
		if _, used := w.inUse[w.next]; !used {
			w.use(w.next)
			return w.next, true
		}
	}
}

func (w *window) use(id uint16) {
	if w.inUse == nil {
		w.inUse = make(map[uint16]struct{})
	}
	w.inUse[id] = struct{}{}
	w.peak = max(w.peak, len(w.inUse))
}

// full reports whether the client allows no more.
func (w *window) full() bool { return len(w.inUse)-w.held >= w.max }

// low reports whether there is room enough again to fill it.
func (w *window) low() bool { return len(w.inUse)-w.held <= w.max*3/4 }

// hold keeps the identifier of a message that is to be sent again.
func (w *window) hold(id uint16) {
	w.use(id)
	w.held++
}

// queue keeps a packet, head and payload, whose identifier belongs at idAt.
func (w *window) queue(head, payload []byte, idAt int) {
	var b [queuedHead]byte
	binary.BigEndian.PutUint32(b[:], uint32(len(head)+len(payload)))
	binary.BigEndian.PutUint32(b[4:], uint32(idAt))
	w.queued.Write(b[:])
	w.queued.Write(head)
	w.queued.Write(payload)
}

// release frees an identifier. Unknown ones are ignored.
func (w *window) release(id uint16) {
	delete(w.inUse, id)
	if len(w.inUse) == 0 && w.peak > 64 {
		w.inUse, w.peak = nil, 0 // maps never shrink
	}
}

// ready moves the next waiting packet to the end of out, which is locked, with
// its identifier. It reports false when none waits or may go.
func (w *window) ready(out *outbound.Buffer) bool {
	if w.queued.Size() == 0 {
		return false
	}
	id, ok := w.free()
	if !ok {
		return false
	}
	var b [queuedHead]byte
	w.queued.Read(b[:])
	size, idAt := int(binary.BigEndian.Uint32(b[:])), int(binary.BigEndian.Uint32(b[4:]))
	out.AsideLocked(-queuedHead - size)
	out.MoveLocked(&w.queued, idAt)
	w.queued.Read(b[:2]) // the place of the identifier
	out.WriteLocked(binary.BigEndian.AppendUint16(b[:0], id))
	out.MoveLocked(&w.queued, size-idAt-2)
	return true
}
