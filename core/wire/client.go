package wire

// ClientHandler is told what a client sends.
type ClientHandler interface {
	ConnHandler
	// Pub gets PUB and HPUB. m and all its slices are valid until it returns.
	Pub(m *Msg) error
	// Sub gets queue nil for a plain subscription.
	Sub(subject, queue, sid []byte) error
	// Unsub gets max 0 to end the subscription at once.
	Unsub(sid []byte, max int) error
}

// ClientParser parses what clients send.
type ClientParser struct {
	framer
	handler ClientHandler
	msg     Msg
}

// NewClientParser makes a parser that calls h.
func NewClientParser(h ClientHandler, l Limits) *ClientParser {
	return &ClientParser{framer: framer{h: h, limits: l}, handler: h}
}

// SetLimits changes the limits for operations that have not begun yet. It may
// be called by the handler.
func (p *ClientParser) SetLimits(l Limits) { p.limits = l }

// Parse consumes all of buf and calls the handler for each operation that is
// complete. buf may be reused when it returns. After an error, from the
// handler or an *Error of its own, the parser is dead and returns it again.
func (p *ClientParser) Parse(buf []byte) error { return p.feed(p, buf) }

func (p *ClientParser) parse(buf []byte) (int, error) {
	switch buf[0] {
	case 'P', 'p':
		if len(buf) == 1 {
			return 0, nil
		}
		if buf[1]|0x20 == 'u' {
			return p.pub(buf)
		}
	case 'H', 'h':
		return p.hpub(buf)
	case 'S', 's':
		return p.sub(buf)
	case 'U', 'u':
		return p.unsub(buf)
	case '-':
		n, err := p.common(buf)
		if n > 0 && err == nil {
			err = ErrPeerError
		}
		return n, err
	}
	return p.common(buf)
}

func (p *ClientParser) pub(buf []byte) (int, error) {
	args, n, err := p.line(buf, "PUB", true)
	if n == 0 {
		return 0, err
	}
	var t [3][]byte
	k := split(args, t[:])
	if k != 2 && k != 3 {
		return 0, ErrArgs
	}
	size, err := p.size(t[k-1])
	if err != nil {
		return 0, err
	}
	data, total, err := p.payload(buf, n, size)
	if total == 0 {
		return 0, err
	}
	// All fields, since the handler may have set some in the message before.
	p.msg = Msg{Subject: t[0], Body: data}
	if k == 3 {
		p.msg.Reply = t[1]
	}
	return total, p.handler.Pub(&p.msg)
}

func (p *ClientParser) hpub(buf []byte) (int, error) {
	args, n, err := p.line(buf, "HPUB", true)
	if n == 0 {
		return 0, err
	}
	if p.limits.NoHeaders {
		return 0, ErrHeaders
	}
	var t [4][]byte
	k := split(args, t[:])
	if k != 3 && k != 4 {
		return 0, ErrArgs
	}
	header, size, err := p.sizes(t[k-2], t[k-1])
	if err != nil {
		return 0, err
	}
	data, total, err := p.payload(buf, n, size)
	if total == 0 {
		return 0, err
	}
	p.msg = Msg{Subject: t[0]}
	p.msg.Header, p.msg.Body = cutHeader(data, header)
	if k == 4 {
		p.msg.Reply = t[1]
	}
	return total, p.handler.Pub(&p.msg)
}

func (p *ClientParser) sub(buf []byte) (int, error) {
	args, n, err := p.line(buf, "SUB", true)
	if n == 0 {
		return 0, err
	}
	var t [3][]byte
	switch split(args, t[:]) {
	case 2:
		return n, p.handler.Sub(t[0], nil, t[1])
	case 3:
		return n, p.handler.Sub(t[0], t[1], t[2])
	}
	return 0, ErrArgs
}

func (p *ClientParser) unsub(buf []byte) (int, error) {
	args, n, err := p.line(buf, "UNSUB", true)
	if n == 0 {
		return 0, err
	}
	var t [2][]byte
	switch split(args, t[:]) {
	case 1:
		return n, p.handler.Unsub(t[0], 0)
	case 2:
		// What is not a number ends the subscription at once, like 0.
		return n, p.handler.Unsub(t[0], max(0, parseSize(t[1])))
	}
	return 0, ErrArgs
}

// cutHeader takes data apart; a header of no length is none.
func cutHeader(data []byte, n int) (header, body []byte) {
	if n > 0 {
		header = data[:n:n]
	}
	return header, data[n:]
}
