package leaf

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

// bounds are what the peer of a link takes. A link that sent more would be cut,
// come back and be cut again by the same message, for ever: so what is too long
// is not sent, and whoever sends it is told.
type bounds struct {
	payload int // header and body of a message; 0 is unknown
	line    int // a control line
}

const (
	// usualLine is what nats-server takes of other servers since 2.12 when
	// nothing is configured.
	usualLine = 64 << 10
	// lineRest is the verb, the sizes and the blanks of a line.
	lineRest = 32
)

// extra is what frond tells other fronds in INFO and CONNECT, beside what
// nats-server knows. That one ignores it.
type extra struct {
	Store      string `json:"store,omitempty"`
	MaxPayload int    `json:"max_payload,omitempty"`
	MaxLine    int    `json:"max_line,omitempty"`
}

// maxFromLink is how long a message of another server may be: what clients may
// publish, and the headers that servers add, which name subjects.
func maxFromLink(o *config.Options) int { return o.MaxPayload + 2*o.MaxControlLine }

func (m *Module) extra() *extra {
	o := m.services.Options()
	return &extra{Store: m.services.StoreID(), MaxPayload: maxFromLink(o), MaxLine: wire.LinkLine(o.MaxControlLine)}
}

// boundsOf makes them of what the peer told: payload is that of its INFO.
func (m *Module) boundsOf(peer string, x *extra, payload int) bounds {
	b := bounds{payload, usualLine}
	if x != nil {
		b = bounds{x.MaxPayload, x.MaxLine}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, ok := m.mu.learned[peer]; ok {
		b.payload, b.line = lower(b.payload, l.payload), lower(b.line, l.line)
	}
	return b
}

// lower is the lower of two bounds; 0 is none.
func lower(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// stops says why a message can not be sent, or nothing.
func (b *bounds) stops(m *wire.Msg) string {
	if size := len(m.Header) + len(m.Body); b.payload > 0 && size > b.payload {
		return fmt.Sprintf("its %d bytes are more than the %d that the other side takes", size, b.payload)
	}
	if n := lineLength(m); b.line > 0 && n > b.line {
		return fmt.Sprintf("its subjects need a line of %d bytes, the other side takes %d", n, b.line)
	}
	return ""
}

func lineLength(m *wire.Msg) int {
	n := len(m.Subject) + len(m.Reply) + len(m.Shown) + lineRest
	for _, q := range m.Queues {
		n += len(q) + 1
	}
	return n
}

// sizes are the longest that a link has sent. A peer that cuts the link because
// of one does not tell its bound: this one is above it.
type sizes struct{ payload, line atomic.Int64 }

func (s *sizes) note(m *wire.Msg) {
	if n := int64(len(m.Header) + len(m.Body)); n > s.payload.Load() {
		s.payload.Store(n)
	}
	if n := int64(lineLength(m)); n > s.line.Load() {
		s.line.Store(n)
	}
}

// learnBound takes the last words of a peer that cuts the link because of what
// it was sent, so that the next link does not send it again.
func (l *link) learnBound(text string) {
	var b bounds
	switch text = strings.ToLower(text); {
	case strings.Contains(text, "maximum payload"):
		b.payload = max(int(l.longest.payload.Load())-1, 1)
	case strings.Contains(text, "maximum control line"):
		b.line = max(int(l.longest.line.Load())-1, 1)
	default:
		return
	}
	l.m.mu.Lock()
	old, known := l.m.mu.learned[l.peer.name]
	b.payload, b.line = lower(b.payload, old.payload), lower(b.line, old.line)
	if known || len(l.m.mu.learned) < maxLearned {
		l.m.mu.learned[l.peer.name] = b
	}
	l.m.mu.Unlock()
	l.log.Warn("The other side of the link takes no messages of that length; they are not sent to it any more",
		"max_payload", b.payload, "max_line", b.line)
}

// maxLearned is of how many peers that is kept.
const maxLearned = 10_000

// unfit books a message that can not be sent. The log is told of the first and
// then each time there are twice as many.
func (l *link) unfit(m *wire.Msg, why string) {
	m.Unfit = why
	if n := l.unfits.Add(1); n&(n-1) == 0 {
		l.log.Error("Message can not cross the leafnode connection and is not sent",
			"subject", core.Cut(m.VisibleSubject()), "err", why, "so_far", n)
	}
}
