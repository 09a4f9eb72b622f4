package leaf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

// handshakeLine bounds one line before a link is set up. An INFO with long
// permission lists is the longest.
const handshakeLine = 256 << 10

// talk reads and writes single lines before the link's goroutines take over.
type talk struct {
	conn  net.Conn
	heard *heard
	in    *bufio.Reader
	out   func(line []byte) error // plain, or compressed once negotiated
}

// heard notes when the last bytes came, whole lines and blocks or not: on a
// slow network a compressed block can take longer than a link may be silent.
type heard struct {
	in io.Reader
	at atomic.Int64 // core.Ticks

	// Owned by the reader goroutine.
	next  byte // was read already, if has is set
	has   bool
	since time.Time       // when the first bytes of what is not whole yet came
	slow  func(time.Time) // told when bytes come of something that takes long, nil for nobody
}

// slowMessage is from when on a message counts as one that takes long.
const slowMessage = time.Second

func (h *heard) Read(p []byte) (n int, err error) {
	if h.has {
		n, h.has = 1, false
		p[0] = h.next
	} else {
		n, err = h.in.Read(p)
	}
	if n == 0 {
		return n, err
	}
	now := time.Now()
	h.at.Store(core.Ticks(now))
	switch {
	case h.slow == nil:
	case h.since.IsZero():
		h.since = now
	case now.Sub(h.since) >= slowMessage:
		h.slow(now)
	}
	return n, err
}

// first gives back a byte that was read already.
func (h *heard) first(b byte) { h.next, h.has = b, true }

// parsed says how far the bytes got: whether the last ones are the beginning
// of something, and whether something before them was whole.
func (h *heard) parsed(partial, progress bool) {
	switch {
	case !partial:
		h.since = time.Time{}
	case progress:
		h.since = time.Now()
	}
}

func newTalk(c net.Conn) *talk {
	h := &heard{in: c}
	t := &talk{conn: c, heard: h, in: bufio.NewReaderSize(h, 4096)}
	t.out = func(line []byte) error {
		_, err := c.Write(line)
		return err
	}
	return t
}

// compress switches both directions to S2. What the peer sent behind its last
// plain line is compressed already.
func (t *talk) compress(level string) {
	comp := newCompressor(t.conn, level)
	t.out = func(line []byte) error { return comp.write(line) }
	t.in = bufio.NewReaderSize(decompress(t.in), 4096)
}

// line reads one line and splits off the verb. Both are fresh copies.
func (t *talk) line() (verb string, args []byte, err error) {
	var all []byte
	for {
		part, err := t.in.ReadSlice('\n')
		all = append(all, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", nil, err
		}
		if len(all) > handshakeLine {
			return "", nil, wire.ErrControlLine
		}
	}
	all = bytes.TrimRight(all, "\r\n")
	end := bytes.IndexAny(all, " \t{'")
	if end < 0 {
		end = len(all)
	}
	return string(bytes.ToUpper(all[:end])), bytes.TrimSpace(all[end:]), nil
}

// expectInfo reads lines until an INFO that wanted says yes to. Pings are
// answered.
func (t *talk) expectInfo(wanted func(*info) bool) (*info, error) {
	for {
		verb, args, err := t.line()
		if err != nil {
			return nil, err
		}
		switch verb {
		case "INFO":
			i, err := parseInfo(args)
			if err != nil {
				return nil, err
			}
			if wanted(i) {
				return i, nil
			}
		case "PING":
			if err := t.out([]byte("PONG\r\n")); err != nil {
				return nil, err
			}
		case "PONG", "+OK":
		case "-ERR":
			return nil, &peerError{text: string(bytes.Trim(args, "'"))}
		default:
			return nil, fmt.Errorf("the peer sent %q where INFO was expected: %w", verb, errWrongPort)
		}
	}
}

// refuse tells the peer why and closes.
func (t *talk) refuse(text string) {
	_ = t.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	_ = t.out(wire.AppendErr(nil, text))
	// Let the text arrive: unread bytes of the peer would turn the close into
	// a reset that overtakes it.
	if half, ok := transport.Socket(t.conn).(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_ = t.conn.SetReadDeadline(time.Now().Add(closeTimeout))
		_, _ = io.Copy(io.Discard, t.conn)
	}
	_ = t.conn.Close()
}

// peerError is an -ERR received during the handshake.
type peerError struct{ text string }

func (e *peerError) Error() string { return "the peer says: " + e.text }
