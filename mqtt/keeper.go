package mqtt

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/wire"
)

// Retained messages lie in one stream of the account, one message a subject, under
// the names that nats-server gives them. NATS clients read them there as
// any other message.
const (
	retainedStream = "$MQTT_rmsgs"
	retainedPrefix = ownPrefix + "rmsgs."
	// ownPrefix is that of what the server stores for MQTT, which is no topic of
	// clients.
	ownPrefix = "$MQTT."
)

// Headers of what is stored there. The first four are nats-server's: without
// headerRFlags a message in the stream is no retained message.
const (
	headerRTopic  = "Nmqtt-RTopic"
	headerRFlags  = "Nmqtt-RFlags" // the flags of the PUBLISH, one hexadecimal digit, behind a '-' in a marker of removal
	headerROrigin = "Nmqtt-ROrigin"
	headerRSource = "Nmqtt-RSource" // the user
	headerRClient = "Nmqtt-RClient" // the client identifier, for No Local
	// headerKept stands in front of headers that would mean something to the
	// stream, which has nothing to do with them: a message id, for one.
	headerKept = "Nmqtt-Kept-"
	// headerRetain marks a live message that was published with RETAIN.
	headerRetain = "Nmqtt-Retain"
)

const (
	// ensureAgain is how long a stream that could not be made is not tried again.
	ensureAgain = 2 * time.Second
	// markerLives is how many seconds the marker of a removal is in the stream: long enough
	// for those who follow it.
	markerLives = 1
)

// keeper stores the retained messages of one account.
type keeper struct {
	m      *Module
	client *jsclient.Client
	pages  chan struct{} // has one for each page that is being delivered

	stream struct {
		sync.Mutex
		ready  bool
		failed error
		at     time.Time // when it failed
	}

	mu struct {
		sync.Mutex
		last, told uint64 // numbers: of the newest one, and up to which all have come to an end
		flights    map[uint64]*flight
		waiting    []settling
	}
}

// flight is a retained message on its way to the stream: a wire.Receipt.
type flight struct {
	k     *keeper
	n     uint64
	conn  *conn
	topic string
	r     *receipt // nil: nobody waits
	waits int      // streams that have not stored it yet, and one for the routing; guarded by k.mu
	taken bool     // by a stream; of the routing goroutine
}

// settling waits until all up to a number have come to an end.
type settling struct {
	upTo uint64
	done chan struct{}
}

// keeps reports whether there are retained messages at all.
func (m *Module) keeps() bool { return m.services.JetStream() }

// keeperOf is that of an account, made when it is needed.
func (m *Module) keeperOf(a *account.Account) (*keeper, error) {
	m.keepers.Lock()
	defer m.keepers.Unlock()
	if k := m.keepers.of[a.Name()]; k != nil {
		return k, nil
	}
	c, err := m.services.StreamClient(a, "")
	if err != nil {
		return nil, err
	}
	k := &keeper{m: m, client: c, pages: make(chan struct{}, maxPages)}
	k.mu.flights = make(map[uint64]*flight)
	if m.keepers.of == nil {
		m.keepers.of = make(map[string]*keeper)
	}
	m.keepers.of[a.Name()] = k
	return k, nil
}

// ensure makes the stream at first need. Limits that somebody has given it stay.
func (k *keeper) ensure() error {
	s := &k.stream
	s.Lock()
	defer s.Unlock()
	switch {
	case s.ready:
		return nil
	case s.failed != nil && time.Since(s.at) < ensureAgain:
		return s.failed
	}
	_, err := k.client.Update(k.m.ctx, retainedStream, func(cfg *jsclient.StreamConfig) {
		cfg.MaxMsgsPer, cfg.AllowDirect, cfg.AllowMsgTTL = 1, true, true
	})
	if errors.Is(err, jsclient.ErrStreamNotFound) {
		_, err = k.client.Ensure(k.m.ctx, &jsclient.StreamConfig{
			Name: retainedStream, Subjects: []string{retainedPrefix + ">"}, MaxMsgsPer: 1, AllowDirect: true, AllowMsgTTL: true,
		})
	}
	s.ready, s.failed, s.at = err == nil, err, time.Now()
	return err
}

// lostStream says that the stream is not there, though it was.
func (k *keeper) lostStream() {
	k.stream.Lock()
	k.stream.ready, k.stream.failed = false, nil
	k.stream.Unlock()
}

// keep stores a message as the retained one of its topic, or removes that when
// there is no payload. header is the block of the live message. r, unless it is nil,
// expects one more stream. It returns when the message is on its way, behind all
// that was given to keep before.
func (c *conn) keep(o *account.Origin, qos byte, topic string, subj, header, payload []byte, r *receipt) {
	f := &flight{conn: c, topic: topic, r: r, waits: 1}
	k, err := c.m.keeperOf(c.account)
	if err == nil {
		err = k.ensure()
	}
	if err != nil {
		f.lost(err)
		return
	}
	m := wire.Msg{Subject: append([]byte(retainedPrefix), subj...), Header: c.keptHeader(qos, topic, header, len(payload) == 0), Body: payload, From: c.id, Receipt: f}
	k.begin(f)
	c.account.Route(o, &m)
	if !f.taken {
		k.lostStream()
		f.lost(errNoStream)
	}
	k.done(f)
}

var errNoStream = errors.New("the stream for retained messages is gone")

func (k *keeper) begin(f *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.last++
	f.k, f.n = k, k.mu.last
	k.mu.flights[f.n] = f
}

// done takes one wait off a flight.
func (k *keeper) done(f *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f.waits--; f.waits > 0 {
		return
	}
	delete(k.mu.flights, f.n)
	for k.mu.told < k.mu.last && k.mu.flights[k.mu.told+1] == nil {
		k.mu.told++
	}
	still := k.mu.waiting[:0]
	for _, w := range k.mu.waiting {
		if w.upTo > k.mu.told {
			still = append(still, w)
		} else {
			close(w.done)
		}
	}
	k.mu.waiting = still
}

// Expect is part of wire.Receipt.
func (f *flight) Expect() {
	f.taken = true
	f.k.mu.Lock()
	f.waits++
	f.k.mu.Unlock()
	if f.r != nil {
		f.r.Expect()
	}
}

// Stored is part of wire.Receipt.
func (f *flight) Stored(stream string, seq uint64, again bool, err error) {
	f.k.done(f)
	switch {
	case f.r != nil:
		f.r.Stored(stream, seq, again, err)
	case err != nil:
		f.conn.notice(noticeNotStored, "topic", core.Cut(f.topic), "stream", stream, "err", err)
	}
	if err != nil {
		f.conn.m.lostRetained.Add(1)
	}
}

// lost is for what no stream was given.
func (f *flight) lost(err error) {
	f.conn.m.lostRetained.Add(1)
	if f.r != nil {
		f.r.Expect()
		f.r.Stored(retainedStream, 0, false, err)
		return
	}
	f.conn.notice(noticeNotStored, "topic", core.Cut(f.topic), "stream", retainedStream, "err", err)
}

// settle waits until what was given to keep before has come to an end: then gets
// see it.
func (k *keeper) settle(ctx context.Context) error {
	k.mu.Lock()
	w := settling{k.mu.last, make(chan struct{})}
	if k.mu.told >= w.upTo {
		k.mu.Unlock()
		return nil
	}
	k.mu.waiting = append(k.mu.waiting, w)
	k.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keptHeader is the block of a retained message.
func (c *conn) keptHeader(qos byte, topic string, live []byte, removes bool) []byte {
	h := append(make([]byte, 0, len(live)+len(topic)+128), "NATS/1.0\r\n"...)
	if len(topic) <= maxKeptTopic {
		h = appendKept(h, headerRTopic, topic)
	}
	h = appendKept(h, headerROrigin, nameHash(c.m.services.ServerName()))
	flags := string(hexDigits[qos<<1|flagRetain])
	lives := uint64(0)
	if removes {
		h = appendKept(h, headerRFlags, "-"+flags)
		lives, live = markerLives, nil
	} else {
		h = appendKept(h, headerRFlags, flags)
		h = appendKept(h, headerRSource, c.user())
		h = appendKept(h, headerRClient, c.clientID)
	}
	wire.HeaderEach(live, func(name, value []byte) bool {
		switch string(name) {
		case headerQoS, headerRetain:
			return true
		case headerExpiry: // 0 is as long as others, as with mosquitto
			lives, _ = strconv.ParseUint(string(value), 10, 32)
		}
		if forStream(name) {
			h = append(h, headerKept...)
		}
		h = appendField(h, name, value)
		return true
	})
	if lives > 0 {
		h = appendKept(h, headerTTL, strconv.FormatUint(lives, 10))
	}
	return append(h, "\r\n"...)
}

// headerTTL is how many seconds the stream keeps a message.
const headerTTL = "Nats-TTL"

// maxKeptTopic bounds the topic that is stored as a header, for those who read the
// stream: the subject says it too.
const maxKeptTopic = 4 << 10

// appendKept appends a header as nats-server writes its own, if there is a value and
// a header can carry it.
func appendKept(h []byte, name, value string) []byte {
	if value == "" || !headerValue([]byte(value)) {
		return h
	}
	h = append(append(h, name...), ':')
	return append(append(h, value...), '\r', '\n')
}

// forStream reports whether a header may mean something to a stream.
func forStream(name []byte) bool {
	return len(name) > 5 && bytes.EqualFold(name[:5], []byte("Nats-")) || len(name) > 6 && bytes.EqualFold(name[:6], []byte("Frond-"))
}

// retained is a message of the stream as it is delivered.
type retained struct {
	qos    byte
	client []byte // who published it
	header []byte // of the live message
}

// retainedQoS is the QoS of a retained message. It reports false for what is none.
func retainedQoS(m *jsclient.Message) (qos byte, ok bool) {
	flags := wire.HeaderGet(m.Header, headerRFlags)
	if len(flags) != 1 || len(m.Data) == 0 {
		return 0, false // stored by somebody else, or a marker
	}
	n, err := strconv.ParseUint(string(flags), 16, 8)
	return byte(min(n>>1&3, 2)), err == nil
}

// readRetained reads what keptHeader, or nats-server, has written, as of now. It
// reports false for what is none, or has expired.
func readRetained(m *jsclient.Message, now time.Time) (r retained, ok bool) {
	if r.qos, ok = retainedQoS(m); !ok {
		return r, false
	}
	r.client = wire.HeaderGet(m.Header, headerRClient)
	r.header = append(make([]byte, 0, len(m.Header)), "NATS/1.0\r\n"...)
	wire.HeaderEach(m.Header, func(name, value []byte) bool {
		switch {
		case string(name) == headerExpiry:
			if value, ok = expiryLeft(value, now.Sub(m.Time)); !ok {
				return false
			}
		case bytes.HasPrefix(name, []byte(headerKept)):
			name = name[len(headerKept):]
		case bytes.HasPrefix(name, []byte("Nmqtt-R")) && string(name) != headerResponseTopic, forStream(name):
			return true
		}
		r.header = appendField(r.header, name, value)
		return true
	})
	r.header = append(r.header, "\r\n"...)
	return r, ok
}

// expiryLeft is what is left of a message expiry at some age. It reports false when
// that is nothing.
func expiryLeft(value []byte, age time.Duration) (left []byte, ok bool) {
	lives, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil || lives == 0 {
		return value, true // 0 is for as long as others, as with mosquitto
	}
	seconds := uint64(max(age, 0) / time.Second)
	return strconv.AppendUint(nil, lives-min(seconds, lives), 10), seconds < lives // [MQTT-3.3.2-6]
}
