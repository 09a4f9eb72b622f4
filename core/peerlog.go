package core

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/transport"
)

// Keys of what every line about a peer begins with.
const (
	peerKind   = "kind"   // client, mqtt, leafnode or http
	peerConn   = "conn"   // the connection's id
	peerRemote = "remote" // its address, "unix:PATH" on a Unix socket
	peerUID    = "uid"    // there: the system's user
	peerUser   = "user"   // once it is known
	peerClient = "client" // the name that the peer gave itself
)

// PeerLogger is the log of one connection. Its lines say who they are about:
// the kind of peer, the id and the address of the connection. Who knows the
// user or the name of the client adds "user" and "client" with With. In a
// server's log, what such lines quote is cut, and lines that repeat are
// counted.
func PeerLogger(log *slog.Logger, kind string, id uint64, remote net.Addr) *slog.Logger {
	if p, ok := remote.(*transport.Peer); ok && p.Known {
		return log.With(peerKind, kind, peerConn, id, peerRemote, p.String(), peerUID, p.UID)
	}
	return log.With(peerKind, kind, peerConn, id, peerRemote, remote.String())
}

// DialLogger is that of a connection that is not there yet: to host, a name or an
// address with its port.
func DialLogger(log *slog.Logger, kind, host string) *slog.Logger {
	return log.With(peerKind, kind, peerRemote, host)
}

const (
	// peerBurst lines of one peer that say the same are written in a minute, of
	// hostBurst peers who come from one address: names are cheap to change.
	peerBurst = 5
	hostBurst = 50
)

// peerLog is a handler in front of the server's log. It cuts what peers say,
// and counts their lines that repeat.
type peerLog struct {
	next  slog.Handler
	plain slog.Handler // next without the attributes of a peer
	lines *lineCounts
	peer  peerName
}

// lineCounts is what all handlers of one server share. News have counts of
// their own: a fleet that connects must not use up those of what is wrong.
type lineCounts struct{ news, wrong levelCounts }

type levelCounts struct{ same, host Repeats }

func (l *lineCounts) of(level slog.Level) *levelCounts {
	if level < slog.LevelWarn {
		return &l.news
	}
	return &l.wrong
}

// peerName is who a line is about; only one with a kind is a peer.
type peerName struct{ kind, host, user, client string }

// onceKey is the key of a context that Once made.
type onceKey struct{}

// Once is a context for a line about a peer that is written once in a minute,
// however often what it tells happens: line names it, among all of this server
// and level.
func Once(line string) context.Context {
	return context.WithValue(context.Background(), onceKey{}, line)
}

// Again counts one more of a line that was logged with Once in the last minute,
// so that a hot path has nothing to make for it; false when it is to be logged.
// level is that of the line. It does not allocate.
func Again(log *slog.Logger, level slog.Level, line []byte) bool {
	l, ok := log.Handler().(*peerLog)
	if !ok {
		return false
	}
	return l.lines.of(level).same.again(line)
}

// NewPeerHandler is the handler of a server's log, for whoever tests a module
// without a server: lines made with PeerLogger are cut and counted on their way
// to next. stop tells of what was counted.
func NewPeerHandler(next slog.Handler) (h slog.Handler, stop func()) {
	l := newPeerLog(next)
	return l, l.lines.stop
}

func newPeerLog(next slog.Handler) *peerLog {
	l := &peerLog{next: next, plain: next, lines: &lineCounts{}}
	for _, c := range []*levelCounts{&l.lines.news, &l.lines.wrong} {
		c.same.Burst, c.host.Burst = peerBurst, hostBurst
	}
	return l
}

// stop tells of what was counted. After it every line is written.
func (l *lineCounts) stop() {
	l.news.same.Stop()
	l.news.host.Stop()
	l.wrong.same.Stop()
	l.wrong.host.Stop()
}

func (n *peerName) learn(a slog.Attr) {
	switch a.Key {
	case peerKind:
		n.kind = a.Value.String()
	case peerRemote:
		n.host = a.Value.String()
		if host, _, err := net.SplitHostPort(n.host); err == nil && host != "unix" {
			n.host = host
		}
	case peerUID:
		n.host += " uid=" + a.Value.String()
	case peerUser:
		n.user = Cut(a.Value.String())
	case peerClient:
		n.client = Cut(a.Value.String())
	}
}

// Enabled is part of slog.Handler.
func (l *peerLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// WithAttrs is part of slog.Handler.
func (l *peerLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	for _, a := range attrs {
		c.peer.learn(a)
	}
	if c.peer.kind == "" {
		c.next = l.next.WithAttrs(attrs)
		c.plain = c.next
		return &c
	}
	cut := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		cut[i] = cutAttr(a)
	}
	c.next = l.next.WithAttrs(cut)
	return &c
}

// WithGroup is part of slog.Handler.
func (l *peerLog) WithGroup(name string) slog.Handler {
	c := *l
	c.next = l.next.WithGroup(name)
	return &c
}

// Handle is part of slog.Handler.
func (l *peerLog) Handle(ctx context.Context, r slog.Record) error {
	if l.peer.kind == "" || r.Level < slog.LevelDebug { // a trace has its own limit
		return l.next.Handle(ctx, r)
	}
	r = cutRecord(r)
	if r.Level < slog.LevelInfo {
		return l.next.Handle(ctx, r)
	}
	who := l.peer
	r.Attrs(func(a slog.Attr) bool {
		who.learn(a)
		return true
	})
	all := peerName{kind: who.kind, host: who.host}
	counts := l.lines.of(r.Level)
	var err error
	if once, ok := ctx.Value(onceKey{}).(string); ok {
		// It counts for itself first, so that Again finds it, and what is left
		// of it for the host.
		counts.same.say(once, 1, func(more int) {
			counts.host.Say(all.key(r), func(others int) {
				switch {
				case others > 0:
					l.more(r, all, others)
				case more > 0:
					l.more(r, who, more, attrsOf(r)...)
				default:
					err = l.next.Handle(ctx, r)
				}
			})
		})
		return err
	}
	key := who.key(r)
	line := func() {
		counts.same.Say(key, func(more int) {
			if more > 0 {
				l.more(r, who, more)
				return
			}
			err = l.next.Handle(ctx, r)
		})
	}
	if counts.same.knows(key) {
		line()
		return err
	}
	counts.host.Say(all.key(r), func(more int) {
		if more > 0 {
			l.more(r, all, more)
			return
		}
		line()
	})
	return err
}

// more says how many lines like r there would have been.
func (l *peerLog) more(r slog.Record, who peerName, n int, attrs ...slog.Attr) {
	m := slog.NewRecord(time.Now(), r.Level, r.Message+" (and "+strconv.Itoa(n)+" more in the last minute)", 0)
	for _, a := range []slog.Attr{
		slog.String(peerKind, who.kind), slog.String(peerRemote, who.host),
		slog.String(peerUser, who.user), slog.String(peerClient, who.client),
	} {
		if a.Value.String() != "" {
			m.AddAttrs(a)
		}
	}
	m.AddAttrs(attrs...)
	_ = l.plain.Handle(context.Background(), m) // nobody is left to tell
}

func attrsOf(r slog.Record) (attrs []slog.Attr) {
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	return attrs
}

func (n *peerName) key(r slog.Record) string {
	return strings.Join([]string{r.Level.String(), r.Message, n.kind, n.host, n.user, n.client}, "\x00")
}

// cutRecord is r with all of its texts cut.
func cutRecord(r slog.Record) slog.Record {
	c := slog.NewRecord(r.Time, r.Level, Cut(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		c.AddAttrs(cutAttr(a))
		return true
	})
	return c
}

func cutAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		group := make([]slog.Attr, 0, len(v.Group()))
		for _, g := range v.Group() {
			group = append(group, cutAttr(g))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}
	case slog.KindString, slog.KindAny:
		return slog.String(a.Key, Cut(v.String()))
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}
