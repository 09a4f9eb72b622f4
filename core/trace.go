package core

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

// tracer logs the protocol of one client connection, in the form of
// nats-server: "<<-" is what came, "->>" what goes. A nil one is off, which
// callers on the hot path ask for before they gather arguments.
type tracer struct {
	log     *slog.Logger
	headers bool // of messages only the headers
	limit   int  // bytes shown of a message, 0 for all
}

// newTracer is nil unless o asks for tracing.
func newTracer(o *config.Options, log *slog.Logger) *tracer {
	if !o.Log.Trace {
		return nil
	}
	return &tracer{log: log, headers: o.Log.TraceHeaders, limit: o.MaxTracedMsgLen}
}

func (t *tracer) line(text string) { t.log.Log(context.Background(), LevelTrace, text) }

// in is a verb that came with its arguments; empty ones are left out.
func (t *tracer) in(verb string, args ...string) {
	if t == nil {
		return
	}
	var b strings.Builder
	b.WriteString("<<- [" + verb)
	for _, a := range args {
		if a != "" {
			b.WriteString(" " + a)
		}
	}
	t.line(b.String() + "]")
}

// countText is "" for 0, which the protocol leaves out.
func countText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// connect is CONNECT without what a reader of the log must not know.
func (t *tracer) connect(c connectOptions) {
	if t == nil {
		return
	}
	for _, secret := range []*string{&c.Pass, &c.Token, &c.JWT, &c.Sig} {
		if *secret != "" {
			*secret = "[REDACTED]"
		}
	}
	b, err := json.Marshal(&c)
	if err != nil {
		return // a struct of strings and numbers: it can't fail
	}
	t.in("CONNECT", string(b))
}

// out are lines that go.
func (t *tracer) out(lines string) {
	if t == nil {
		return
	}
	for l := range strings.Lines(lines) {
		t.line("->> [" + strings.TrimRight(l, "\r\n") + "]")
	}
}

// message is a message in the form of its line in protocol.
func (t *tracer) message(arrow string, protocol []byte, m *wire.Msg) {
	first, _, _ := bytes.Cut(protocol, []byte("\r\n"))
	t.line(arrow + " [" + string(first) + "]")
	shown := m.Body
	switch {
	case t.headers && len(m.Header) == 0:
		return
	case t.headers:
		shown = bytes.TrimRight(m.Header, "\r\n")
	case len(m.Header) > 0:
		shown = append(bytes.Clone(m.Header), m.Body...)
	}
	text, more := string(shown), ""
	if t.limit > 0 && len(text) > t.limit {
		text, more = text[:t.limit], "..."
	}
	t.line(arrow + " MSG_PAYLOAD: [" + strconv.Quote(text) + more + "]")
}
