package mqtt

import (
	"errors"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/mqtt/session"
)

// Retained messages that a kept session gets with QoS 1 or 2 are the session's until they
// are acknowledged: their packet identifiers are in its row, with QoS 2 before the
// messages go out. When the client comes back they are read again by their sequences.

// room waits until the client allows one more, before a page is read that others need
// room in memory for.
func (r *replay) room(s *subscription) error {
	c := r.conn
	for c.kept != nil && s.qos > 0 {
		if !c.begin() {
			return errEnded
		}
		if !c.window.exhausted() {
			c.out.Unlock()
			break
		}
		if r.roomed == nil {
			r.roomed = make(chan struct{})
		}
		free := r.roomed
		c.out.Unlock()
		c.out.Wake()
		select {
		case <-free:
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	return nil
}

// releaseLocked frees a packet identifier, and tells who waits for one.
func (c *conn) releaseLocked(id uint16) {
	c.window.release(id)
	if r := c.replay; r != nil && r.roomed != nil {
		close(r.roomed)
		r.roomed = nil
	}
}

// number has the session know messages of a page, from the first on, as far as the client
// allows, if the first one needs an identifier and has none. It reports false when there is
// none for it.
func (r *replay) number(s *subscription, list []*jsclient.Message) (ok bool, err error) {
	c := r.conn
	qosOf := func(m *jsclient.Message) byte {
		qos, _ := retainedQoS(m)
		return min(s.qos, qos)
	}
	if c.kept == nil || qosOf(list[0]) == 0 || r.ids[list[0].Seq] > 0 {
		return true, nil
	}
	if !c.begin() {
		return false, errEnded
	}
	if r.ids == nil {
		r.ids = make(map[uint64]uint16)
	}
	exact := false
	for _, m := range list {
		qos := qosOf(m)
		if qos == 0 {
			continue
		}
		id, free := c.window.free(qos)
		if !free {
			break
		}
		r.ids[m.Seq] = id
		c.kept.session.SentRetained(session.Unacked{Seq: m.Seq, ID: id, Exact: qos == 2})
		exact = exact || qos == 2
	}
	c.out.Unlock()
	if exact {
		err = c.kept.session.Save(r.ctx)
	}
	return r.ids[list[0].Seq] > 0, err
}

// unnumber gives back the identifiers of what was not sent after all.
func (r *replay) unnumber() {
	c := r.conn
	for _, id := range r.ids {
		c.out.Lock()
		c.releaseLocked(id)
		c.out.Unlock()
		c.kept.session.Settled(id)
	}
	r.ids = nil
}

// retainedAgain reads the retained messages that were sent on other connections and are
// not acknowledged. One that was replaced or removed since is not sent again; with QoS 2
// the client may have it.
func (k *kept) retainedAgain() error {
	store, err := k.conn.m.keeperOf(k.conn.account)
	if err != nil {
		return err
	}
	n := min(len(k.retained), againAtOnce)
	for _, u := range k.retained[:n] {
		m, err := store.client.Get(k.ctx, retainedStream, u.Seq)
		if err != nil && !errors.Is(err, jsclient.ErrMessageNotFound) && !errors.Is(err, jsclient.ErrStreamNotFound) {
			return err
		}
		if m = again(m); m == nil {
			if u.Exact {
				k.session.Handed(0, u.ID)
			} else {
				k.session.Settled(u.ID)
			}
			k.gone(u)
			continue
		}
		out := &session.Message{Message: m, Topic: strings.TrimPrefix(m.Subject, retainedPrefix), QoS: 1, Again: true, ID: u.ID, Retained: true}
		if u.Exact {
			out.QoS = 2
		}
		out.IDs = k.session.Identifiers(out.Topic)
		k.page = append(k.page, out)
	}
	k.retained = k.retained[n:]
	return k.releaseAgain()
}

// again is a retained message with the header of the live one; nil for what is none.
func again(m *jsclient.Message) *jsclient.Message {
	if m == nil {
		return nil
	}
	now := time.Now()
	kept, ok := readRetained(m, now)
	if !ok {
		return nil
	}
	return &jsclient.Message{Subject: m.Subject, Header: kept.header, Data: m.Data, Time: now}
}
