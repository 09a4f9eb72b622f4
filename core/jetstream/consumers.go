package jetstream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/edgestore"
)

// consumers are a stream's consumers. What is here changes under the stream's
// mu, when operations are applied.
type consumers struct {
	s      *stream
	byName map[string]*member
	byID   map[uint64]*member
	list   []*member // by name: what is done for all of them is done in one order
	gone   []string  // deleted since the last seal
	// forgotten lived in memory until the restart.
	forgotten []forgotten // until their deletion is applied
	// changed are those that came, changed or went since the last seal.
	changed map[string]bool
	missed  map[string]consumerRow // recovery: see skipped

	// events gathers what the run that is being applied does to messages.
	// Every consumer gets the same slice, so it is never changed after wake.
	events []event
	// compact is set when messages went from the front.
	compact bool
}

// event is one change of the stream's messages, as consumers are told.
type event struct {
	kind    eventKind
	seq     uint64
	subject string // of a message that was stored or removed, "" when not known; the filter of a purge
}

type eventKind uint8

const (
	eventStored    eventKind = iota
	eventRemoved             // by a limit
	eventDeleted             // by request
	eventCompacted           // everything below seq is gone
	eventPurged              // some of what was there is gone
)

const auxConsumer = "consumer/"

func (c *consumers) get(name string) *member { return c.byName[name] }

// count leaves out what servers made for themselves.
func (c *consumers) count() (n int) {
	for _, m := range c.list {
		if !m.direct {
			n++
		}
	}
	return n
}

// sorted lists the consumers by name, without direct ones.
func (c *consumers) sorted() []*member {
	var all []*member
	for _, m := range c.list {
		if !m.direct {
			all = append(all, m)
		}
	}
	return all
}

func (c *consumers) stored(seq uint64, subject string) {
	if len(c.byName) > 0 {
		c.events = append(c.events, event{eventStored, seq, subject})
	}
}

func (c *consumers) removed(seq uint64, subject string, kind eventKind) {
	if len(c.byName) > 0 {
		c.events = append(c.events, event{kind, seq, subject})
	}
}

func (c *consumers) compacted() { c.compact = len(c.byName) > 0 }

func (c *consumers) purged(filter string) {
	ev := event{kind: eventPurged, subject: filter}
	if n := len(c.events); len(c.byName) > 0 && (n == 0 || c.events[n-1] != ev) {
		c.events = append(c.events, ev)
	}
}

// publish hands the events of a run to every consumer. The caller holds the
// stream's mu.
func (c *consumers) publish() {
	if c.compact {
		c.events = append(c.events, event{kind: eventCompacted, seq: c.s.store.Index().FirstSeq})
		c.compact = false
	}
	if len(c.events) == 0 {
		return
	}
	for _, m := range c.list {
		m.box.happened(c.events)
		c.s.fx.woken(m)
	}
	c.events = make([]event, 0, min(cap(c.events), maxRun))
}

// Operations of consumers.

type consumerCreate struct {
	name    string
	created int64
	config  []byte
	from    int64 // where on the line it begins; 0: its configuration says it
}

func (o *consumerCreate) append(b []byte) []byte {
	b = msgp.AppendString(b, o.name)
	b = msgp.AppendInt64(b, o.created)
	b = msgp.AppendBytes(b, o.config)
	return msgp.AppendInt64(b, o.from)
}

func readConsumerCreate(b []byte) (o consumerCreate, err error) {
	r := opReader{b: b}
	o = consumerCreate{name: r.string(), created: r.int(), config: r.bytes()}
	if r.err == nil && len(r.b) > 0 { // older ones end here
		o.from = r.int()
	}
	return o, r.done("consumer create")
}

// apply applies an operation of a consumer; the caller holds the stream's mu.
func (c *consumers) apply(en *edgestore.Entry, o *outcome) error {
	switch en.Kind {
	case opConsumerCreate:
		return c.applyCreate(en, o)
	case opConsumerConfig:
		return c.applyConfig(en, o)
	case opConsumerDelete:
		return c.applyDelete(en, o)
	case opConsumerDelta:
		return c.applyDelta(en)
	}
	return fmt.Errorf("operation %d is not known to this server", en.Kind)
}

// operationID is a number that no other operation of the log has: its place in
// the log that servers share, or in the journal of a server that is alone.
func operationID(en *edgestore.Entry) uint64 {
	if en.Group != 0 {
		return en.Index
	}
	return uint64(en.LSN)
}

func (c *consumers) applyCreate(en *edgestore.Entry, o *outcome) error {
	op, err := readConsumerCreate(en.Data)
	if err != nil {
		return err
	}
	cfg, err := consumer.Decode(op.config)
	if err != nil {
		return err
	}
	if m := c.byName[op.name]; m != nil {
		if c.s.role == leader && m.volatile.Load() {
			c.logged(m, operationID(en)) // there already, and now for everybody to know
			o.consumer = m
			return nil
		}
		return errConsumerExists
	}
	// Where it begins is decided here, at its place among the operations:
	// what was appended before it is in the stream, and nothing else is.
	begin := *cfg
	if op.from != 0 && cfg.OptStartTime != nil {
		at := time.Unix(0, op.from)
		begin.OptStartTime = &at
	}
	volatile := operationID(en) >= firstVolatile
	start, err := c.s.startOf(&begin, volatile)
	if err != nil {
		return err
	}
	if volatile && c.byName[op.name] != nil { // since a moment
		return errConsumerExists
	}
	m := newMember(c.s, op.name, operationID(en), op.created, cfg, start)
	m.deltas.dirty = true
	m.volatile.Store(volatile)
	m.countHot(nil)
	m.floorBefore = m.m.AckFloor().Stream
	if c.s.role == leader {
		if err := m.leads(); err != nil {
			return err
		}
		c.publish() // to the others: what the run did up to here is counted
	}
	c.add(m)
	c.change(m.name)
	o.consumer = m
	return nil
}

// startOf finds where a consumer begins. One that is in no log is made beside the
// steps, which go on while it is looked for on the disk: it begins where the stream
// ended when that was begun.
func (s *stream) startOf(cfg *consumer.Config, volatile bool) (start consumer.Start, err error) {
	at := s.store.Index()
	find := func(st edgestore.Reads) (err error) {
		start, err = consumer.StartOf(cfg, at.FirstSeq, at.LastSeq, s.config().MaxMsgsPer, st)
		return err
	}
	if !volatile {
		err = s.read(find)
		return start, err
	}
	if err = find(s.store.Hot()); errors.Is(err, edgestore.ErrCold) {
		s.mu.Unlock()
		err = find(s.store)
		s.mu.Lock()
	}
	switch {
	case err != nil:
		return start, errConsumerCreate.With("the stream could not be read: %v", err)
	case s.deleted:
		return start, apierror.ErrStreamNotFound
	case s.role != leader:
		return start, errNotAvailable
	}
	return start, nil
}

// lookUpStart has memory know where a consumer that is in no log would begin, for
// startOf: whoever makes one holds up all who change the stream's consumers.
func (s *stream) lookUpStart(cfg *consumer.Config) {
	at, max := s.store.Index(), s.config().MaxMsgsPer
	if _, err := consumer.StartOf(cfg, at.FirstSeq, at.LastSeq, max, s.store.Hot()); errors.Is(err, edgestore.ErrCold) {
		_, _ = consumer.StartOf(cfg, at.FirstSeq, at.LastSeq, max, s.store)
	}
}

func (c *consumers) add(m *member) {
	if c.byName == nil {
		c.byName, c.byID = make(map[string]*member), make(map[uint64]*member)
	}
	i, again := slices.BinarySearchFunc(c.list, m.name, func(x *member, name string) int { return strings.Compare(x.name, name) })
	if again {
		c.list[i] = m
	} else {
		c.list = slices.Insert(c.list, i, m)
	}
	c.byName[m.name], c.byID[m.id] = m, m
}

func (c *consumers) remove(m *member) {
	delete(c.byName, m.name)
	delete(c.byID, m.id)
	if i := slices.Index(c.list, m); i >= 0 {
		c.list = slices.Delete(c.list, i, i+1)
	}
}

// logged makes a volatile consumer the one that an operation made: everybody who
// only applies that knows it by this id.
func (c *consumers) logged(m *member, id uint64) {
	delete(c.byID, m.id)
	m.mu.Lock()
	m.id, m.deltas.dirty = id, true
	m.mu.Unlock()
	m.volatile.Store(false)
	c.add(m)
	c.change(m.name)
}

func (c *consumers) applyConfig(en *edgestore.Entry, o *outcome) error {
	r := opReader{b: en.Data}
	name, config := r.string(), r.bytes()
	if err := r.done("consumer update"); err != nil {
		return err
	}
	cfg, err := consumer.Decode(config)
	if err != nil {
		return err
	}
	m := c.byName[name]
	if m == nil {
		return errConsumerNotFound
	}
	m.filters = cfg.Filters()
	m.configure(cfg)
	c.change(name)
	o.consumer = m
	return nil
}

func (c *consumers) applyDelete(en *edgestore.Entry, o *outcome) error {
	r := opReader{b: en.Data}
	name := r.string()
	if err := r.done("consumer delete"); err != nil {
		return err
	}
	m := c.byName[name]
	if m == nil {
		c.goneInLog(name)
		return errConsumerNotFound
	}
	c.remove(m)
	c.gone = append(c.gone, name)
	c.change(name)
	m.deleted.Store(true)
	o.consumer = m
	return nil
}

// applyDelta takes over what a consumer did. Of a stream that leads the consumer
// itself did it before it was logged.
func (c *consumers) applyDelta(en *edgestore.Entry) error {
	r := opReader{b: en.Data}
	id, number, delta := r.uint(), r.uint(), r.bytes()
	if err := r.done("consumer delta"); err != nil {
		return err
	}
	m := c.byID[id]
	switch {
	case m == nil, c.s.role == leader && !c.s.shared():
		return nil // and nobody waits for a consumer that is at work
	case c.s.role == leader:
		return m.logHas(number, delta)
	}
	return m.follow(number, delta)
}

// load makes a consumer from what the store kept of it.
func (c *consumers) load(key string, value []byte) error {
	r := opReader{b: value}
	id, created, config, number, snapshot := r.uint(), r.int(), r.bytes(), r.uint(), r.bytes()
	if err := r.done("consumer state"); err != nil {
		return err
	}
	cfg, err := consumer.Decode(config)
	if err != nil {
		return err
	}
	m := newMember(c.s, strings.TrimPrefix(key, auxConsumer), id, created, cfg, consumer.Start{})
	if err := m.m.ApplySnapshot(snapshot); err != nil {
		return err
	}
	m.deltas.number = number
	m.floorBefore = m.m.AckFloor().Stream
	c.add(m)
	return nil
}

// seal appends what has to be written of the consumers.
func (c *consumers) seal(aux []edgestore.Aux) []edgestore.Aux {
	for _, name := range c.gone {
		if c.byName[name] == nil {
			aux = append(aux, edgestore.Aux{Key: auxConsumer + name})
		}
	}
	c.gone = nil
	for _, m := range c.list {
		name := m.name
		if value, ok := m.seal(); ok {
			aux = append(aux, edgestore.Aux{Key: auxConsumer + name, Value: value})
		}
	}
	return aux
}

// recovered ends the recovery, or the following: the consumers' clocks start.
func (c *consumers) recovered() {
	c.events, c.compact = nil, false
	c.forget()
	now, last := c.s.line.timer(), c.s.store.Index().LastSeq
	for _, m := range c.list {
		m.recovered(now, last)
	}
}

// all lists every consumer, direct ones too.
func (s *stream) members() []*member {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.consumers.list)
}

func (s *stream) member(name string) *member {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.consumers.get(name)
}

func (s *stream) attachMembers(b Bus) error {
	for _, m := range s.members() {
		if err := m.attach(b); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) detachMembers() {
	for _, m := range s.members() {
		m.detach()
	}
}

// closeMembers is called when the stream was deleted.
func (s *stream) closeMembers() {
	for _, m := range s.members() {
		m.deleted.Store(true)
		m.detach()
		m.end(consumer.ConsumerDeleted)
		if !m.direct {
			s.e.api.ConsumerChanged(s.acct, s.name, m.name, "DELETED", "delete")
		}
	}
}

// now is the time that timers of the engine live by, see timeline.timer.
func (e *Engine) now() int64 { return e.local.timer() }

// now is the time that a consumer lives by: that of its stream's log, which the
// times that are logged of it are by.
func (m *member) now() int64 { return m.s.line.timer() }

// wake has the consumer step at a time of its own; 0 is never.
func (m *member) wake(at int64) {
	if at != 0 {
		at = max(1, at+m.e.local.timersAhead(m.s.line))
	}
	m.e.clock.set(m, at)
}

func atTime(ns int64) time.Time { return time.Unix(0, ns).UTC() }
