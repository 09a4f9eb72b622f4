package mqtt

import (
	"bytes"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
)

// decode runs a packet through the codec, with a buffer that it may keep views
// of.
func (c *conn) decode(f frame, decode func(*packets.Packet, []byte) error) (*packets.Packet, error) {
	pk := &packets.Packet{
		ProtocolVersion: c.version,
		FixedHeader:     packets.FixedHeader{Type: f.kind(), Remaining: len(f.body)},
	}
	return pk, decode(pk, bytes.Clone(f.body))
}

// subscribe takes a SUBSCRIBE and answers it.
func (c *conn) subscribe(f frame) error {
	if err := checkSubscribe(f.body, c.version, true); err != nil {
		return err
	}
	pk, err := c.decode(f, (*packets.Packet).SubscribeDecode)
	if err != nil {
		return err
	}
	answer := &packets.Packet{
		ProtocolVersion: c.version, PacketID: pk.PacketID,
		FixedHeader: packets.FixedHeader{Type: packets.Suback},
	}
	var fresh, told []*subscription // that get retained messages, and what the server tells
	var why error                   // the first refusal that there is something to say of
	for i := range pk.Filters {
		f := &pk.Filters[i] // with the identifier of the packet
		if c.bridge && !strings.HasPrefix(f.Filter, sharePrefix) {
			f.NoLocal, f.RetainAsPublished = true, true
		}
		known := c.subs[f.Filter] != nil
		code, err := c.subscribeTo(f, c.m.keeps() && wantsRetained(f, known))
		if err != nil {
			return err
		}
		if code < 0x80 {
			code = max(code, c.keepFilter(f))
		}
		if code < 0x80 && wantsRetained(f, known) {
			s := c.subs[f.Filter]
			if c.m.keeps() {
				fresh = append(fresh, s)
			}
			if s.sys != nil {
				told = append(told, s)
			}
		}
		if code >= 0x80 && why == nil {
			why = filterRefused(f.Filter, code)
		}
		if c.version != v5 && code >= 0x80 {
			code = 0x80
		}
		answer.ReasonCodes = append(answer.ReasonCodes, code)
	}
	if err = c.saveSession(); err == nil {
		err = c.answer(answer, c.reasonText(why), answer.SubackEncode)
	}
	if err == nil {
		for _, s := range told {
			s.sys.tell(s)
		}
		c.replayTo(fresh)
	}
	return err
}

// wantsRetained reports whether a subscription gets the retained messages that are
// there; known is that it was made before [MQTT-3.3.1-9] to [MQTT-3.3.1-11].
func wantsRetained(f *packets.Subscription, known bool) bool {
	return !strings.HasPrefix(f.Filter, sharePrefix) && (f.RetainHandling == 0 || f.RetainHandling == 1 && !known)
}

// sharePrefix is that of shared subscriptions.
const sharePrefix = "$share/"

// answer queues a packet, which f encodes, with a reason string; "" for none.
func (c *conn) answer(pk *packets.Packet, reason string, f func(*bytes.Buffer) error) error {
	b, err := c.encodeWithReason(pk, reason, f)
	if err != nil {
		return err
	}
	return c.say(b)
}

// subscribeTo makes one subscription and returns the granted QoS or why not. One that is
// to get retained messages notes what comes from now on.
func (c *conn) subscribeTo(f *packets.Subscription, watched bool) (byte, error) {
	f.Filter = strings.Clone(f.Filter) // not a view of the whole packet
	filter, queue := f.Filter, ""
	// MQTT 3.1.1 has no shared subscriptions, but brokers give them to its
	// clients, and one that is granted what nobody publishes to hears nothing.
	if strings.HasPrefix(filter, sharePrefix) {
		var ok bool
		if queue, filter, ok = strings.Cut(strings.TrimPrefix(filter, sharePrefix), "/"); !ok ||
			queue == "" || filter == "" || strings.ContainsAny(queue, "+#") {
			return packets.ErrTopicFilterInvalid.Code, nil // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
		}
		queue = queueName(queue)
		if f.NoLocal {
			return 0, fail(packets.ErrProtocolViolationInvalidSharedNoLocal, "no local on a shared subscription") // [MQTT-3.8.3-4]
		}
	}
	if !validFilter(filter) {
		return packets.ErrTopicFilterInvalid.Code, nil
	}
	subjects, err := filterSubjects(filter, c.topicRules())
	if err != nil || c.tooLong([]byte(subjects[0])) || strings.HasPrefix(subjects[0], ownPrefix) {
		return packets.ErrTopicFilterInvalid.Code, nil
	}
	if max := account.Lower(c.o.MaxSubs, c.account.Limits().Subs); max > 0 && len(c.subs) >= max && c.subs[f.Filter] == nil {
		return packets.ErrQuotaExceeded.Code, nil
	}
	if f.Qos == 2 && (c.o.MQTT.DowngradeQoS2 || queue != "" && c.kept != nil) {
		f.Qos = 1 // of a group nothing is kept, and identifiers of QoS 2 would have to be
	}
	s := &subscription{
		conn: c, filter: f.Filter, qos: f.Qos, id: uint32(f.Identifier), noLocal: f.NoLocal, asPublished: f.RetainAsPublished,
		dollar: !strings.HasPrefix(filter, "+") && !strings.HasPrefix(filter, "#"),
		kept:   c.kept != nil && queue == "",
	}
	if watched {
		s.watching.Store(&watch{most: maxEarly})
	}
	for _, subj := range subjects {
		if p := c.grant.Permissions; p != nil {
			if !p.CanSubscribe(subj, queue) {
				c.notice(noticeDeniedSub, "topic", core.Cut(f.Filter))
				return packets.ErrNotAuthorized.Code, nil
			}
			s.filtered = s.filtered || p.NeedsFilter(subj)
		}
		s.subs = append(s.subs, &account.Sub{Subject: subj, Queue: queue, SID: f.Filter, Sink: s})
	}
	// The same filter again replaces the subscription [MQTT-3.8.4-3]. The new
	// one begins first, so nothing is missed between the two.
	old := c.subs[f.Filter]
	for i, sub := range s.subs {
		if err := c.account.Subscribe(sub); err != nil {
			for _, done := range s.subs[:i] {
				c.account.Unsubscribe(done)
			}
			return packets.ErrTopicFilterInvalid.Code, nil
		}
	}
	if old != nil {
		c.drop(old)
	}
	c.subsLock.Lock()
	c.subs[f.Filter] = s
	c.subsLock.Unlock()
	if s.mayMatch() {
		c.m.sysTopicsOf(c.account).watch(s)
	}
	c.numSubs.Store(int64(len(c.subs)))
	return s.qos, nil
}

func (c *conn) drop(s *subscription) {
	s.gone.Store(true)
	s.end()
	c.subsLock.Lock()
	delete(c.subs, s.filter)
	c.subsLock.Unlock()
	c.numSubs.Store(int64(len(c.subs)))
}

// unsubscribe takes an UNSUBSCRIBE and answers it.
func (c *conn) unsubscribe(f frame) error {
	if err := checkSubscribe(f.body, c.version, false); err != nil {
		return err
	}
	pk, err := c.decode(f, (*packets.Packet).UnsubscribeDecode)
	if err != nil {
		return err
	}
	answer := &packets.Packet{
		ProtocolVersion: c.version, PacketID: pk.PacketID,
		FixedHeader: packets.FixedHeader{Type: packets.Unsuback},
	}
	for i := range pk.Filters {
		code := packets.CodeNoSubscriptionExisted.Code
		if s := c.subs[pk.Filters[i].Filter]; s != nil {
			c.drop(s)
			if c.kept != nil {
				c.kept.session.Unsubscribe(s.filter)
			}
			code = packets.CodeSuccess.Code
		}
		answer.ReasonCodes = append(answer.ReasonCodes, code)
	}
	if c.version != v5 {
		answer.ReasonCodes = nil
	}
	if err := c.saveSession(); err != nil {
		return err
	}
	return c.answer(answer, "", answer.UnsubackEncode)
}
