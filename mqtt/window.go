package mqtt

import (
	"encoding/binary"

	"github.com/frondmq/frond/core/outbound"
)

// What an identifier waits for.
const (
	untilPuback byte = 1 + iota
	untilPubrec
	untilPubcomp
	untilPubcompAgain // of a message that was taken on another connection
)

// window are the packet identifiers of QoS 1 and 2 messages that a client has not
// acknowledged, bounded by its Receive Maximum, and the messages that wait for
// a free one. It is guarded by the lock of the connection's outbound.
type window struct {
	max   int
	inUse map[uint16]byte // what they wait for
	next  uint16
	peak  int // size of inUse since it was made
	held  int // of inUse: of messages that are to be sent again, and were not yet

	// queued are the packets that wait. In front of each stand its size and
	// where its identifier is to be put, four bytes each, the second with forQoS2.
	queued outbound.Queue
}

const (
	queuedHead = 8
	forQoS2    = 1 << 31
)

func newWindow(limit int, out *outbound.Buffer) window {
	return window{max: limit, queued: out.NewQueue()}
}

// take gives the next free identifier; none is free when the window is full or
// others wait already.
func (w *window) take(qos byte) (uint16, bool) {
	if !w.takes() {
		return 0, false
	}
	return w.free(qos)
}

// takes reports whether take would.
func (w *window) takes() bool { return w.queued.Size() == 0 && !w.exhausted() }

// exhausted reports whether no identifier is free.
func (w *window) exhausted() bool { return w.full() || len(w.inUse) >= 65535 }

func (w *window) free(qos byte) (uint16, bool) {
	if w.exhausted() {
		return 0, false
	}
	for {
		w.next++
		if w.next == 0 {
			continue
		}
		if _, used := w.inUse[w.next]; !used {
			w.use(w.next, sentAs(qos))
			return w.next, true
		}
	}
}

// sentAs is what a message waits for that has been sent.
func sentAs(qos byte) byte {
	if qos == 2 {
		return untilPubrec
	}
	return untilPuback
}

func (w *window) use(id uint16, until byte) {
	if w.inUse == nil {
		w.inUse = make(map[uint16]byte)
	}
	w.inUse[id] = until
	w.peak = max(w.peak, len(w.inUse))
}

// full reports whether the client allows no more.
func (w *window) full() bool { return len(w.inUse)-w.held >= w.max }

// low reports whether there is room enough again to fill it.
func (w *window) low() bool { return len(w.inUse)-w.held <= w.max*3/4 }

// hold keeps the identifier of a message that is to be sent again, or released again.
func (w *window) hold(id uint16, until byte) {
	w.use(id, until)
	w.held++
}

// queue keeps a packet, head and payload, whose identifier belongs at idAt.
func (w *window) queue(qos byte, head, payload []byte, idAt int) {
	at := uint32(idAt)
	if qos == 2 {
		at |= forQoS2
	}
	var b [queuedHead]byte
	binary.BigEndian.PutUint32(b[:], uint32(len(head)+len(payload)))
	binary.BigEndian.PutUint32(b[4:], at)
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
	if w.exhausted() {
		return false
	}
	var b [queuedHead]byte
	w.queued.Read(b[:])
	at, qos := binary.BigEndian.Uint32(b[4:]), byte(1)
	if at&forQoS2 != 0 {
		qos = 2
	}
	size, idAt := int(binary.BigEndian.Uint32(b[:])), int(at&^forQoS2)
	id, _ := w.free(qos)
	out.AsideLocked(-queuedHead - size)
	out.MoveLocked(&w.queued, idAt)
	w.queued.Read(b[:2]) // the place of the identifier
	out.WriteLocked(binary.BigEndian.AppendUint16(b[:0], id))
	out.MoveLocked(&w.queued, size-idAt-2)
	return true
}
