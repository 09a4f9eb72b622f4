package mqtt

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// Topics under $SYS/broker tell MQTT clients how their broker does, under the names
// and in the forms that mosquitto made known. They are no messages of the account:
// they go straight to the subscriptions that match, so that no NATS client, link or
// stream hears of them. What they count are the MQTT clients of the subscriber's own
// account. While nobody subscribes nothing is summed up and nothing runs.
const (
	sysPrefix  = "$SYS/broker/"
	sysSubject = "$SYS.broker."
	// sysPatience bounds how long streams are asked how much they hold.
	sysPatience = 2 * time.Second
	// sysIdle is how often a topic tree that the configuration turned off is looked at.
	sysIdle = 10 * time.Second
	// leastSpan is the shortest time that load means are made of.
	leastSpan = time.Second
)

// sysTopics are the topics of one account.
type sysTopics struct {
	m       *Module
	account *account.Account

	sampling sync.Mutex // held by who counts

	mu struct {
		sync.Mutex
		watchers map[*subscription]struct{}
		running  bool
		values   []sysValue // as they were told last; none while nothing is told
	}

	// Guarded by sampling.
	at   time.Time // of the last means; the beginning before there were some
	last census    // what they were made of
	load [len(loads)]means
}

// sysValue is one topic, as its subject, and its payload.
type sysValue struct {
	subject []byte
	payload string
}

// sysTopicsOf is that of an account, made when it is needed.
func (m *Module) sysTopicsOf(a *account.Account) *sysTopics {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.mu.sys[a.Name()]
	if t == nil {
		t = &sysTopics{m: m, account: a, at: m.began}
		t.mu.watchers = make(map[*subscription]struct{})
		if m.mu.sys == nil {
			m.mu.sys = make(map[string]*sysTopics)
		}
		m.mu.sys[a.Name()] = t
	}
	return t
}

// ofServer reports whether a subject is one of the topics, which no client publishes.
// Others below $SYS/broker are not: bridges tell their state there.
func ofServer(subj []byte) bool {
	if !bytes.HasPrefix(subj, []byte(sysSubject)) {
		return false
	}
	var c counted
	return slices.ContainsFunc(c.values(), func(v sysValue) bool { return bytes.Equal(v.subject, subj) })
}

// mayMatch reports whether a subscription may match one of the topics. A group has
// none of them: each member would wait for what another one gets.
func (s *subscription) mayMatch() bool {
	for _, sub := range s.subs {
		if rest, ok := strings.CutPrefix(sub.Subject, "$SYS."); ok && sub.Queue == "" &&
			(rest == ">" || strings.HasPrefix(rest, "*.") || strings.HasPrefix(rest, "broker.")) {
			return true
		}
	}
	return false
}

// watch has a subscription told what changes from now on.
func (t *sysTopics) watch(s *subscription) {
	t.mu.Lock()
	idle := !t.mu.running
	t.mu.Unlock()
	var fresh []sysValue
	if idle && t.m.services.Options().MQTT.SysInterval > 0 {
		fresh = t.sample(time.Now())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.watchers[s] = struct{}{}
	s.sys = t
	if t.mu.running {
		return
	}
	t.mu.values = fresh
	t.mu.running = true
	t.m.work.Add(1)
	go t.run()
}

// leave is the end of that.
func (t *sysTopics) leave(s *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.watchers, s)
}

// tell gives a new subscription what was told last, as retained messages.
func (t *sysTopics) tell(s *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m.services.Options().MQTT.SysInterval == 0 {
		return
	}
	for i := range t.mu.values {
		s.deliverSys(&t.mu.values[i], flagRetain)
	}
}

// run tells what has changed, as long as somebody listens.
func (t *sysTopics) run() {
	defer t.m.work.Done()
	for {
		wait := t.m.services.Options().MQTT.SysInterval
		if wait == 0 {
			wait = sysIdle
		}
		select {
		case <-time.After(wait):
		case <-t.m.ctx.Done():
			return
		}
		if !t.round() {
			return
		}
	}
}

// round is one interval. It reports whether there is to be another one.
func (t *sysTopics) round() bool {
	t.mu.Lock()
	if len(t.mu.watchers) == 0 {
		t.mu.running = false
		t.mu.Unlock()
		return false
	}
	off := t.m.services.Options().MQTT.SysInterval == 0
	if off {
		t.mu.values = nil // who comes before it is on again has them all then
	}
	t.mu.Unlock()
	if off {
		return true
	}
	fresh := t.sample(time.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range fresh {
		v := &fresh[i]
		if i < len(t.mu.values) && t.mu.values[i].payload == v.payload {
			continue
		}
		for s := range t.mu.watchers {
			flags := byte(0)
			if s.asPublished {
				flags = flagRetain // [MQTT-3.3.1-13]
			}
			s.deliverSys(v, flags)
		}
	}
	t.mu.values = fresh
	for s := range t.mu.watchers {
		s.conn.out.Wake()
	}
	return true
}

// deliverSys sends a subscription one of the topics, with QoS 0.
func (s *subscription) deliverSys(v *sysValue, flags byte) {
	for _, sub := range s.subs {
		if !subject.Match(sub.Subject, string(v.subject)) {
			continue
		}
		if s.filtered && s.conn.grant.Permissions.DeniesDelivery(v.subject) {
			s.conn.drops.count(dropDenied)
			continue
		}
		s.conn.send(0, flags, v.subject, &wire.Msg{Subject: v.subject, Body: []byte(v.payload)}, s.id)
	}
}

// sample counts up, and makes what there is to tell.
func (t *sysTopics) sample(now time.Time) []sysValue {
	ctx, cancel := context.WithTimeout(t.m.ctx, sysPatience)
	defer cancel()
	t.sampling.Lock()
	defer t.sampling.Unlock()
	var c counted
	c.retained, c.retainedBytes = t.m.held(ctx, t.account, retainedStream)
	c.waiting, c.waitingBytes = t.m.held(ctx, t.account, "$MQTT_msgs")
	sessions := t.m.keptSessions(t.account)
	c.census = t.m.census(t.account.Name())
	c.away, c.uptime = max(sessions-c.kept, 0), now.Sub(t.m.began)
	if span := now.Sub(t.at); span >= leastSpan {
		for i := range t.load {
			t.load[i].advance(float64(loads[i].of(&c.census)-loads[i].of(&t.last)), span)
		}
		t.at, t.last = now, c.census
	}
	c.load = t.load
	return c.values()
}

// held is how many messages a stream of an account holds, and their bytes. Of one
// that is not there or does not answer it is nothing.
func (m *Module) held(ctx context.Context, a *account.Account, stream string) (msgs, bytes int64) {
	if !m.keeps() {
		return 0, 0
	}
	k, err := m.keeperOf(a)
	if err != nil {
		return 0, 0
	}
	i, err := k.client.Info(ctx, stream)
	if err != nil {
		if !errors.Is(err, jsclient.ErrStreamNotFound) {
			m.log.Debug("How much a stream of MQTT holds is not known", "stream", stream, "err", err)
		}
		return 0, 0
	}
	return int64(i.State.Msgs), int64(i.State.Bytes)
}

// keptSessions is how many sessions of an account outlive their connections.
func (m *Module) keptSessions(a *account.Account) int64 {
	m.stores.Lock()
	e := m.stores.of[a.Name()]
	m.stores.Unlock()
	if e == nil {
		return 0
	}
	e.Lock()
	defer e.Unlock()
	if e.store == nil {
		return 0
	}
	return int64(e.store.Len())
}
