package mqtt

import "slices"

// window are the packet identifiers of QoS 1 messages that a client has not
// acknowledged, bounded by its Receive Maximum, and the messages that wait for
// a free one. It is guarded by the lock of the connection's outbound.
type window struct {
	max   int
	inUse map[uint16]struct{}
	next  uint16
	peak  int // size of inUse since it was made

	queued      []queued
	queuedBytes int
}

// queued is a message that waits for a packet identifier.
type queued struct{ topic, props, payload []byte }

func newWindow(limit int) window { return window{max: limit} }

// take gives the next free identifier; none is free when the window is full or
// others wait already.
func (w *window) take() (uint16, bool) {
	if len(w.queued) > 0 {
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

func (w *window) queue(topic, props, payload []byte) {
	q := queued{slices.Clone(topic), slices.Clone(props), slices.Clone(payload)}
	w.queued = append(w.queued, q)
	w.queuedBytes += q.size()
}

// size is what a waiting message takes, with what it costs to keep it.
func (q *queued) size() int { return 80 + len(q.topic) + len(q.props) + len(q.payload) }

// release frees an identifier. Unknown ones are ignored.
func (w *window) release(id uint16) {
	delete(w.inUse, id)
	if len(w.inUse) == 0 && w.peak > 64 {
		w.inUse, w.peak = nil, 0 // maps never shrink
	}
}

// ready gives the next waiting message with its identifier.
func (w *window) ready() (q queued, id uint16, ok bool) {
	if len(w.queued) == 0 {
		return q, 0, false
	}
	if id, ok = w.free(); !ok {
		return q, 0, false
	}
	q = w.queued[0]
	w.queued[0] = queued{}
	if w.queued = w.queued[1:]; len(w.queued) == 0 {
		w.queued = nil
	}
	w.queuedBytes -= q.size()
	return q, id, true
}
