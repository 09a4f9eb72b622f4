package mqtt

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/transport"
)

// logger names who a line is about, and what is known of the client. It is made when there is something to say, so that a connection
// keeps nothing for it.
func (c *conn) logger() *slog.Logger {
	log := c.web.Named(core.PeerLogger(c.m.log, "mqtt", c.id, c.nc.RemoteAddr()))
	if user := c.user(); user != "" {
		log = log.With("user", core.Cut(user))
	}
	if c.clientID != "" {
		log = log.With("client", core.Cut(c.clientID))
	}
	return log
}

// user is who the client is, or says it is while it is not let in.
func (c *conn) user() string {
	if c.grant != nil {
		return c.grant.User
	}
	return c.claims
}

// A notice is what a client is told nothing of, or would not understand. It is
// a line of the log: one a client and minute, however often it happens.
type notice struct {
	level slog.Level
	each  bool // a line for each topic
	text  string
}

var (
	noticeRetain       = notice{slog.LevelWarn, false, "MQTT message taken without its RETAIN flag: retained messages are kept in a stream, and JetStream is off"}
	noticeProperty     = notice{slog.LevelWarn, false, "MQTT property left out: a message cannot carry it"}
	noticeSession      = notice{slog.LevelInfo, false, "MQTT session will end with its connection: longer ones are kept in streams, and JetStream is off"}
	noticeRefused      = notice{slog.LevelError, true, "MQTT message refused and dropped"}
	noticeNotStored    = notice{slog.LevelError, true, "MQTT message was not stored"}
	noticeNotReplayed  = notice{slog.LevelError, true, "MQTT retained messages could not be read for a subscription"}
	noticeNotDelivered = notice{slog.LevelError, true, "MQTT session could not be read"}
	noticeDenied       = notice{slog.LevelError, true, "Publish Violation"}
	noticeDeniedSub    = notice{slog.LevelError, true, "Subscription Violation"}
	noticeEnded        = notice{slog.LevelError, true, "MQTT connection ended by the server"}
	noticeCONNECT      = notice{slog.LevelError, true, "MQTT connection refused"}
)

// notice writes the line, or counts it.
func (c *conn) notice(n notice, attrs ...any) { c.noticeOf(c.clientID, n, attrs...) }

// noticeOf is notice for whoever who stands for.
func (c *conn) noticeOf(who string, n notice, attrs ...any) {
	attrs = shortened(attrs)
	line := c.appendLine(nil, who, n)
	if n.each {
		for _, a := range attrs {
			line = fmt.Append(line, "\x00", a)
		}
	}
	if !core.Again(c.m.log, n.level, line) {
		c.logger().Log(core.Once(string(line)), n.level, n.text, attrs...)
	}
}

// noticed counts a notice that is not for each topic, if it was written already.
// It is for the goroutine that reads, which does what has to be told with each
// of very many messages.
func (c *conn) noticed(n notice) bool {
	c.line = c.appendLine(c.line[:0], c.clientID, n)
	return core.Again(c.m.log, n.level, c.line)
}

// appendLine appends what names the line of a notice.
func (c *conn) appendLine(b []byte, who string, n notice) []byte {
	if c.account != nil {
		b = append(append(b, c.account.Name()...), 0)
	}
	b = append(append(b, core.Cut(who)...), 0)
	b = append(append(b, core.Cut(c.user())...), 0)
	return append(b, n.text...)
}

// maxErrText is how much of an error is worth a line: it may hold what a peer
// has sent.
const maxErrText = 512

// shortened makes the errors among attrs short texts.
func shortened(attrs []any) []any {
	out := make([]any, len(attrs))
	for i, a := range attrs {
		if err, ok := a.(error); ok {
			s := err.Error()
			if len(s) > maxErrText {
				s = core.Cut(s)
			}
			a = s
		}
		out[i] = a
	}
	return out
}

// logRefusal is for whoever did not get in.
func (c *conn) logRefusal(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, errShutdown) { // a health check, or a client that changed its mind
		c.logger().Debug("MQTT connection went before CONNECT")
		return
	}
	c.noticeOf(transport.Host(c.nc.RemoteAddr())+"\x00"+c.clientID, noticeCONNECT, "err", err)
}

// logStart tells that a client has come.
func (c *conn) logStart(keepAlive time.Duration) {
	if c.m.services.Options().MQTT.ConnectionMessages {
		version := "3.1.1"
		switch {
		case c.older:
			version = "3.1"
		case c.version == v5:
			version = "5"
		}
		c.logger().Info("MQTT client connected", "version", version, "keepalive", keepAlive)
	}
}

// logEnd tells that a client has gone; what it did wrong or asked for in vain is
// told in any case.
func (c *conn) logEnd() {
	var f *failure
	var code packets.Code
	switch {
	case errors.Is(c.end, errTakenOver), errors.Is(c.end, errKicked), errors.Is(c.end, errShutdown):
	case errors.As(c.end, &f), errors.As(c.end, &code):
		c.notice(noticeEnded, "reason", c.end)
		return
	}
	if c.m.services.Options().MQTT.ConnectionMessages {
		c.logger().Info("MQTT client disconnected", shortened([]any{"reason", c.end})...)
	}
}
