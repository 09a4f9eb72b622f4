package mqtt

import (
	"net"
	"sync"
	"time"
)

// outbound is what waits to be written to one client, in order.
type outbound struct {
	conn     net.Conn
	limit    int
	deadline time.Duration // of one write

	mu struct {
		sync.Mutex
		buf    []byte
		closed bool
	}
	wake chan struct{} // holds one
}

func newOutbound(c net.Conn, limit int, deadline time.Duration) *outbound {
	return &outbound{conn: c, limit: limit, deadline: deadline, wake: make(chan struct{}, 1)}
}

// begin locks the buffer for one more packet. ok is false, and nothing locked,
// when the connection has ended or too much is waiting already. The caller
// appends to buf and gives it to commit. (No closure: this is the hot path.)
func (o *outbound) begin() (buf []byte, ok bool) {
	o.mu.Lock()
	if o.mu.closed || len(o.mu.buf) > o.limit {
		o.mu.Unlock()
		return nil, false
	}
	return o.mu.buf, true
}

// commit takes the buffer back.
func (o *outbound) commit(buf []byte) {
	o.mu.buf = buf
	o.mu.Unlock()
}

// add appends one packet and wakes the writer.
func (o *outbound) add(packet []byte) {
	if buf, ok := o.begin(); ok {
		o.commit(append(buf, packet...))
		o.flush()
	}
}

// full reports whether add refused because too much is waiting.
func (o *outbound) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.mu.closed && len(o.mu.buf) > o.limit
}

// last appends a final packet and lets nothing follow it.
func (o *outbound) last(packet []byte) {
	o.mu.Lock()
	if !o.mu.closed {
		o.mu.buf = append(o.mu.buf, packet...)
		o.mu.closed = true
	}
	o.mu.Unlock()
	o.flush()
}

// flush wakes the writer.
func (o *outbound) flush() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbound) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.mu.buf)
}

// write is the writer goroutine. It ends after the last packet, or with an
// error of the connection.
func (o *outbound) write() error {
	var spare []byte
	for {
		o.mu.Lock()
		batch, closed := o.mu.buf, o.mu.closed
		o.mu.buf = spare[:0]
		o.mu.Unlock()
		if len(batch) == 0 {
			if closed {
				return nil
			}
			spare = batch
			<-o.wake
			continue
		}
		if err := o.conn.SetWriteDeadline(time.Now().Add(o.deadline)); err != nil {
			return err
		}
		if _, err := o.conn.Write(batch); err != nil {
			o.last(nil)
			return err
		}
		if spare = batch; cap(spare) > keepBytes {
			spare = nil
		}
	}
}
