package mqtt

import (
	"math"
	"strconv"
	"time"

	"github.com/frondmq/frond/core"
)

// means are the rate of something, a minute, over the last 1, 5 and 15 minutes, as of
// the load of a Unix system: what is longer ago counts less and less.
type means [3]float64

// spans are of what the means are, by the ends of their topics.
var spans = [len(means{})]struct {
	name string
	of   time.Duration
}{{"1min", time.Minute}, {"5min", 5 * time.Minute}, {"15min", 15 * time.Minute}}

// advance adds that there were n more in a time.
func (m *means) advance(n float64, in time.Duration) {
	rate := n / in.Minutes()
	for i := range m {
		m[i] = rate + (m[i]-rate)*math.Exp(-float64(in)/float64(spans[i].of))
	}
}

// loads are what means are told of.
var loads = [...]struct {
	name string
	of   func(*census) int64
}{
	{"messages/received", func(c *census) int64 { return c.packetsIn }},
	{"messages/sent", func(c *census) int64 { return c.packetsOut }},
	{"publish/dropped", func(c *census) int64 { return c.dropped }},
	{"publish/received", func(c *census) int64 { return c.msgsIn }},
	{"publish/sent", func(c *census) int64 { return c.msgsOut }},
	{"bytes/received", func(c *census) int64 { return c.bytesIn }},
	{"bytes/sent", func(c *census) int64 { return c.bytesOut }},
	{"connections", func(c *census) int64 { return c.connects }},
}

// valueWriter makes topics and payloads, in the order in which they are told.
type valueWriter struct{ values []sysValue }

func (w *valueWriter) text(name, payload string) {
	topic := sysPrefix + name
	subj, _ := appendSubject(nil, []byte(topic), 0) // topics of our own are topics
	w.values = append(w.values, sysValue{subj, payload})
}

func (w *valueWriter) number(name string, n int64) { w.text(name, strconv.FormatInt(n, 10)) }

func (w *valueWriter) means(name string, m *means) {
	for i, v := range m {
		w.text(name+"/"+spans[i].name, strconv.FormatFloat(v, 'f', 2, 64))
	}
}

// counted is all that is told.
type counted struct {
	census
	uptime                  time.Duration
	away                    int64 // sessions without a client
	retained, retainedBytes int64
	waiting, waitingBytes   int64 // messages that sessions wait for
	load                    [len(loads)]means
}

// values are the topics.
func (c *counted) values() []sysValue {
	w := valueWriter{make([]sysValue, 0, 48)}
	w.text("version", "frond version "+core.ProgramVersion())
	w.text("uptime", strconv.FormatInt(int64(c.uptime/time.Second), 10)+" seconds")
	w.number("clients/total", c.clients+c.away)
	w.number("clients/maximum", c.highest)
	w.number("clients/inactive", c.away)
	w.number("clients/disconnected", c.away)
	w.number("clients/active", c.clients)
	w.number("clients/connected", c.clients)
	for i := range c.load {
		w.means("load/"+loads[i].name, &c.load[i])
	}
	w.number("messages/stored", c.retained+c.waiting)
	w.number("messages/received", c.packetsIn)
	w.number("messages/sent", c.packetsOut)
	w.number("store/messages/count", c.retained+c.waiting)
	w.number("store/messages/bytes", c.retainedBytes+c.waitingBytes)
	w.number("subscriptions/count", c.subscriptions)
	w.number("retained messages/count", c.retained)
	w.number("publish/messages/dropped", c.dropped)
	w.number("publish/messages/received", c.msgsIn)
	w.number("publish/messages/sent", c.msgsOut)
	w.number("publish/bytes/received", c.payloadIn)
	w.number("publish/bytes/sent", c.payloadOut)
	w.number("bytes/received", c.bytesIn)
	w.number("bytes/sent", c.bytesOut)
	return w.values
}
