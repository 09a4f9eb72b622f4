package outbound

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/frondmq/frond/core/cond"
)

// writer is the goroutine that empties a Buffer, for as long as there is one.
type writer struct {
	b *Buffer

	// Guarded by the lock of b.
	wake   cond.Var
	rounds uint32 // writes, and pieces of large ones
	seen   uint32 // rounds at the last sweep
	stuck  int    // sweeps in a row that have found the same of them under way
	tired  bool   // to end if there is nothing to do

	// Owned by the goroutine.
	urgent     []byte
	batch      [][]byte // urgent lines, if there are any, and chunks
	writing    net.Buffers
	piece      net.Buffers // the first of writing
	deadlineAt time.Time
}

func (b *Buffer) startLocked() {
	w := &writer{b: b, wake: cond.New(&b.mu.Mutex, 1)}
	b.mu.writer = w
	b.kind.Pool.add(w)
	go w.run()
}

// rest ends a writer that has had nothing to do since the last call.
func (w *writer) rest() {
	m := &w.b.mu
	m.Lock()
	switch {
	case m.writer != w || w.rounds != w.seen:
		w.stuck = 0
	case m.taken == 0:
		w.stuck, w.tired = 0, true
		w.wake.Signal()
	default:
		w.stuck++
	}
	w.seen = w.rounds
	m.Unlock()
}

// stuckWith is how much waits for a peer that has taken nothing for a while, 0 for
// others.
func (w *writer) stuckWith() int64 {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	if w.stuck < stuckAfter || !w.b.OpenLocked() {
		return 0
	}
	return int64(w.b.PendingLocked())
}

// run writes until there is nothing to do for a while, or an error.
func (w *writer) run() {
	b := w.b
	for w.take() {
		err := w.write()
		b.mu.Lock()
		w.releaseLocked()
		if err != nil {
			if b.mu.err == nil {
				b.mu.err = err
			}
			b.dropLocked()
		}
		b.gateLocked()
		b.mu.Unlock()
		if err != nil {
			b.owner.WriteFailed(err)
			continue // to the end
		}
		if b.line != nil {
			b.line.Wrote()
		}
	}
}

// take waits until there is something to write, and takes it. At the end it
// reports false, and nobody knows the writer any more.
func (w *writer) take() bool {
	b := w.b
	m := &b.mu
	m.Lock()
	defer m.Unlock()
	for {
		waiting := b.WaitsLocked()
		switch {
		case m.busy:
		case m.err != nil:
			b.dropLocked()
			w.endLocked()
			return false
		case waiting && (m.flush || m.ended):
			w.takeLocked()
			return true
		case m.ended, w.tired:
			w.endLocked()
			return false
		}
		if !waiting {
			m.flush = false
		}
		w.wake.Wait()
	}
}

func (w *writer) takeLocked() {
	b := w.b
	m := &b.mu
	m.busy, w.tired = true, false
	w.rounds++
	if len(m.urgent) > 0 {
		w.urgent, m.urgent = m.urgent, w.urgent[:0]
		w.batch = append(w.batch, w.urgent)
	}
	w.batch, m.taken = m.queue.take(w.batch, b.piece())
	m.flush = b.WaitsLocked()
	if b.line != nil {
		b.line.Taking(m.total - int64(m.queue.size))
	}
}

// releaseLocked ends the write of the batch.
func (w *writer) releaseLocked() {
	m := &w.b.mu
	m.busy, m.taken = false, 0
	for i, c := range w.batch {
		if i > 0 || len(w.urgent) == 0 {
			w.b.kind.Pool.put(c)
		}
		w.batch[i] = nil
	}
	w.batch, w.urgent = w.batch[:0], w.urgent[:0]
	if cap(w.batch) > keepChunks {
		w.batch, w.writing = nil, nil
	}
}

func (w *writer) endLocked() {
	b := w.b
	if !b.closing.Load() && !w.deadlineAt.IsZero() {
		// Else WriteNow would find that its time was over.
		_ = b.conn.SetWriteDeadline(time.Time{})
	}
	b.mu.writer = nil
	b.kind.Pool.remove(w)
	b.overLocked()
}

func (w *writer) write() error {
	if w.b.line != nil {
		return w.b.line.Write(w.batch)
	}
	w.writing = append(w.writing[:0], w.batch...)
	all := w.writing // writing is consumed
	defer func() {
		clear(all)
		w.writing, w.piece = all[:0], nil
	}()
	for again := false; ; again = true {
		w.extendDeadline(again)
		n, err := w.send()
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case !w.b.kind.Retry || n == 0 || w.b.closing.Load():
			return ErrSlowDeadline
		}
	}
}

// send writes what is in writing, and leaves there what was not taken. Where memory
// has a limit the sweeps see each 64 kB that are taken: who reads slowly is none who
// reads nothing (Pool.relieve).
func (w *writer) send() (n int64, err error) {
	if w.b.kind.Pool.Budget.limit.Load() <= 0 {
		return w.writing.WriteTo(w.b.conn)
	}
	for err == nil && len(w.writing) > 0 {
		var taken int64
		if first := w.writing[0]; len(first) > bigChunk {
			var k int
			k, err = w.b.conn.Write(first[:bigChunk])
			w.writing[0], taken = first[k:], int64(k)
		} else {
			k := 1
			for size := len(first); k < len(w.writing) && size+len(w.writing[k]) <= bigChunk; k++ {
				size += len(w.writing[k])
			}
			w.piece = w.writing[:k] // is consumed, in the same memory
			taken, err = w.piece.WriteTo(w.b.conn)
			w.writing = w.writing[k-len(w.piece):]
		}
		n += taken
		w.b.mu.Lock()
		w.rounds++
		w.b.mu.Unlock()
	}
	return n, err
}

// extendDeadline gives the next write its time. Setting a deadline is not free,
// so it is set a quarter later than needed and used for the writes meanwhile.
func (w *writer) extendDeadline(again bool) {
	b := w.b
	if d := b.kind.Deadline; d > 0 && !b.closing.Load() {
		now := time.Now()
		if again || w.deadlineAt.Sub(now) < d {
			w.deadlineAt = now.Add(d + d/4)
			_ = b.conn.SetWriteDeadline(w.deadlineAt)
		}
	}
	if by, ok := b.Closing(); ok { // looked at after, so that End's short limit wins
		_ = b.conn.SetWriteDeadline(by)
	}
}

// Closing is until when the last words must be out, once End has said so.
func (b *Buffer) Closing() (by time.Time, ok bool) {
	if !b.closing.Load() {
		return time.Time{}, false
	}
	return b.closeBy, true
}
