package wire

// LeafHandler is told what the peer of a leaf link sends.
type LeafHandler interface {
	ConnHandler
	// LeafSub gets queue nil and weight 1 for plain interest.
	LeafSub(subject, queue []byte, weight int) error
	LeafUnsub(subject, queue []byte) error
	// LeafMsg gets LMSG and HMSG, with the chosen groups in m.Queues. The reply
	// may hide a shown subject: see SplitShown.
	LeafMsg(m *Msg) error
}

// MaxWeight bounds the weight of a queue group.
const MaxWeight = 999_999_999

// subjectMargin is what stands beside a subject on the control line of a client:
// a verb, a reply subject, a queue group, sizes.
const subjectMargin = 256

// MaxSubject is how long a subject may be when it did not come by a control
// line, which bounds it: then whoever it is sent on to can send it too. 0 is no
// bound.
func MaxSubject(maxControlLine int) int {
	if maxControlLine <= 0 {
		return 0
	}
	return max(maxControlLine-subjectMargin, maxControlLine/2)
}

// LinkLine is how long a control line may be between servers, for the
// configured length of one of a client.
func LinkLine(maxControlLine int) int { return linkLine * maxControlLine }

// linkLine is how much longer control lines may be between servers.
const linkLine = 16

// LeafParser parses what leaf links send, in both directions. It takes the
// verbs that servers send and none of the aliases of older ones.
type LeafParser struct {
	framer
	handler LeafHandler
	msg     Msg
	tokens  [][]byte
}

// NewLeafParser makes a parser that calls h.
func NewLeafParser(h LeafHandler, l Limits) *LeafParser {
	p := &LeafParser{framer: framer{h: h}, handler: h, tokens: make([][]byte, 8)}
	p.SetLimits(l)
	return p
}

// SetLimits is that of ClientParser.
func (p *LeafParser) SetLimits(l Limits) {
	l.MaxControlLine = LinkLine(l.MaxControlLine)
	p.limits = l
}

// Parse is that of ClientParser.
func (p *LeafParser) Parse(buf []byte) error { return p.feed(p, buf) }

func (p *LeafParser) parse(buf []byte) (int, error) {
	switch buf[0] {
	case 'L', 'l':
		if len(buf) < 3 {
			if hasVerb(buf, "LS") || hasVerb(buf, "LM") {
				return 0, nil
			}
			return 0, ErrUnknownOp
		}
		switch buf[2] {
		case '+':
			return p.leafSub(buf)
		case '-':
			return p.leafUnsub(buf)
		}
		return p.message(buf, "LMSG", 1)
	case 'H', 'h':
		return p.message(buf, "HMSG", 2)
	}
	return p.common(buf)
}

func (p *LeafParser) leafSub(buf []byte) (int, error) {
	args, n, err := p.line(buf, "LS+", true)
	if n == 0 {
		return 0, err
	}
	var t [3][]byte
	switch split(args, t[:]) {
	case 1:
		return n, p.handler.LeafSub(t[0], nil, 1)
	case 3:
		return n, p.handler.LeafSub(t[0], t[1], parseWeight(t[2]))
	}
	return 0, ErrArgs
}

func (p *LeafParser) leafUnsub(buf []byte) (int, error) {
	args, n, err := p.line(buf, "LS-", true)
	if n == 0 {
		return 0, err
	}
	var t [2][]byte
	switch split(args, t[:]) {
	case 1:
		return n, p.handler.LeafUnsub(t[0], nil)
	case 2:
		return n, p.handler.LeafUnsub(t[0], t[1])
	}
	// Anything else names no interest there is, and is ignored as such.
	return n, nil
}

// message parses LMSG and HMSG, which differ in the number of sizes at the end.
func (p *LeafParser) message(buf []byte, upper string, sizes int) (int, error) {
	args, n, err := p.line(buf, upper, true)
	if n == 0 {
		return 0, err
	}
	t := p.split(args)
	if len(t) < 1+sizes {
		return 0, ErrArgs
	}
	last := len(t) - sizes
	reply, queues, err := recipients(t[1:last])
	if err != nil {
		return 0, err
	}
	header, size := 0, 0
	if sizes == 2 {
		header, size, err = p.sizes(t[last], t[last+1])
	} else {
		size, err = p.size(t[last])
	}
	if err != nil {
		return 0, err
	}
	data, total, err := p.payload(buf, n, size)
	if total == 0 {
		return 0, err
	}
	p.msg = Msg{Subject: t[0], Reply: reply, Queues: queues}
	p.msg.Header, p.msg.Body = cutHeader(data, header)
	return total, p.handler.LeafMsg(&p.msg)
}

// recipients reads what stands between subject and sizes: nothing, a reply,
// "+ reply queue...", or "| queue...". A single argument is always a reply,
// even "|".
func recipients(t [][]byte) (reply []byte, queues [][]byte, err error) {
	switch {
	case len(t) == 0:
		return nil, nil, nil
	case len(t) == 1:
		return t[0], nil, nil
	case string(t[0]) == "|":
		return nil, t[1:], nil
	case string(t[0]) == "+":
		return t[1], t[2:], nil
	}
	return nil, nil, ErrArgs
}

// keepTokens is how many token slices an idle link keeps.
const keepTokens = 256

// split cuts args into any number of tokens; the slice is reused. It grows
// with the control line, which is bounded.
func (p *LeafParser) split(args []byte) [][]byte {
	for {
		n := split(args, p.tokens)
		if n <= len(p.tokens) {
			t := p.tokens[:n]
			if len(p.tokens) > keepTokens {
				p.tokens = make([][]byte, keepTokens)
			}
			return t
		}
		p.tokens = make([][]byte, 2*len(p.tokens))
	}
}

// parseWeight reads the weight of a queue group. A bad one counts as 1.
func parseWeight(text []byte) int {
	for len(text) > 1 && text[0] == '0' {
		text = text[1:]
	}
	if n := parseSize(text); n > 0 {
		return n
	}
	if len(text) <= maxDigits {
		return 1
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 1
		}
	}
	return MaxWeight
}
