package mqtt

import (
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/mqtt/session"
)

// will is the message that a client leaves for when it goes without a word
// [MQTT-3.1.2-8].
type will struct {
	topic   string
	subject []byte
	reply   []byte // nil for none
	header  []byte
	payload []byte
	qos     byte
	retain  bool   // and there is where to keep it
	delay   uint32 // seconds that the client has to come back
}

// publishWill sends the will (delayed.go says when).
func (c *conn) publishWill() {
	w := c.will
	if w == nil {
		return
	}
	c.will = nil
	if p := c.grant.Permissions; notForClients(w.subject) || p != nil && !p.CanPublish(w.subject) {
		c.notice(noticeDenied, "will", core.Cut(w.topic))
		return
	}
	o := account.NewOrigin(nil, account.RoleClient, "")
	c.publishFor(o, w)
	o.Flush()
}

type willReceipt struct {
	conn  *conn
	topic string
	qos   byte
	keeps keeps
}

func (*willReceipt) Expect() {}

// Keep is part of session.Keeping.
func (r *willReceipt) Keep(s *session.Store, subj []byte, full error) { r.keeps.add(s, subj, full) }

// Publisher is part of session.Keeping.
func (r *willReceipt) Publisher() (string, bool) { return r.keeps.publisher(r.conn), r.qos > 0 }

func (r *willReceipt) Stored(stream string, _ uint64, _ bool, err error) {
	if err != nil {
		r.conn.notice(noticeNotStored, "will", core.Cut(r.topic), "stream", stream, "err", err)
	}
}
