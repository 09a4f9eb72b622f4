package wire

import (
	"errors"
	"fmt"
	"strings"
)

// recorder writes down each call as one line of text. It copies nothing late:
// a slice that the parser changes before the call returns would show.
type recorder struct {
	calls []string
	// fail is returned by the call with that number, counted from 1.
	fail    int
	failure error
	before  func(call string)
}

var errHandler = errors.New("the handler says no")

func (r *recorder) add(format string, args ...any) error {
	call := fmt.Sprintf(format, args...)
	if r.before != nil {
		r.before(call)
	}
	r.calls = append(r.calls, call)
	if len(r.calls) == r.fail {
		return r.failure
	}
	return nil
}

func (r *recorder) text() string { return strings.Join(r.calls, "; ") }

func (r *recorder) Connect(args []byte) error { return r.add("connect %s", args) }
func (r *recorder) Info(args []byte) error    { return r.add("info %s", args) }
func (r *recorder) Ping() error               { return r.add("ping") }
func (r *recorder) Pong() error               { return r.add("pong") }
func (r *recorder) OK() error                 { return r.add("ok") }
func (r *recorder) Err(text []byte) error     { return r.add("err %s", text) }

func (r *recorder) Pub(m *Msg) error     { return r.add("pub %s", describeMsg(m)) }
func (r *recorder) LeafMsg(m *Msg) error { return r.add("msg %s", describeMsg(m)) }

func (r *recorder) Sub(subject, queue, sid []byte) error {
	return r.add("sub %s queue=%s sid=%s", subject, optional(queue), sid)
}

func (r *recorder) Unsub(sid []byte, max int) error { return r.add("unsub %s %d", sid, max) }

func (r *recorder) LeafSub(subject, queue []byte, weight int) error {
	return r.add("sub %s queue=%s weight=%d", subject, optional(queue), weight)
}

func (r *recorder) LeafUnsub(subject, queue []byte) error {
	return r.add("unsub %s queue=%s", subject, optional(queue))
}

// describeMsg also spoils what the parser must set anew for the next message.
func describeMsg(m *Msg) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", m.Subject)
	if m.Shown != nil {
		fmt.Fprintf(&b, " shown=%s", m.Shown)
	}
	if m.Reply != nil {
		fmt.Fprintf(&b, " reply=%s", m.Reply)
	}
	if m.Header != nil {
		fmt.Fprintf(&b, " header=%q", m.Header)
	}
	fmt.Fprintf(&b, " body=%q", m.Body)
	if m.Queues != nil {
		fmt.Fprintf(&b, " queues=%s", m.Queues)
	}
	if m.Receipt != nil {
		b.WriteString(" receipt")
	}
	m.Shown, m.Reply, m.Header, m.Queues, m.Receipt = []byte("old"), []byte("old"), []byte("old"), [][]byte{[]byte("old")}, nopReceipt{}
	return b.String()
}

type nopReceipt struct{}

func (nopReceipt) Expect()                            {}
func (nopReceipt) Stored(string, uint64, bool, error) {}

func optional(b []byte) string {
	if b == nil {
		return "none"
	}
	return string(b)
}

// describeError tells an *Error by text and reason.
func describeError(err error) string {
	if e := (*Error)(nil); errors.As(err, &e) {
		return fmt.Sprintf("%q, %s", e.Text, e.Reason)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// The outcomes that the tables name.
const (
	unknownOp   = `"Unknown Protocol Operation", Protocol Violation`
	violation   = `"", Protocol Violation`
	controlLine = `"maximum control line exceeded", Maximum Control Line Exceeded`
	payload     = `"Maximum Payload Violation", Maximum Message Payload Exceeded`
	peerError   = `"", Parse Error`
)

type parseFunc func(h *recorder) func(buf []byte) error

func clientParse(l Limits) parseFunc {
	return func(h *recorder) func([]byte) error { return NewClientParser(h, l).Parse }
}

func leafParse(l Limits) parseFunc {
	return func(h *recorder) func([]byte) error { return NewLeafParser(h, l).Parse }
}

// feed parses the pieces, each in a buffer of its own that is spoiled
// afterwards: what the parser keeps it must have copied.
func feed(parse parseFunc, pieces ...string) (calls, err string) {
	h := new(recorder)
	p := parse(h)
	for _, piece := range pieces {
		buf := []byte(piece)
		e := p(buf)
		for i := range buf {
			buf[i] = '#'
		}
		if e != nil {
			return h.text(), describeError(e)
		}
	}
	return h.text(), ""
}

func bytewise(s string) []string {
	pieces := make([]string, len(s))
	for i := range pieces {
		pieces[i] = s[i : i+1]
	}
	return pieces
}
