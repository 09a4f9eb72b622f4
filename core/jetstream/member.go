package jetstream

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

// member is one consumer of a stream, and the host of its consumer.Machine: it
// brings the machine what is in the mailbox, does what it asks for, and writes
// down what it did. Each of its three mutexes is of a type in a file of its own:
// that of its subscriptions is taken first, the host's (mu) next, and the mailbox's
// last. The delta log is guarded by the host's.
//
// Nothing is done to the machine but under mu, by step: on a worker after
// something came in or became due, or on a goroutine that wants an answer.
// Whoever holds mu must not take the stream's mu (applying takes them the
// other way round); the store is safe without, and may be ahead of what the
// consumer was told.
type member struct {
	// Fixed at construction.
	s       *stream
	e       *Engine
	name    string
	id      uint64 // of the operation that made it, see operationID; changed once, under both locks, when a volatile one is logged
	created int64
	direct  bool
	// volatile: nothing of it is written down, not even that it exists.
	volatile atomic.Bool

	// filters is guarded by the stream's mu: what operations are applied by.
	filters []string

	current atomic.Pointer[consumer.Config] // cfg, for whoever must not wait for a read of it
	deleted atomic.Bool
	ending  atomic.Bool  // its deletion for inactivity is under way
	bounded atomic.Bool  // waits for a note of the stream, see stream.deliverable
	queued  atomic.Int32 // see workers
	timer   timer        // owned by clock

	box mailbox
	bus subscriptions

	mu sync.Mutex
	// Guarded by mu.
	m      *consumer.Machine
	fx     consumer.Effects
	cfg    *consumer.Config // as it was logged last, current too; the machine's may be older until the next step
	deltas deltaLog
	role   role // that of its stream, but recovering until a new one is activated
	// replayed says that the journal took the acknowledgements from floorBefore
	// on; what they released may be there again. Until the first sweep.
	replayed    bool
	floorBefore uint64
	unread      bool     // the next message could not be read, and is tried again
	unreadSaid  minutely // of that
	// inLog is the consumer as the log has it, which m is ahead of: only where a
	// log is shared, and only of a leader; inLogNumber is its newest delta.
	inLog       *consumer.Machine
	inLogNumber uint64
	taken       batch // what came in and is being worked on
	recount     bool  // what is pending has to be counted anew, see enter,
	recountAt   int64 // and not before this
	buf, hdr    []byte
	shown       []byte
	msg         wire.Msg
	acked       []uint64
}

func newMember(s *stream, name string, id uint64, created int64, cfg *consumer.Config, start consumer.Start) *member {
	m := &member{s: s, e: s.e, name: name, id: id, created: created, cfg: cfg, filters: cfg.Filters(), direct: cfg.Direct}
	m.current.Store(cfg)
	m.deltas.logged = (!s.memory || s.shared()) && !cfg.MemoryStorage && (cfg.AckPolicy != consumer.AckNone || cfg.Durable != "")
	m.m = m.newMachine(cfg, start)
	return m
}

func (m *member) newMachine(cfg *consumer.Config, start consumer.Start) *consumer.Machine {
	s := m.s
	return consumer.New(cfg, consumer.Options{
		Stream: s.name, Name: m.name, Start: start,
		Rand:          s.e.random,
		Interest:      m.interest,
		InterestGrace: int64(s.e.cfg.InterestGrace),
		Moment:        s.line.timerAt,
	})
}

// leads is called when the consumer begins to run ahead of its log. Whoever shares
// that may lead next, and then what was not logged never was: so what the files
// get of the consumer is what the log has. The caller holds mu, or is the only one
// who knows m.
func (m *member) leads() error {
	m.inLog = nil
	if !m.deltas.logged || !m.s.shared() {
		return nil
	}
	m.inLog, m.inLogNumber = m.newMachine(m.cfg, consumer.Start{}), m.deltas.number
	return m.inLog.ApplySnapshot(m.m.AppendSnapshot(nil))
}

// logHas is called when the log has a delta of a consumer that runs here.
func (m *member) logHas(number uint64, delta []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inLog == nil || number <= m.inLogNumber {
		return nil
	}
	m.inLogNumber, m.deltas.dirty = number, true
	return m.inLog.ApplyDelta(delta)
}

// interest reports whether anybody listens on a reply subject.
func (m *member) interest(reply []byte) bool {
	b := m.s.acct.bus()
	return b != nil && b.HasInterest(string(reply))
}

// Ways in. They run on any goroutine and only leave a note.

func (m *member) take(kind inputKind, msg *wire.Msg) {
	if m.box.put(kind, msg) {
		m.e.work.schedule(m)
	}
}

func (m *member) listening(present bool) {
	m.box.listening(present)
	m.e.work.schedule(m)
}

// configure is called when an update was applied, by who holds the stream's mu. Applying knows no time, so
// the machine takes it over in its next step.
func (m *member) configure(cfg *consumer.Config) {
	m.mu.Lock()
	m.cfg, m.deltas.dirty = cfg, true
	m.current.Store(cfg)
	leads := m.role == leader
	if !leads {
		m.m.Reconfigure(cfg)
		m.m.Pause(0, pauseOf(cfg))
		m.fx.Reset()
	} else if m.inLog != nil {
		m.inLog.Reconfigure(cfg)
	}
	m.mu.Unlock()
	if leads {
		m.box.configure(cfg)
		m.s.fx.woken(m)
	}
}

// activate starts a new consumer.
func (m *member) activate() {
	m.s.mu.RLock()
	defer m.s.mu.RUnlock()
	if m.s.role != leader {
		return // since it was made
	}
	m.mu.Lock()
	m.role = leader
	m.m.Activate(m.now())
	m.mu.Unlock()
	m.e.work.schedule(m)
}

// clockSet tells the consumer that the wall clock was set; first: it was not known
// to be right before.
func (m *member) clockSet(first bool) {
	m.mu.Lock()
	if m.role == leader { // else it looks anew when it leads
		m.m.ClockSet(first)
	}
	m.mu.Unlock()
	m.e.work.schedule(m)
}

func (m *member) recovered(now int64, last uint64) {
	m.mu.Lock()
	if err := m.leads(); err != nil { // it has just made that snapshot
		m.e.logger.Error("a consumer can't be kept as the log has it", "stream", m.s.name, "consumer", m.name, "err", err)
	}
	m.box.empty(&m.taken) // of what came in while it followed nothing is known
	m.taken.told()
	m.taken.reset()
	m.role, m.replayed = leader, true
	m.m.Recover(now, last)
	m.countHot(nil)
	m.mu.Unlock()
	m.e.work.schedule(m)
}

const nextPrefix = "$JS.API.CONSUMER.MSG.NEXT."

// attach subscribes to what the consumer is asked by.
func (m *member) attach(b Bus) error {
	return m.bus.attach(func() ([]func(), error) {
		if m.deleted.Load() || !m.s.leads() {
			return nil, nil
		}
		return m.subscribe(b)
	})
}

func (m *member) subscribe(b Bus) (undo []func(), err error) {
	cfg := m.config()
	subscribe := func(subject string, kind inputKind) error {
		cancel, err := b.Subscribe(subject, "", asked(func(msg *wire.Msg) { m.take(kind, msg) }))
		if err == nil {
			undo = append(undo, cancel)
		}
		return err
	}
	var errs []error
	at := m.s.name + "." + m.name
	if !m.direct {
		errs = append(errs, subscribe(nextPrefix+at, inputPull))
	}
	if cfg.AckPolicy == consumer.AckExplicit || cfg.AckPolicy == consumer.AckAll {
		errs = append(errs, subscribe("$JS.ACK."+at+".*.*.*.*.*", inputAck))
	}
	if cfg.FlowControl {
		errs = append(errs, subscribe("$JS.FC."+at+".*", inputFlow))
	}
	if cfg.DeliverSubject != "" {
		undo = append(undo, b.WatchInterest(cfg.DeliverSubject, m.listening))
	}
	m.e.work.schedule(m)
	return undo, errors.Join(errs...)
}

func (m *member) detach() { m.bus.detach() }

// reattach follows a changed deliver subject.
func (m *member) reattach(b Bus) error {
	m.detach()
	return m.attach(b)
}

// end finishes a consumer that is deleted, or whose server stops.
func (m *member) end(status string) {
	pubs := new(publishers)
	m.enter(pubs) // with requests that came in before
	m.m.EndRequests(status, &m.fx)
	m.perform(pubs)
	m.mu.Unlock()
	pubs.flush()
	m.wake(0)
}

// stepBudget is how many messages a consumer delivers before others get their
// turn.
const stepBudget = 256

// step does what there is to do. It reports whether there is more at once.
func (m *member) step(pubs *publishers) (more bool) {
	more = m.stepLocked(pubs)
	m.release()
	return more
}

func (m *member) stepLocked(pubs *publishers) (more bool) {
	now := m.enter(pubs)
	defer m.mu.Unlock()
	if m.deleted.Load() || m.role != leader {
		return false
	}
	m.m.Tick(now.timer(), &m.fx)
	m.perform(pubs)
	m.unread = false
	if !m.deltas.full() {
		more = m.deliver(pubs)
	}
	if m.role != leader { // since a read
		return false
	}
	now = m.s.line.read()
	m.log(now)
	if more || m.countDue(now.timer()) {
		return true
	}
	m.wake(m.deadline(now.timer()))
	return false
}

// deadline is when the consumer is to step if nothing happens before; 0 is never. The
// caller holds mu.
func (m *member) deadline(now int64) int64 {
	at := m.m.NextDeadline(now)
	if (len(m.deltas.unsent) > 0 || m.unread) && (at == 0 || now+unsentRetry < at) {
		at = now + unsentRetry
	}
	if m.recount && (at == 0 || m.recountAt < at) {
		at = m.recountAt
	}
	if at != 0 {
		at = max(at, now+minPause)
	}
	return at
}

const (
	// unsentRetry is when a delta that the log refused is offered again, or a
	// message is read again that could not be.
	unsentRetry = int64(1e9)
	// minPause keeps a deadline that stays in the past from spinning.
	minPause = int64(1e6)
)

// enter locks mu with everything taken over that came in. If what is pending has
// to be counted anew, that is done first. It gives the reading of the clocks
// that it went by, from behind all locks.
func (m *member) enter(pubs *publishers) (now moment) {
	m.mu.Lock()
	now = m.s.line.read()
	if m.role != leader {
		return now // what happens is told when it takes part
	}
	m.learn(now.timer())
	if m.countDue(now.timer()) && !m.deleted.Load() {
		var takesPart bool
		if now, takesPart = m.count(); !takesPart {
			return now
		}
	}
	m.serve(now.timer(), pubs)
	return now
}

// learn takes over what came in, and tells the machine what happened. It leaves
// the inputs, which may be asked for what it has still to count. The caller holds mu.
func (m *member) learn(now int64) {
	t := &m.taken
	m.box.empty(t)
	for _, events := range t.events {
		m.happened(now, events)
	}
	if t.config != nil {
		m.update(now, t.config)
	}
	if t.active != 0 {
		m.m.SetActive(now, t.active > 0)
	}
	t.told()
	if m.fx.Recount {
		m.countSoon()
	}
}

// serve works on the inputs that learn left. The caller holds mu.
func (m *member) serve(now int64, pubs *publishers) {
	t := &m.taken
	m.perform(pubs)
	for i := range t.inputs {
		m.handle(now, &t.inputs[i])
		m.perform(pubs)
	}
	t.reset()
}

func (m *member) happened(now int64, events []event) {
	for i := range events {
		ev := &events[i]
		switch ev.kind {
		case eventStored:
			m.shown = append(m.shown[:0], ev.subject...)
			m.m.Appended(ev.seq, m.shown)
		case eventRemoved, eventDeleted:
			reason := consumer.ReasonLimits
			if ev.kind == eventDeleted {
				reason = consumer.ReasonDeleted
			}
			var subj []byte
			if ev.subject != "" {
				m.shown = append(m.shown[:0], ev.subject...)
				subj = m.shown
			} else if ev.seq > m.m.Looked() {
				m.countSoon()
			}
			m.m.Removed(now, ev.seq, subj, reason, &m.fx)
		case eventCompacted:
			if ev.seq > m.m.Looked()+1 {
				m.countSoon()
			}
			m.m.Compacted(now, ev.seq, false, &m.fx)
		case eventPurged:
			m.m.Compacted(now, m.s.store.Index().FirstSeq, m.m.Overlaps(ev.subject), &m.fx)
			m.m.Recheck(now, m.s.store.Has, &m.fx) // one that could not be read is there
			m.countSoon()
		}
	}
}

func (m *member) update(now int64, cfg *consumer.Config) {
	old := m.m.Filters()
	m.m.Update(now, cfg, &m.fx)
	m.m.Pause(now, pauseOf(cfg))
	if !slices.Equal(old, m.m.Filters()) {
		m.countSoon()
	}
}

func (m *member) handle(now int64, in *input) {
	subj, reply, header, body := m.taken.parts(in)
	if consumer.Reserved(reply) {
		reply = nil // nothing goes there: see accountPublisher
	}
	switch in.kind {
	case inputPull:
		if !api.LevelMet(header, m.e.cfg.APILevel) {
			if len(reply) > 0 {
				m.fx.Statuses = append(m.fx.Statuses, consumer.Status{To: reply, Header: wire.AppendStatus(nil, 412, "Required Api Level")})
			}
			return
		}
		m.m.Pull(now, reply, body, &m.fx)
		if m.e.leaving.Load() {
			m.m.EndRequests(consumer.ServerShutdown, &m.fx)
		}
	case inputAck:
		a, ok := consumer.ParseAckSubject(subj)
		if !ok {
			return
		}
		if m.m.Ack(now, a, body, reply, &m.fx) && len(reply) > 0 {
			m.deltas.answers = append(m.deltas.answers, bytes.Clone(reply))
		}
	case inputFlow:
		m.m.FlowReply(now, subj, header, &m.fx)
	}
}

// perform does what the machine asked for. The caller holds mu.
func (m *member) perform(pubs *publishers) {
	if m.fx.Empty() {
		return
	}
	if len(m.fx.Statuses) > 0 {
		if p := pubs.of(m.s.acct); p != nil {
			for i := range m.fx.Statuses {
				st := &m.fx.Statuses[i]
				m.msg = wire.Msg{Subject: st.To, Reply: st.Reply, Header: st.Header, Feeds: m.m.Config().Feeds()}
				p.Publish(&m.msg)
			}
		}
	}
	for i := range m.fx.Advisories {
		m.e.api.ConsumerEvent(m.s.acct, m.s.name, m.name, &m.fx.Advisories[i])
	}
	if m.s.config().Retention != asset.LimitsRetention {
		m.acked = append(m.acked, m.fx.Acked...)
	}
	if m.fx.Inactive && m.s.acct.bus() != nil && !m.ending.Swap(true) {
		m.e.inactive(m)
	}
	if m.fx.Recount {
		m.countSoon()
	}
	m.fx.Reset()
}
