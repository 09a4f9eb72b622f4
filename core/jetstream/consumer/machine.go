package consumer

import (
	"time"
)

// Options is what a Machine needs to know besides its Config.
type Options struct {
	Stream, Name string
	Start        Start
	// Rand gives a number in [0, n): for the ids of flow control requests and
	// pins, for jitter and for sampling. Pins must be hard to guess.
	Rand func(n int) int
	// MaxMessage bounds a message: the burst of the rate limit. 0 is 1 MiB.
	MaxMessage int
	// Interest reports whether anybody listens on a pull request's reply
	// subject. It is asked when the queue of requests is full and before the
	// consumer is called inactive. nil is: always.
	Interest func(reply []byte) bool
	// InterestGrace is how long a request may wait for its interest to come
	// through a link; 0 where there are no links.
	InterestGrace int64
	// Moment is when a time by the wall clock is, in the time of now, as far as
	// is known; nil: they are the same.
	Moment func(time.Time) int64
}

// Machine is one consumer. See the package's documentation for how it is used.
//
// Laws:
//  1. A message is delivered again and again, each time after its deadline, an
//     explicit refusal, or a change of the deliver subject, until it is
//     acknowledged, terminated, removed, or was delivered max_deliver times;
//     never afterwards.
//  2. Consumer sequences of deliveries are consecutive, from 1.
//  3. New messages are delivered in the order of the stream.
//  4. Every change of what is kept (state) is in the delta.
type Machine struct {
	// fixed, or changed by Update
	name       string
	cfg        Config
	filters    []string
	rnd        func(n int) int
	interest   func(reply []byte) bool
	grace      int64
	moment     func(time.Time) int64
	burst      int64
	replayEnd  uint64
	sample     int
	jitter     int64
	ackPrefix  []byte
	flowPrefix []byte
	deliverTo  []byte

	st  state
	rec recorder

	last     uint64 // the stream's last sequence as told
	lostUpTo uint64 // acknowledgements up to here may precede their delivery
	pendingN uint64 // messages that match and were not looked at

	timers  deadlines
	queue   queue
	waiting waiting
	flow    flow
	pin     pin

	here       bool  // push: somebody listens on the deliver subject
	goneAt     int64 // push: since when nobody does
	activeAt   int64 // the last pull, acknowledgement or delivery
	beatAt     int64 // push: when the next heartbeat is due
	pausedTill int64 // 0: not paused
	notBefore  int64 // replay, rate limit or lack of interest hold deliveries
	fullAt     int64 // when the full queue of requests was last looked through

	tokens    int64 // rate limit: bytes that may be sent at tokensAt
	tokensAt  int64
	replayTS  int64 // replay: stored time of the last message
	replayAt  int64 // and when it was delivered
	reply     []byte
	scratch   []uint64
	delivered lastDelivery
}

// lastDelivery is what Undelivered takes back.
type lastDelivery struct {
	valid    bool
	again    bool
	seq      uint64
	pendingN bool // the count of pending messages went down
	to       []byte
	cost     int
	request  *request // nil for push
	finished bool     // the request ended with this message
	statuses int      // len(fx.Statuses) before what the delivery added
	asked    bool

	madePin    bool // the client that was not there would be the pinned one
	advisories int  // len(fx.Advisories) before that was told
}

// New makes a consumer that has delivered nothing. cfg must have passed Check.
// Call Counted with the number of pending messages, and Recover after
// ApplySnapshot and ApplyDelta.
func New(cfg *Config, o Options) *Machine {
	m := &Machine{
		name:      o.Name,
		rnd:       o.Rand,
		interest:  o.Interest,
		grace:     o.InterestGrace,
		moment:    o.Moment,
		burst:     int64(o.MaxMessage),
		replayEnd: o.Start.Last,
		last:      o.Start.Last,
		ackPrefix: AppendAckPrefix(nil, o.Stream, o.Name),
		st:        newState(cfg.AckPolicy, o.Start),
	}
	if m.moment == nil {
		m.moment = time.Time.UnixNano
	}
	if m.burst == 0 {
		m.burst = 1 << 20
	}
	m.flowPrefix = append(m.flowPrefix, "$JS.FC."+o.Stream+"."+o.Name+"."...)
	m.jitter = int64(100*time.Millisecond) + int64(m.rnd(900))*int64(time.Millisecond)
	m.flow.reset()
	m.rec.know(&m.st)
	m.configure(cfg)
	return m
}

func (m *Machine) configure(cfg *Config) {
	m.cfg = *cfg.Clone()
	m.filters = m.cfg.Filters()
	m.deliverTo = append(m.deliverTo[:0], cfg.DeliverSubject...)
	m.sample, _ = parseSample(cfg.SampleFrequency)
	m.pausedTill = 0
	if cfg.PauseUntil != nil {
		m.pausedTill = m.moment(*cfg.PauseUntil)
	}
	m.tokens = m.burst
}

// Config is what the machine works by. It must not be changed.
func (m *Machine) Config() *Config { return &m.cfg }

// Filters are those to look for new messages with; none is all.
func (m *Machine) Filters() []string { return m.filters }

// Activate starts the clocks of a new consumer; Recover does it for one that
// was there before.
func (m *Machine) Activate(now int64) {
	m.activeAt, m.goneAt = now, now
	m.tokensAt = now
	if m.cfg.Heartbeat > 0 {
		m.beatAt = later(now, int64(m.cfg.Heartbeat))
	}
}

// Recover starts the clocks after ApplySnapshot and ApplyDelta: what is pending
// becomes due when it would have been, after its wait or the delay that a
// refusal asked for, but not before half a second. Whatever the clock of the
// device did, that is not later from now than it was from the last thing that
// is known to have happened. last is the last sequence of the stream.
func (m *Machine) Recover(now int64, last uint64) {
	m.Activate(now)
	m.last = max(m.last, last)
	m.lostUpTo = last
	first := now + int64(500*time.Millisecond) + int64(m.rnd(1000))*int64(time.Millisecond)
	for e := m.st.pending.first(); e != nil; e = m.st.pending.after(e) {
		if wait := m.wait(e.count); wait > 0 {
			due := later(e.at, wait)
			left := min(due-now, due-max(m.st.deliveredAt, m.st.ackedAt))
			e.delayed = e.at > m.st.deliveredAt
			m.timers.set(e, max(first, later(now, left)), &m.st.pending)
		}
	}
}

// Unseen is what has to be counted in the stream for Counted, as of the last that
// the machine was told of.
func (m *Machine) Unseen() (filters []string, from uint64, lastPerSubject bool) {
	return m.filters, max(m.st.next, m.st.live), m.cfg.DeliverPolicy == DeliverLastPerSubject && m.st.live == 0
}

// Counted takes how many messages are Unseen.
func (m *Machine) Counted(n uint64) { m.pendingN = n + uint64(len(m.st.list)) }

// wait is how long the delivery number count waits for its acknowledgement; 0
// is for ever.
func (m *Machine) wait(count uint32) int64 {
	if !m.timed() {
		return 0
	}
	if b := m.cfg.BackOff; len(b) > 0 {
		return int64(b[min(max(int(count), 1)-1, len(b)-1)])
	}
	return int64(m.cfg.AckWait)
}

// later is t+d; what clients and configurations give as "for ever" must not
// wrap around.
func later(t, d int64) int64 { return t + min(d, 1<<61) }

func (m *Machine) timed() bool {
	return m.cfg.AckPolicy == AckExplicit || m.cfg.AckPolicy == AckAll
}

func (m *Machine) active(now int64) { m.activeAt = max(m.activeAt, now) }

func (m *Machine) paused(now int64) bool { return now < m.pausedTill }
