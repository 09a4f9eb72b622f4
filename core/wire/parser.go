package wire

import (
	"bytes"
	"io"
	"slices"
)

// Limits are the bounds of one connection; zero or negative means none.
type Limits struct {
	// MaxControlLine bounds the bytes behind the verb and its blanks, without
	// the line end. Leaf links get 16 times as much.
	MaxControlLine int
	// MaxPayload bounds header and body together.
	MaxPayload int
	// NoHeaders refuses HPUB: the client did not announce headers.
	NoHeaders bool
	// Buffers are shared with other connections; nil for none.
	Buffers *Buffers
	// Held is told what an operation takes that has come in part; nil for nobody.
	Held Holder
}

// Holder counts the memory of an operation that is collected over several reads.
type Holder interface {
	// Hold is told the bytes of memory that hold it, when more of it has come and
	// they are not few; 0 when it is whole.
	Hold(n int)
}

// ConnHandler is told what both dialects have in common. Slices are borrowed:
// they are valid until the call returns. An error ends parsing and is returned
// by Parse as it is.
type ConnHandler interface {
	Connect(args []byte) error
	Info(args []byte) error
	Ping() error
	Pong() error
	OK() error
	// Err gets the text without the quotes around it.
	Err(text []byte) error
}

// dialect is one set of verbs. parse looks at the operation at the beginning
// of buf and returns how many bytes it took, having called the handler. If the
// operation is not complete it returns 0 and says in framer.need how long it
// will be, or leaves that 0 while the control line is not complete. Bytes that
// can never become an operation are an error at once.
type dialect interface {
	parse(buf []byte) (n int, err error)
}

// framer cuts buffers into operations.
//
// The naive parser walks through states byte by byte. Here an operation is
// looked at as a whole, where it lies in the read buffer. Only the one that is
// split between two buffers is collected in pending; no more than what it
// still needs is copied there. So in a stream of small messages, one in a
// read buffer is copied.
type framer struct {
	h      ConnHandler
	limits Limits

	pending []byte
	need    int  // length of the operation at hand, 0 while unknown
	skip    verb // the line of a verb without arguments is being dropped
	failed  error
}

// verb is a keyword of which the rest of the line does not matter.
type verb uint8

const (
	verbNone verb = iota
	verbPing
	verbPong
	verbOK
)

// keepPending is how much memory an idle connection may keep for collecting.
const keepPending = 16 << 10

// Partial reports whether the last Parse ended in the middle of an operation.
func (f *framer) Partial() bool { return len(f.pending) > 0 }

func (f *framer) feed(d dialect, buf []byte) error {
	if f.failed != nil {
		return f.failed
	}
	for len(buf) > 0 {
		var n int
		var err error
		switch {
		case f.skip != verbNone:
			n, err = f.skipLine(buf)
		case len(f.pending) > 0:
			n, err = f.collect(d, buf)
		default:
			f.need = 0
			if n, err = d.parse(buf); n == 0 && err == nil {
				f.grow(len(buf))
				f.pending = append(f.pending, buf...)
				n = len(buf)
			}
		}
		if err != nil {
			f.failed = err
			return err
		}
		buf = buf[n:]
	}
	if cap(f.pending) > keepPending {
		f.hold()
	}
	return nil
}

// hold tells what pending takes, and gives back what is empty.
func (f *framer) hold() {
	if len(f.pending) == 0 {
		f.limits.Buffers.put(f.pending)
		f.pending = nil
	}
	if f.limits.Held != nil {
		f.limits.Held.Hold(cap(f.pending))
	}
}

// Drop is the end: nothing is parsed any more, and what has come in part is held
// by nobody.
func (f *framer) Drop() {
	if f.failed == nil {
		f.failed = io.ErrUnexpectedEOF
	}
	f.pending = nil
	if f.limits.Held != nil {
		f.limits.Held.Hold(0)
	}
}

// collect moves as much of buf to pending as the operation there needs, and
// parses it once it is complete.
func (f *framer) collect(d dialect, buf []byte) (int, error) {
	take := len(buf)
	if f.need > 0 {
		take = min(take, f.need-len(f.pending))
		f.makeRoom(take)
	} else if lf := bytes.IndexByte(buf, '\n'); lf >= 0 {
		take = lf + 1
	}
	f.pending = append(f.pending, buf[:take]...)
	if len(f.pending) < f.need-1 {
		return take, nil // nothing can be said before the line end begins
	}
	n, err := d.parse(f.pending)
	if err != nil {
		return 0, err
	}
	if f.skip != verbNone {
		f.pending = f.pending[:0]
		return take, nil
	}
	if n > 0 {
		f.pending = f.pending[:0]
		f.need = 0
	}
	return take, nil
}

// makeRoom grows pending for n more bytes. Memory is given for what has come,
// not for what a peer says will come, so a big size alone costs nothing.
func (f *framer) makeRoom(n int) {
	want := len(f.pending) + n
	if want <= cap(f.pending) {
		return
	}
	f.grow(min(f.need, max(want, 4*len(f.pending))))
}

// grow makes pending one that has room for size bytes in all.
func (f *framer) grow(size int) {
	if size <= cap(f.pending) {
		return
	}
	if size <= keepPending {
		f.pending = slices.Grow(f.pending, size-len(f.pending))
		return
	}
	b := append(f.limits.Buffers.get(size), f.pending...)
	if cap(f.pending) > keepPending {
		f.limits.Buffers.put(f.pending)
	}
	f.pending = b
}

// skipLine drops bytes up to the line end and then tells the verb.
func (f *framer) skipLine(buf []byte) (int, error) {
	lf := bytes.IndexByte(buf, '\n')
	if lf < 0 {
		return len(buf), nil
	}
	v := f.skip
	f.skip = verbNone
	return lf + 1, f.tell(v)
}

func (f *framer) tell(v verb) error {
	switch v {
	case verbPing:
		return f.h.Ping()
	case verbPong:
		return f.h.Pong()
	default:
		return f.h.OK()
	}
}

// keyword parses a verb without arguments. Everything behind it up to the line
// end is ignored, however long it is, so it is never collected.
func (f *framer) keyword(buf []byte, upper string, v verb) (int, error) {
	if !hasVerb(buf, upper) {
		return 0, ErrUnknownOp
	}
	if len(buf) < len(upper) {
		return 0, nil
	}
	lf := bytes.IndexByte(buf, '\n')
	if lf >= 0 {
		return lf + 1, f.tell(v)
	}
	f.skip = v
	return len(buf), nil
}

// common parses the verbs that both dialects know, by their first byte.
func (f *framer) common(buf []byte) (int, error) {
	switch buf[0] {
	case 'P', 'p':
		if len(buf) > 1 && buf[1]|0x20 == 'o' {
			return f.keyword(buf, "PONG", verbPong)
		}
		return f.keyword(buf, "PING", verbPing)
	case '+':
		return f.keyword(buf, "+OK", verbOK)
	case 'C', 'c':
		args, n, err := f.line(buf, "CONNECT", false)
		if n == 0 {
			return 0, err
		}
		return n, f.h.Connect(args)
	case 'I', 'i':
		args, n, err := f.line(buf, "INFO", false)
		if n == 0 {
			return 0, err
		}
		return n, f.h.Info(args)
	case '-':
		args, n, err := f.line(buf, "-ERR", true)
		if n == 0 {
			return 0, err
		}
		return n, f.h.Err(unquote(args))
	}
	return 0, ErrUnknownOp
}

// line finds the arguments behind a verb. n is the length of the whole line,
// or 0 with an error or while it is not complete. With blank, at least one
// must follow the verb.
func (f *framer) line(buf []byte, upper string, blank bool) (args []byte, n int, err error) {
	if !hasVerb(buf, upper) {
		return nil, 0, ErrUnknownOp
	}
	i := len(upper)
	if len(buf) <= i {
		return nil, 0, nil
	}
	if blank && !isBlank(buf[i]) {
		return nil, 0, ErrUnknownOp
	}
	for i < len(buf) && isBlank(buf[i]) {
		i++
	}
	if f.limits.MaxControlLine > 0 && i-len(upper) > f.limits.MaxControlLine {
		// Blanks do not count by protocol, but they are collected too.
		return nil, 0, ErrControlLine
	}
	lf := bytes.IndexByte(buf[i:], '\n')
	if lf < 0 {
		return nil, 0, f.incomplete(buf[i:])
	}
	args = chopCR(buf[i : i+lf])
	if f.limits.MaxControlLine > 0 && len(args) > f.limits.MaxControlLine {
		return nil, 0, ErrControlLine
	}
	return args, i + lf + 1, nil
}

// incomplete bounds the arguments of a line whose end has not come. The last
// byte may be the CR of the line end.
func (f *framer) incomplete(args []byte) error {
	if f.limits.MaxControlLine > 0 && len(args) > f.limits.MaxControlLine+1 {
		return ErrControlLine
	}
	return nil
}

// payload finds size bytes and their line end behind a control line of n
// bytes. total is 0 with an error or while they are not complete.
func (f *framer) payload(buf []byte, n, size int) (data []byte, total int, err error) {
	end := n + size
	if len(buf) >= end+2 {
		if buf[end] != '\r' || buf[end+1] != '\n' {
			return nil, 0, ErrUnknownOp
		}
		return buf[n:end:end], end + 2, nil
	}
	if len(buf) == end+1 && buf[end] != '\r' {
		return nil, 0, ErrUnknownOp
	}
	f.need = end + 2
	return nil, 0, nil
}

// size checks a payload size against the limit.
func (f *framer) size(text []byte) (int, error) {
	n := parseSize(text)
	if n < 0 {
		return 0, ErrArgs
	}
	if f.limits.MaxPayload > 0 && n > f.limits.MaxPayload {
		return 0, ErrPayload
	}
	return n, nil
}

// sizes checks the header and total size of a message with headers.
func (f *framer) sizes(header, total []byte) (h, n int, err error) {
	h, n = parseSize(header), parseSize(total)
	if h < 0 || n < 0 || h > n {
		return 0, 0, ErrArgs
	}
	if f.limits.MaxPayload > 0 && n > f.limits.MaxPayload {
		return 0, 0, ErrPayload
	}
	return h, n, nil
}
