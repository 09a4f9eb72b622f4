package websocket

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"sync"

	"github.com/klauspost/compress/flate"
)

// Messages are framed here and not by the library. It writes a compressed one as
// several frames, the last of which is empty, which some clients do not survive, and has
// each frame wait for another goroutine twice. Control frames are the library's.

// compressAbove is what is too short to be compressed.
const compressAbove = 64

// The first byte of a frame (RFC 6455, section 5.2; RFC 7692, section 6).
const (
	finalBinary = 0x80 | 0x2
	compressed  = 0x40
)

// joinUpTo is the longest message that is copied behind its header.
const joinUpTo = 4 << 10

// syncMarker ends what a compressor has flushed. It is not sent (RFC 7692, section
// 7.2.1).
const syncMarker = "\x00\x00\xff\xff"

// writer writes frames: messages by one goroutine, control frames by who reads.
type writer struct {
	sync.Mutex
	conn     net.Conn
	compress bool
	failed   error // nothing may follow what was written in part
	closed   bool  // a close frame was written, and nothing may follow it
	header   [10]byte
	parts    [2][]byte
	list     net.Buffers // parts, while they are written
	scratch  []byte      // what is compressed
	joined   []byte      // header and message, where two writes would be two records of TLS
}

// message writes p as one frame.
func (w *writer) message(p []byte) error {
	w.Lock()
	defer w.Unlock()
	first := byte(finalBinary)
	if w.compress && len(p) > compressAbove {
		var err error
		if p, err = w.squeezeLocked(p); err != nil {
			return err
		}
		first |= compressed
	}
	return w.frameLocked(first, p)
}

// squeezeLocked compresses p. It keeps no state from one message to the next, which
// would be a megabyte for each connection that writes.
func (w *writer) squeezeLocked(p []byte) ([]byte, error) {
	w.scratch = w.scratch[:0]
	if err := flate.StatelessDeflate(appender{&w.scratch}, p, false, nil); err != nil {
		return nil, err
	}
	n := len(w.scratch) - len(syncMarker)
	if n < 0 || string(w.scratch[n:]) != syncMarker {
		return nil, errNotFlushed
	}
	return w.scratch[:n], nil
}

var errNotFlushed = errors.New("what was compressed does not end as it should")

type appender struct{ to *[]byte }

func (a appender) Write(p []byte) (int, error) {
	*a.to = append(*a.to, p...)
	return len(p), nil
}

func (w *writer) frameLocked(first byte, p []byte) error {
	if w.failed != nil {
		return w.failed
	}
	if w.closed {
		return net.ErrClosed
	}
	h := append(w.header[:0], first)
	switch n := len(p); {
	case n < 126:
		h = append(h, byte(n))
	case n <= math.MaxUint16:
		h = binary.BigEndian.AppendUint16(append(h, 126), uint16(n))
	default:
		h = binary.BigEndian.AppendUint64(append(h, 127), uint64(n))
	}
	if _, tcp := w.conn.(*net.TCPConn); !tcp && len(p) <= joinUpTo {
		w.joined = append(append(w.joined[:0], h...), p...)
		_, w.failed = w.conn.Write(w.joined)
		return w.failed
	}
	w.parts = [2][]byte{h, p}
	w.list = w.parts[:]
	_, w.failed = w.list.WriteTo(w.conn) // one call of the system, for a socket
	w.parts[1] = nil
	return w.failed
}

// control writes what the library has framed: one frame without a mask, in one piece.
func (w *writer) control(p []byte) (int, error) {
	w.Lock()
	defer w.Unlock()
	switch {
	case w.failed != nil:
		return 0, w.failed
	case w.closed:
		return 0, net.ErrClosed
	}
	const opClose = 0x8
	w.closed = len(p) > 0 && p[0]&0xf == opClose
	n, err := w.conn.Write(p)
	w.failed = err
	return n, err
}
