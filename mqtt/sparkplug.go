package mqtt

import (
	"bytes"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/wire"
)

// Sparkplug 3.0, chapter 10.1.4: a server that is aware of it keeps the births of edge
// nodes and their devices as retained messages of other topics, for hosts that come
// later. Deaths are wills, and nothing of their own.
const (
	births            = "spBv1//0." // the subject of "spBv1.0/"
	certificates      = "$sparkplug/certificates/"
	certificatesBelow = "$sparkplug.certificates."
)

// isBirth reports whether a subject is that of a birth: spBv1.0/GROUP/NBIRTH/NODE or
// spBv1.0/GROUP/DBIRTH/NODE/DEVICE.
func isBirth(subj []byte) bool {
	rest, ok := bytes.CutPrefix(subj, []byte(births))
	if !ok {
		return false
	}
	_, rest, _ = bytes.Cut(rest, []byte(".")) // the group
	kind, names, _ := bytes.Cut(rest, []byte("."))
	switch string(kind) {
	case "NBIRTH":
		return len(names) > 0 && bytes.IndexByte(names, '.') < 0
	case "DBIRTH":
		return bytes.Count(names, []byte(".")) == 1
	}
	return false
}

// certify keeps a birth as a certificate. The publisher's acknowledgement does not stand
// on it: a birth is as good where it can't be kept, which the log says.
func (c *conn) certify(p *publication) {
	if !isBirth(c.subject) || len(p.payload) == 0 || !c.o.MQTT.SparkplugAware || !c.m.keeps() {
		return
	}
	subj := append([]byte(certificatesBelow), c.subject...)
	if c.tooLong(subj) {
		c.notice(noticeRefused, "topic", core.Cut(p.topic), "err", errTopicLong)
		return
	}
	// The same properties, and the flag.
	header := appendOwnHeaders(nil, p.qos, true)
	header = append(header, c.header[len(appendOwnHeaders(nil, p.qos, p.retain)):]...)
	c.publishFor(c.origin, &will{topic: certificates + string(p.topic), subject: subj, header: header, payload: p.payload, qos: p.qos, retain: true})
}

// publishFor publishes what nobody waits for an acknowledgement of; a stream that could
// not store it is logged.
func (c *conn) publishFor(o *account.Origin, w *will) {
	if w.retain {
		c.keep(o, w.qos, w.topic, w.subject, w.header, w.payload, nil)
	}
	r := &willReceipt{conn: c, topic: w.topic, qos: w.qos}
	c.account.Route(o, &wire.Msg{Subject: w.subject, Reply: w.reply, Header: w.header, Body: w.payload, Receipt: r})
	r.keeps.put(o, w.header, w.payload, nil, 0, r)
}
