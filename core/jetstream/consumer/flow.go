package consumer

// The window of unanswered bytes, in the manner that clients are tuned to.
const (
	maxWindow   = 32 << 20
	startWindow = maxWindow / 16
)

// flow is the flow control of a push consumer (ADR-15): at most a window of
// bytes goes out unanswered, and each answer doubles the window.
type flow struct {
	window  int
	unacked int // bytes sent and not answered for
	asked   int // bytes that the outstanding request answers for
	id      []byte
	open    bool // a request is outstanding; id is its subject
}

func (f *flow) reset() {
	*f = flow{window: startWindow, id: f.id[:0]}
}

func (f *flow) stalled() bool { return f.unacked > f.window }

func (f *flow) wantsRequest() bool { return !f.open && f.unacked > f.window/2 }

// answered reports whether subject answers the outstanding request.
func (f *flow) answered(subject []byte) bool {
	if !f.open || string(subject) != string(f.id) {
		return false
	}
	f.open = false
	f.unacked = max(f.unacked-f.asked, 0)
	f.asked = 0
	f.window = min(f.window*2, maxWindow)
	return true
}

const idLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func appendRandom(dst []byte, n int, rnd func(n int) int) []byte {
	for range n {
		dst = append(dst, idLetters[rnd(len(idLetters))])
	}
	return dst
}

// askFlow sends a flow control request.
func (m *Machine) askFlow(fx *Effects) {
	f := &m.flow
	f.open = true
	f.asked = f.unacked
	f.id = append(append(f.id[:0], m.flowPrefix...), "...."...)
	f.id = appendRandom(f.id[:len(m.flowPrefix)], 4, m.rnd)
	st := fx.status(m.deliverTo, func(dst []byte) []byte {
		return append(appendHeaderLine(dst, "100 FlowControl Request"), crlf...)
	})
	st.Reply = fx.keep(f.id)
}

// FlowReply takes a client's message on a subject $JS.FC.<stream>.<consumer>.<id>.
// Only the answer to the latest request counts. header is that of the message;
// with AckFlowControl it acknowledges.
func (m *Machine) FlowReply(now int64, subject, header []byte, fx *Effects) {
	if !m.flow.answered(subject) {
		return
	}
	m.active(now)
	if m.cfg.AckPolicy != AckFlowControl {
		return
	}
	seq, ok := headerNumber(header, "Nats-Last-Stream")
	if !ok {
		return
	}
	dseq, _ := headerNumber(header, "Nats-Last-Consumer")
	m.ackUpTo(now, seq, dseq, fx)
}
