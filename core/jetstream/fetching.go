package jetstream

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// fetching brings the messages of one origin into a stream: a mirror, or one
// of its sources. The sourcing.Fetcher decides, and fetching does.
//
// Deliveries are appended to the log on the goroutine that routes them.
// Everything that publishes or changes interest is done by the engine's
// fetcher goroutine, for the routing of a message allows neither.
type fetching struct {
	// Fixed at construction.
	s          *stream
	src        *asset.StreamSource
	key        string // "" for a mirror
	label      string // same
	startOver  bool   // a mirror may start over when its origin was made anew
	transforms []sourceTransform
	inbox      string // prefix of the answers to requests
	watched    string // subject whose interest tells whether the origin is there

	mu struct {
		sync.Mutex
		f       *sourcing.Fetcher
		fx      sourcing.Effects
		todo    []todo
		stopped bool
		seen    bool // the first report of interest is the present state
		header  []byte
		subj    []byte
		// toldPlain: it was said that the origin's server is an old one.
		toldPlain bool
		loops     uint64 // messages dropped that came round too often
	}

	// Owned by the fetcher goroutine.
	cancels []func() // of the inbox and the watch
	deliver func()   // of the delivery subject, nil for none
}

// sourceTransform is one of a source's filters with what its subjects become.
type sourceTransform struct {
	filter, dest string
	t            *subject.Transform // nil leaves them as they are
}

// todo is what the fetcher goroutine has to do, in the order of the fields.
type todo struct {
	unsubscribe bool
	request     *sourcing.Request
	subscribe   string
	attempt     uint64 // of subscribe
	replies     []sourcing.Reply
}

func newFetching(s *stream, src *asset.StreamSource, mirror bool) (*fetching, error) {
	f := &fetching{s: s, src: src, startOver: s.config().StartsOver()}
	filters, _ := src.Filters()
	for _, t := range src.SubjectTransforms {
		st := sourceTransform{filter: asset.OrAll(t.Source), dest: asset.OrAll(t.Destination)}
		if t.Destination != "" {
			var err error
			if st.t, err = asset.NewTransform(t.Source, t.Destination); err != nil {
				return nil, err
			}
		}
		f.transforms = append(f.transforms, st)
	}
	if !mirror {
		f.key, f.label = src.Key(), src.Label()
	}
	c := sourcing.Config{Mirror: mirror, Stream: src.Name, API: src.API(), Filters: filters, StartSeq: src.OptStartSeq,
		Target: s.name, Account: s.acct.name, Domain: s.e.cfg.Domain, Key: f.key, StartOver: f.startOver}
	if src.OptStartTime != nil {
		c.StartTime = *src.OptStartTime
	}
	if src.External != nil {
		c.Deliver = src.External.DeliverPrefix
	}
	f.inbox = "$JSC.R." + s.e.token(8)
	f.watched = c.API + ".CONSUMER.CREATE." + src.Name
	at, fresh := s.position(f.key)
	f.mu.f = sourcing.New(c, at.seq, fresh, at.identity, s.e.random)
	return f, nil
}

// start is called by the fetcher goroutine.
func (f *fetching) start(b Bus) error {
	cancel, err := b.SubscribeFrom(f.src.Domain(), f.inbox+".*", f.answer)
	if err != nil {
		return err
	}
	f.cancels = append(f.cancels, cancel)
	f.cancels = append(f.cancels, b.WatchInterest(f.watched, f.reachable))
	f.tick()
	return nil
}

// halt makes it take nothing more, from now on: whoever removed a source was
// answered, and must not find later messages of it. What is on the bus for it
// goes with end.
func (f *fetching) halt() {
	f.mu.Lock()
	f.mu.stopped = true
	f.mu.Unlock()
}

// end is called by the fetcher goroutine.
func (f *fetching) end() {
	f.halt()
	for _, cancel := range f.cancels {
		cancel()
	}
	if f.deliver != nil {
		f.deliver()
		f.deliver = nil
	}
}

// step runs one input of the fetcher and queues what comes of it.
func (f *fetching) step(input func(now int64, fx *sourcing.Effects)) {
	f.mu.Lock()
	f.stepLocked(input)
	f.mu.Unlock()
}

func (f *fetching) stepLocked(input func(now int64, fx *sourcing.Effects)) {
	if f.mu.stopped {
		return
	}
	f.mu.fx.Reset()
	input(f.s.e.now(), &f.mu.fx)
	f.queueLocked()
}

// queueLocked hands effects to the fetcher goroutine.
func (f *fetching) queueLocked() {
	fx := &f.mu.fx
	if fx.Origin != nil {
		f.originLocked(fx.Origin)
	}
	if fx.Skip > 0 {
		f.skipLocked(fx.Skip)
	}
	if fx.Unsubscribe || fx.Request != nil || fx.Subscribe != "" || len(fx.Replies) > 0 {
		t := todo{unsubscribe: fx.Unsubscribe, request: fx.Request, subscribe: fx.Subscribe, attempt: f.mu.f.Attempt()}
		t.replies = append(t.replies, fx.Replies...)
		f.mu.todo = append(f.mu.todo, t)
	}
	f.s.e.fetch.wake(f) // the deadline may have moved too
}

func (f *fetching) tick() {
	var half time.Time
	if b := f.s.acct.bus(); b != nil {
		half = b.HalfReadAt()
	}
	f.step(func(now int64, fx *sourcing.Effects) {
		if !half.IsZero() {
			f.mu.f.HalfRead(now - int64(f.s.e.cfg.Now().Sub(half)))
		}
		f.mu.f.Tick(now, fx)
	})
}

// reachable is told by the account whether anybody listens to the origin's
// API. That it appears means that a link came up.
func (f *fetching) reachable(present bool) {
	f.step(func(now int64, fx *sourcing.Effects) {
		first := !f.mu.seen
		f.mu.seen = true
		switch {
		case first: // a subject that is mapped shows no interest and works
		case present:
			f.mu.f.Reachable(now, fx)
		default:
			f.mu.f.Unreachable(now, fx)
		}
	})
}

// answer takes the answer to a request for a consumer.
func (f *fetching) answer(m *wire.Msg) {
	attempt, err := strconv.ParseUint(string(m.Subject[len(f.inbox)+1:]), 10, 64)
	if err != nil {
		return
	}
	a := sourcing.Answer{}
	if code, _ := wire.HeaderStatus(m.Header); code == 503 {
		a.NoResponders = true
	} else {
		a = sourcing.ReadAnswer(m.Body)
		a.Identity = string(wire.HeaderGet(m.Header, sourcing.HdrIdentity))
	}
	f.step(func(now int64, fx *sourcing.Effects) { f.mu.f.Answer(now, attempt, a, fx) })
	f.mu.Lock()
	tell := f.mu.f.Plain() && !f.mu.toldPlain
	f.mu.toldPlain = f.mu.toldPlain || tell
	f.mu.Unlock()
	if tell {
		f.s.e.logger.Warn("the origin's server gives mirrors and sources no durable consumer: if the stream is a work queue or of interest, what is on the line is lost when this end stops",
			"account", f.s.acct.name, "stream", f.s.name, "origin", f.src.Name)
	}
}

// delivery takes what arrives on the delivery subject: messages, and status
// messages of the origin.
func (f *fetching) delivery(attempt uint64, m *wire.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.stopped {
		return
	}
	now := f.s.e.now()
	f.mu.fx.Reset()
	if !strings.HasPrefix(string(m.Reply), "$JS.ACK.") {
		f.statusLocked(now, attempt, m)
		f.queueLocked()
		return
	}
	in, ok := f.mu.f.Message(now, attempt, m.Reply, &f.mu.fx)
	if ok {
		if err := f.appendLocked(&in, m); err != nil {
			f.mu.f.Refused(now, &f.mu.fx)
		}
	}
	if fx := &f.mu.fx; fx.Unsubscribe || fx.Request != nil {
		f.queueLocked()
	}
}

func (f *fetching) statusLocked(now int64, attempt uint64, m *wire.Msg) {
	if code, _ := wire.HeaderStatus(m.Header); code != 100 {
		return
	}
	if len(m.Reply) > 0 {
		f.mu.f.FlowControl(now, attempt, string(m.Reply), &f.mu.fx)
		return
	}
	if seq := wire.HeaderGet(m.Header, consumer.HdrSkipped); seq != nil {
		f.lostLocked(now, string(seq), string(wire.HeaderGet(m.Header, consumer.HdrSkippedReason)))
	}
	last, _ := strconv.ParseUint(string(wire.HeaderGet(m.Header, "Nats-Last-Consumer")), 10, 64) // none is 0
	f.mu.f.Heartbeat(now, attempt, last, string(wire.HeaderGet(m.Header, "Nats-Consumer-Stalled")), &f.mu.fx)
}

// appendLocked gives one message to the log.
func (f *fetching) appendLocked(in *sourcing.Incoming, m *wire.Msg) error {
	s, v := f.s, f.s.view.Load()
	mu := &f.mu
	shown := m.VisibleSubject()
	filter, dest := asset.OrAll(f.src.FilterSubject), ">"
	subj := shown
	for i := range f.transforms {
		t := &f.transforms[i]
		if !subject.Match(t.filter, string(shown)) {
			continue
		}
		filter, dest = t.filter, t.dest
		if t.t != nil {
			if b, ok := t.t.Append(mu.subj[:0], subj, s.e.random); ok {
				mu.subj, subj = b, b
			}
		}
		break
	}
	if v.transform != nil {
		if b, ok := v.transform.Append(nil, subj, s.e.random); ok {
			subj = b
		}
	}
	mu.header = sourcing.AppendHeader(mu.header[:0], m.Header, f.label, in.Seq, filter, dest, shown, mu.f.Identity())
	header := mu.header
	if len(m.Header) == 0 && f.key == "" {
		header = nil
	}
	msg := fetched{source: f.key, seq: in.Seq, at: in.Time, after: in.After, subject: subj, header: header, body: m.Body}
	if f.key != "" {
		switch n := hopsOf(m.Header); {
		case n >= maxHops:
			mu.loops++
			s.e.loops.drop(s, f.src.Name)
			msg.header, msg.body, msg.loop = nil, nil, true
		case n > 0:
			msg.header = wire.HeaderSet(nil, header, hdrHops, strconv.Itoa(n+1))
		}
	}
	return s.appendFetched(&msg, f)
}

// originLocked writes down which stream the origin is.
func (f *fetching) originLocked(o *sourcing.Origin) {
	var w ingestWaiter
	if o.Restart && f.key == "" {
		// If there is no room for it now, the fetcher comes back to it.
		f.s.e.api.Do(func() { f.s.e.startOver(f.s) })
		return
	}
	if o.Restart {
		w = f
		f.s.e.logger.Warn("origin was made anew: the source begins at its start", "account", f.s.acct.name, "stream", f.s.name, "origin", f.src.Name)
	}
	// If it is lost, the next attempt finds the same.
	if err := f.s.logOrigin(&originOp{f.key, o.Identity, o.Restart}, w); err != nil {
		f.s.e.logger.Warn("identity of an origin could not be written down", "stream", f.s.name, "origin", f.src.Name, "err", err)
	}
}

// restarted is told by the applier that the position was forgotten.
func (f *fetching) restarted(o *outcome) {
	if o.err == nil {
		f.step(func(now int64, fx *sourcing.Effects) { f.mu.f.Restarted(now, fx) })
	}
}

// skipLocked records that the origin has nothing up to seq.
func (f *fetching) skipLocked(seq uint64) {
	if f.key != "" {
		return // a source has sequences of its own
	}
	// If it is lost, the first message behind the gap makes it too.
	_ = f.s.appendSkip(seq, f.s.e.line.wallNow().UnixNano())
}

// ingested is told by the applier what became of a message.
func (f *fetching) ingested(seq uint64, o *outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.stopped {
		return
	}
	f.mu.fx.Reset()
	if o.err != nil {
		f.mu.f.Refused(f.s.e.now(), &f.mu.fx)
	} else {
		f.mu.f.Stored(seq, &f.mu.fx)
	}
	if fx := &f.mu.fx; fx.Unsubscribe || len(fx.Replies) > 0 {
		f.queueLocked()
	}
}

// info is what stream info shows.
func (f *fetching) info() *api.SourceInfo {
	at, _ := f.s.position(f.key)
	f.mu.Lock()
	i := f.mu.f.Info(f.s.e.now())
	if i.Err == nil && f.mu.loops > 0 {
		i.Err = errStoreFailed.With(
			"%d messages dropped: streams %s and %s feed each other, they were taken over %d times", f.mu.loops, f.src.Name, f.s.name, maxHops)
	}
	f.mu.Unlock()
	out := &api.SourceInfo{
		Error: i.Err, Name: f.src.Name, External: f.src.External, Lag: i.Lag, Seq: i.Seq, Active: i.Active,
		FilterSubject: f.src.FilterSubject, SubjectTransforms: f.src.SubjectTransforms,
	}
	if at.lost.Msgs > 0 {
		out.Lost = &at.lost
	}
	return out
}

var _ ingestWaiter = (*fetching)(nil)
