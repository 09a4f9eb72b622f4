package session

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// link publishes as an MQTT client behind a leaf link does.
func (h *house) link() func(subj, qos, text string) {
	o := account.NewOrigin(nil, account.RoleHub, "")
	return func(subj, qos, text string) {
		h.acc.Route(o, &wire.Msg{Subject: []byte(subj), Header: []byte("NATS/1.0\r\nNmqtt-Pub:" + qos + "\r\n\r\n"), Body: []byte(text)})
		o.Flush()
	}
}

// What comes by a link is kept as what is published here is, once.
func TestLinked(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a.>", "a.x")
	e := h.attach("e", false).sub("a.x")
	e.Detach(60)
	from := h.link()
	from("a.x", "1", "1")
	from("a.x", "0", "no")
	from("b", "1", "no")
	h.publishAll("a.x", "2")
	from("a.y", "2", "3")
	d.waits(3)
	d.wants("1 2 3")
	d.Detach(60)
	h.restart()
	h.attach("e", true).wants("1 2")
	if n := len(h.attach("d", true).Unacked()); n != 3 {
		t.Errorf("%d are to be sent again", n)
	}
	if got := h.lost.String(); got != "" {
		t.Error(got)
	}
}

// A session that is full goes without what comes by a link, and others do not.
func TestLinked_full(t *testing.T) {
	h := newHouse(t)
	h.limits.Msgs = 2
	d := h.attach("d", false).sub("a")
	from := h.link()
	from("a", "1", "1")
	d.waits(1)
	e := h.attach("e", false).sub("a")
	d.Detach(60)
	from("a", "1", "2")
	e.waits(1)
	e.wants("2")
	e.ackAll()
	from("a", "1", "3")
	e.waits(1)
	e.wants("3")
	d = h.attach("d", true)
	d.wants("1 2")
	d.Acked(d.Unacked()[0].Seq)
	from("a", "1", "5")
	e.waits(2)
	d.wants("5")
	e.wants("5")
	if got := h.lost.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "a: ") {
		t.Errorf("lost: %s", got)
	}
	d.ackAll()
	e.ackAll()
	h.s.poke()
	h.holds(msgsStream, 0)
}

// waits waits until so many messages wait for the session.
func (d *device) waits(n int64) {
	d.h.Helper()
	testkit.Eventually(d.h, fmt.Sprintf("%d wait for %s", n, d.ID), func() bool {
		msgs, _ := d.Pending()
		return msgs == n
	})
}

// What the stream does not take is told.
func TestLinked_noStream(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a")
	c := h.client()
	defer c.Close()
	if err := c.Delete(t.Context(), msgsStream); err != nil {
		t.Fatal(err)
	}
	h.link()("a", "1", "1")
	if got := h.lost.String(); !strings.Contains(got, errNoStream.Error()) {
		t.Errorf("lost: %q", got)
	}
}
