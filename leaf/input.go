package leaf

import (
	"errors"
	"os"
	"time"

	"github.com/frondmq/frond/core/transport"
)

// input is what a link reads into. A plain one has no buffer while nothing comes,
// or a small one. A compressed one can't be looked at in between: its buffer is
// small again when a few small pieces have come, such as answers to pings.
type input struct {
	link  *link
	plain bool   // not compressed: what stands behind the last line is the peer's
	buf   []byte // nil while nothing comes
	size  int    // of the next buf

	looks bool // a moment is set to look whether anything comes still
	spoke bool // something has come since
	rests bool // it does not, and no moment is set before it does
	small int  // pieces in a row that would not have filled the smallest buffer
}

// next waits for more and returns it; it is valid until the next call. Inside an
// operation the buffer is kept.
func (i *input) next(partial bool) ([]byte, error) {
	l := i.link
	for {
		if i.plain && !i.looks && !i.rests {
			i.looks = true
			if err := i.lookIn(transport.RestAfter); err != nil {
				return nil, err
			}
		}
		if i.small >= smallPieces && len(i.buf) > readBytesMin {
			i.buf, i.size = nil, readBytesMin
		}
		if i.buf == nil {
			i.buf = make([]byte, i.size)
		}
		n, err := i.read()
		if n > 0 {
			i.spoke, i.rests = true, false
			i.count(n)
		}
		if n == len(i.buf) && n < readBytesMax {
			b := i.buf
			i.buf, i.size = nil, 2*n
			return b, err
		}
		if n > 0 || !i.plain || !errors.Is(err, os.ErrDeadlineExceeded) {
			return i.buf[:n], err
		}
		if l.end.Load() != nil {
			return nil, err
		}
		i.looks = false
		if i.spoke {
			i.spoke = false
			continue
		}
		if err := i.rest(partial); err != nil {
			return nil, err
		}
	}
}

// smallPieces are as many as show that a burst is over.
const smallPieces = 3

// count notes a piece of n bytes, behind which the next buffer may be small.
func (i *input) count(n int) {
	if i.small++; n >= readBytesMin {
		i.small = 0
	}
}

// read reads past what the handshake has buffered, once that is used up.
func (i *input) read() (int, error) {
	l := i.link
	if l.in != nil && i.plain && l.in.Buffered() == 0 {
		l.in = nil
	}
	if l.in == nil {
		return l.heard.Read(i.buf)
	}
	return l.in.Read(i.buf)
}

// lookIn sets the moment to look, never by 0. The deadline of an ending link stays.
func (i *input) lookIn(d time.Duration) error {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	if err := i.link.conn.SetReadDeadline(at); err != nil {
		return err
	}
	if i.link.end.Load() != nil { // looked at after
		return os.ErrDeadlineExceeded
	}
	return nil
}

// rest waits for the end of a silence without a buffer, or has it waited for.
func (i *input) rest(partial bool) error {
	if err := i.lookIn(0); err != nil {
		return err
	}
	if partial {
		i.rests = true
		return nil
	}
	i.buf, i.size = nil, readBytesMin
	i.link.m.services.Connections().Rested()
	b, ok, err := transport.FirstByte(i.link.conn)
	if ok && err == nil {
		i.link.heard.first(b)
	}
	i.rests = !ok // there is no other way to wait
	return err
}
