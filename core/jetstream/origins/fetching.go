package origins

import (
	"strconv"
	"strings"
	"sync"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
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
// Everything that publishes or changes interest is done by the goroutine of
// Fetchers, for the routing of a message allows neither.
type fetching struct {
	// Fixed at construction.
	w          *Fetchers
	s          Stream
	bus        Bus
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

// errNotStored is the code of a message that was dropped here.
var errNotStored = &apierror.Error{Code: 503, ErrCode: 10077}

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

func newFetching(w *Fetchers, s Stream, b Bus, src *asset.StreamSource, mirror bool) (*fetching, error) {
	f := &fetching{w: w, s: s, bus: b, src: src, startOver: s.Config().StartsOver()}
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
		Target: s.Name(), Account: s.Account(), Domain: w.o.Domain, Key: f.key, StartOver: f.startOver}
	if src.OptStartTime != nil {
		c.StartTime = *src.OptStartTime
	}
	if src.External != nil {
		c.Deliver = src.External.DeliverPrefix
	}
	f.inbox = "$JSC.R." + w.o.Token(8)
	f.watched = c.API + ".CONSUMER.CREATE." + src.Name
	at, fresh := s.Position(f.key)
	f.mu.f = sourcing.New(c, at.Seq, fresh, at.Identity, w.o.Random)
	return f, nil
}

// start is called by the fetcher goroutine.
func (f *fetching) start() error {
	cancel, err := f.bus.SubscribeFrom(f.src.Domain(), f.inbox+".*", f.answer)
	if err != nil {
		return err
	}
	f.cancels = append(f.cancels, cancel)
	f.cancels = append(f.cancels, f.bus.WatchInterest(f.watched, f.reachable))
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
	input(f.w.o.Now(), &f.mu.fx)
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
	f.w.wake(f) // the deadline may have moved too
}

func (f *fetching) tick() {
	half := f.bus.HalfReadAt()
	f.step(func(now int64, fx *sourcing.Effects) {
		if !half.IsZero() {
			f.mu.f.HalfRead(now - int64(f.w.o.Clock().Sub(half)))
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
		f.w.o.Logger.Warn("the origin's server gives mirrors and sources no durable consumer: if the stream is a work queue or of interest, what is on the line is lost when this end stops",
			"account", f.s.Account(), "stream", f.s.Name(), "origin", f.src.Name)
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
	now := f.w.o.Now()
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
			if b, ok := t.t.Append(mu.subj[:0], subj, f.w.o.Random); ok {
				mu.subj, subj = b, b
			}
		}
		break
	}
	mu.header = sourcing.AppendHeader(mu.header[:0], m.Header, f.label, in.Seq, filter, dest, shown, mu.f.Identity())
	header := mu.header
	if len(m.Header) == 0 && f.key == "" {
		header = nil
	}
	msg := Message{Source: f.key, Seq: in.Seq, At: in.Time, After: in.After, Subject: subj, Header: header, Body: m.Body}
	if f.key != "" {
		switch n := sourcing.Hops(m.Header); {
		case n >= sourcing.MaxHops:
			mu.loops++
			f.s.Looped(f.src.Name)
			msg.Header, msg.Body, msg.Loop = nil, nil, true
		case n > 0:
			msg.Header = wire.HeaderSet(nil, header, sourcing.HdrHops, strconv.Itoa(n+1))
		}
	}
	return f.s.Take(&msg, f)
}

// originLocked writes down which stream the origin is.
func (f *fetching) originLocked(o *sourcing.Origin) {
	var w Waiter
	if o.Restart && f.key == "" {
		// If there is no room for it now, the fetcher comes back to it.
		f.s.StartOver()
		return
	}
	if o.Restart {
		w = restarting{f}
		f.w.o.Logger.Warn("origin was made anew: the source begins at its start", "account", f.s.Account(), "stream", f.s.Name(), "origin", f.src.Name)
	}
	// If it is lost, the next attempt finds the same.
	if err := f.s.NoteOrigin(f.key, o, w); err != nil {
		f.w.o.Logger.Warn("identity of an origin could not be written down", "stream", f.s.Name(), "origin", f.src.Name, "err", err)
	}
}

// restarting waits until the position is forgotten.
type restarting struct{ f *fetching }

// Told is part of Waiter.
func (r restarting) Told(_ uint64, o Outcome) {
	if o.Err == nil {
		r.f.step(func(now int64, fx *sourcing.Effects) { r.f.mu.f.Restarted(now, fx) })
	}
}

// skipLocked records that the origin has nothing up to seq.
func (f *fetching) skipLocked(seq uint64) {
	if f.key != "" {
		return // a source has sequences of its own
	}
	// If it is lost, the first message behind the gap makes it too.
	_ = f.s.Skip(seq)
}

// lostLocked has a message booked that the origin has and that can not come.
// When that can't be written down now, the origin is asked again, and tells it
// again.
func (f *fetching) lostLocked(now int64, text, why string) {
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return
	}
	if err := f.s.PassOver(f.key, seq, f.mu.f.Before(), why, passingOver{f, why}); err != nil {
		f.mu.f.Refused(now, &f.mu.fx)
	}
}

// passingOver waits until a message is booked as lost.
type passingOver struct {
	f   *fetching
	why string
}

// Told is part of Waiter.
func (p passingOver) Told(seq uint64, o Outcome) {
	if f := p.f; o.Err == nil && !o.Known {
		f.w.o.Logger.Error("message of the origin is lost on the way", "account", f.s.Account(), "stream", f.s.Name(), "origin", f.src.Name, "seq", seq, "err", p.why)
	}
}

// Told is part of Waiter: it is what became of a message.
func (f *fetching) Told(seq uint64, o Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.stopped {
		return
	}
	f.mu.fx.Reset()
	if o.Err != nil {
		f.mu.f.Refused(f.w.o.Now(), &f.mu.fx)
	} else {
		f.mu.f.Stored(seq, &f.mu.fx)
	}
	if fx := &f.mu.fx; fx.Unsubscribe || len(fx.Replies) > 0 {
		f.queueLocked()
	}
}

// forgetSubject is where the origin is told that nobody needs its consumer.
func (f *fetching) forgetSubject() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.f.ForgetSubject()
}

// info is what stream info shows.
func (f *fetching) info() *api.SourceInfo {
	at, _ := f.s.Position(f.key)
	f.mu.Lock()
	i := f.mu.f.Info(f.w.o.Now())
	if i.Err == nil && f.mu.loops > 0 {
		i.Err = errNotStored.With(
			"%d messages dropped: streams %s and %s feed each other, they were taken over %d times", f.mu.loops, f.src.Name, f.s.Name(), sourcing.MaxHops)
	}
	f.mu.Unlock()
	out := &api.SourceInfo{
		Error: i.Err, Name: f.src.Name, External: f.src.External, Lag: i.Lag, Seq: i.Seq, Active: i.Active,
		FilterSubject: f.src.FilterSubject, SubjectTransforms: f.src.SubjectTransforms,
	}
	if at.Lost.Msgs > 0 {
		out.Lost = &at.Lost
	}
	return out
}
