package account

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// HdrRequestInfo is the header in which a service hears who asks.
const HdrRequestInfo = "Nats-Request-Info"

// Service is a service of one account that another one imports. What is asked gets a
// reply subject that is good in the account of the service, and only for answers to
// that question: who answers learns nothing of the subjects of who asks, and can
// publish to none of them.
//
// It is safe for concurrent use. Close ends it.
type Service struct {
	ask, back *Sub
	from      *Account
	name      string // of from, as JSON
	share     bool   // tells who asks
	many      bool   // a question may have several answers
	threshold time.Duration
	prefix    []byte // of its reply subjects
	began     time.Time
	measure   atomic.Pointer[Measure]

	mu     sync.Mutex
	open   map[token]*question
	closed bool
	timer  *time.Timer // runs while questions wait: nothing else may come by
	armed  bool
	most   int // open had at once
	held   int // bytes that those who wait hold
	oldest *question
	newest *question
	free   pool
}

// question is one that waits for answers, or what a message is changed to on its way.
type question struct {
	reply, wire, header []byte
	token               token
	until               time.Duration // since the service began
	measured            *Measured     // nil: it is not
	prev, next          *question
}

// token is the end of a reply subject.
type token [8]byte

// maxQuestions bounds how many wait for answers; with more the oldest gets none.
const maxQuestions = 1 << 16

// maxHeld bounds the bytes of their reply subjects, which may be long ones.
const maxHeld = 4 << 20

// pool is what questions were made of, for the next ones.
type pool struct {
	first *question
	n     int
}

const (
	maxPooled = 256
	// maxKept is the most bytes that one in a pool holds on to.
	maxKept = 1 << 10
)

func (p *pool) take() *question {
	q := p.first
	if q == nil {
		return new(question)
	}
	p.first, q.next = q.next, nil
	p.n--
	return q
}

func (p *pool) give(q *question) {
	if p.n == maxPooled {
		return
	}
	if cap(q.header) > maxKept {
		q.header = nil
	}
	if cap(q.reply) > maxKept {
		q.reply = nil
	}
	q.next = p.first
	p.first = q
	p.n++
}

// NewService lets from ask what to answers. local is the pattern in from, subj gives a
// subject of it its name in to. share tells the service who asks, not only from which
// account; many is for services that answer more than once, within threshold of the
// answer before.
func NewService(from, to *Account, local string, subj func(string) string, share, many bool, threshold time.Duration) (*Service, error) {
	name, _ := json.Marshal(from.name)
	s := &Service{from: from, name: string(name), share: share, many: many, threshold: threshold, began: time.Now(), open: map[token]*question{}}
	s.prefix = append(randomToken([]byte("_R_."), 6), '.')
	s.back = &Sub{Subject: string(s.prefix) + "*", Sink: &Crossing{To: from, by: answers{s}}}
	s.ask = &Sub{Subject: local, Sink: &Crossing{To: to, Subject: subj, by: questions{s}}}
	if err := to.Subscribe(s.back); err != nil {
		return nil, err
	}
	if err := from.Subscribe(s.ask); err != nil {
		s.back.End()
		return nil, err
	}
	return s, nil
}

// Close takes no more questions, and no answers.
func (s *Service) Close() {
	s.ask.End()
	s.back.End()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.oldest != nil {
		s.endLocked(s.oldest)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
}

// Waiting is how many questions wait for answers.
func (s *Service) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// randomToken is not to be guessed: the source of the random numbers is a strong one.
func randomToken(b []byte, n int) []byte {
	for r := rand.Uint64(); n > 0; n-- { // enough for 10
		b = append(b, base62[r%uint64(len(base62))])
		r /= uint64(len(base62))
	}
	return b
}

// passage changes a message that crosses into another account.
type passage interface {
	// enter reports false for a message that does not go there. q is there for what
	// the message is changed to, until it is routed.
	enter(o *Origin, m *wire.Msg, q *question) bool
	// left is told of how many took it.
	left(q *question, taken int)
}

type questions struct{ *Service }

func (s questions) enter(o *Origin, m *wire.Msg, q *question) bool {
	q.wire = q.wire[:0]
	who := s.who(o)
	if len(m.Reply) > 0 {
		q.wire = randomToken(append(q.wire, s.prefix...), len(token{}))
		s.wait(m.Reply, token(q.wire[len(s.prefix):]), s.sample(o, m, who))
		m.Reply = q.wire
	} else {
		s.report(s.sample(o, m, who), 400, "")
	}
	q.header = wire.HeaderSet(q.header[:0], m.Header, HdrRequestInfo, who)
	m.Header = q.header
	return true
}

// who is the value of HdrRequestInfo. A question that has come from yet another account
// names the one that asks and, as svc, the one that asks for it.
func (s questions) who(o *Origin) string {
	info := ""
	if o.describe != nil {
		info = o.describe(s.share)
	}
	if o.asker == s.from {
		if info == "" {
			return `{"acc":` + s.name + "}"
		}
		return info
	}
	if info == "" {
		name, _ := json.Marshal(o.asker.name)
		info = `{"acc":` + string(name) + "}"
	}
	return strings.TrimSuffix(info, "}") + `,"svc":` + s.name + "}"
}

func (s questions) left(q *question, taken int) {
	if taken > 0 || len(q.wire) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.open[token(q.wire[len(s.prefix):])]; w != nil {
		s.report(w.measured, 503, "")
		w.measured = nil
		s.endLocked(w)
	}
}

type answers struct{ *Service }

func (s answers) enter(o *Origin, m *wire.Msg, q *question) bool {
	now := time.Since(s.began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(now)
	var w *question
	if t := m.Subject[len(s.prefix):]; len(t) == len(token{}) {
		w = s.open[token(t)]
	}
	if w == nil {
		return false
	}
	q.reply = append(q.reply[:0], w.reply...)
	if w.measured != nil {
		responder := ""
		if o.describe != nil {
			responder = o.describe(true)
		}
		s.report(w.measured, 200, responder)
		w.measured = nil
	}
	if !s.many {
		s.endLocked(w)
	} else {
		s.unlinkLocked(w)
		s.linkLocked(w, now)
	}
	m.Subject = q.reply
	return true
}

func (answers) left(*question, int) {}

// wait has the answers to t go to reply.
func (s *Service) wait(reply []byte, t token, x *Measured) {
	now := time.Since(s.began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(now)
	if s.closed {
		return
	}
	w := s.free.take()
	w.reply = append(w.reply[:0], reply...)
	for s.oldest != nil && (len(s.open) >= maxQuestions || s.held+cap(w.reply) > maxHeld) {
		s.endLocked(s.oldest)
	}
	w.token, w.measured = t, x
	s.open[t] = w
	s.held += cap(w.reply)
	s.most = max(s.most, len(s.open))
	s.linkLocked(w, now)
	if !s.armed {
		s.armLocked(s.threshold)
	}
}

func (s *Service) armLocked(d time.Duration) {
	s.armed = true
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.rung)
	} else {
		s.timer.Reset(d)
	}
}

func (s *Service) rung() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.began)
	s.expireLocked(now)
	if s.armed = s.oldest != nil; s.armed {
		s.armLocked(s.oldest.until - now + time.Millisecond)
	}
}

// expireLocked forgets who waits too long. All wait equally long, so the oldest is
// the first.
func (s *Service) expireLocked(now time.Duration) {
	for s.oldest != nil && s.oldest.until < now {
		s.endLocked(s.oldest)
	}
}

func (s *Service) endLocked(w *question) {
	s.report(w.measured, 504, "")
	w.measured = nil
	delete(s.open, w.token)
	s.held -= cap(w.reply)
	s.unlinkLocked(w)
	s.free.give(w)
	if len(s.open) == 0 && s.most > maxPooled { // a map never gets smaller
		s.open, s.most = map[token]*question{}, 0
	}
}

func (s *Service) linkLocked(w *question, now time.Duration) {
	w.until, w.prev, w.next = now+s.threshold, s.newest, nil
	if s.newest != nil {
		s.newest.next = w
	} else {
		s.oldest = w
	}
	s.newest = w
}

func (s *Service) unlinkLocked(w *question) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		s.oldest = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		s.newest = w.prev
	}
	w.prev, w.next = nil, nil
}
