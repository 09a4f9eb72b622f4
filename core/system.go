//go:build !lite

package core

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// system is the part of the server that answers on the subjects of $SYS and tells in
// the system account what happens. Who is in that account may ask everything;
// the others reach what their own account gives them (accountQuestions), and nothing
// crosses from the system account but what its exports in the file say.
//
// Questions and events are worked off by one goroutine, and by another one what takes
// long: a reload, a profile, a purge. start begins both and stop ends them: whoever
// publishes or connects never waits for an answer to be made.
type system struct {
	s    *Server
	a    *account.Account
	jobs chan func(*account.Origin)
	long chan *asked // what takes long
	quit chan struct{}
	wg   sync.WaitGroup

	reload  atomic.Pointer[func() error]
	dropped atomic.Int64 // jobs that there was no room for
	heard   atomic.Bool  // somebody listens to this server's STATSZ
	cancels []func()
}

const (
	// maxSystemJobs bounds what waits. Beyond, questions get no answer, and events are
	// not told.
	maxSystemJobs = 4096
	// maxSystemLong bounds what waits of that which takes long.
	maxSystemLong = 64
	// maxSystemBody is the longest body of a question.
	maxSystemBody = 64 << 10
)

func newSystem(s *Server) *system {
	return &system{s: s, jobs: make(chan func(*account.Origin), maxSystemJobs), long: make(chan *asked, maxSystemLong), quit: make(chan struct{})}
}

// start begins to answer in the account of that name, which there is.
func (y *system) start(name string) error {
	y.a, _ = y.s.accounts.Lookup(name)
	for _, q := range y.questions() {
		sub := &account.Sub{Subject: q.subject, Sink: &systemSink{y, q, y.a, account.RoleInternal}}
		if err := y.a.Subscribe(sub); err != nil {
			return err
		}
		y.cancels = append(y.cancels, sub.End)
	}
	y.cancels = append(y.cancels, y.a.WatchSubject(y.subject(".STATSZ"), y.heard.Store))
	y.wg.Go(y.run)
	y.wg.Go(y.runLong)
	return nil
}

// subject is one about this server.
func (y *system) subject(rest string) string { return "$SYS.SERVER." + y.s.ServerID() + rest }

// leave tells that the server is going down, and answers no more.
func (y *system) leave() {
	o := account.NewOrigin(nil, account.RoleInternal, "")
	y.publish(o, y.subject(".SHUTDOWN"), y.s.describeServer())
	o.Flush()
	for _, cancel := range y.cancels {
		cancel()
	}
	y.cancels = nil
}

// stop ends the goroutines, behind leave and start. What waits is not done. The error is
// that of ctx, when something takes longer than that.
func (y *system) stop(ctx context.Context) error {
	close(y.quit)
	return waitFor(ctx, &y.wg)
}

// do has the goroutine do something, if there is room.
func (y *system) do(job func(*account.Origin)) {
	select {
	case y.jobs <- job:
	default:
		y.dropped.Add(1)
	}
}

// Periods of what is told again and again.
const (
	firstStatsz  = 250 * time.Millisecond
	statszPeriod = 10 * time.Second
	connsPeriod  = 30 * time.Second
)

func (y *system) run() {
	o := account.NewOrigin(nil, account.RoleInternal, "")
	wait := firstStatsz
	statsz := time.NewTimer(wait)
	defer statsz.Stop()
	conns := time.NewTicker(connsPeriod)
	defer conns.Stop()
	for {
		select {
		case <-y.quit:
			return
		case job := <-y.jobs:
			job(o)
		case <-statsz.C:
			if y.heard.Load() {
				y.tellStatsz(o)
			}
			wait = min(2*wait, statszPeriod)
			statsz.Reset(wait)
		case <-conns.C:
			y.tellAllConns(o)
			if n := y.dropped.Swap(0); n > 0 {
				y.s.log.Warn("System account: too much at once, questions and events were dropped", "count", n)
			}
		}
		o.Flush()
	}
}

// runLong answers what takes long, one after the other.
func (y *system) runLong() {
	o := account.NewOrigin(nil, account.RoleInternal, "")
	for {
		select {
		case <-y.quit: // before what waits
			return
		default:
		}
		select {
		case <-y.quit:
			return
		case q := <-y.long:
			q.respond(o)
			o.Flush()
		}
	}
}

// publish sends v as JSON in the system account, unless nobody listens.
func (y *system) publish(o *account.Origin, subj string, v any) {
	if !y.a.HasInterest(subj) {
		return
	}
	body, err := encodeSystem(v)
	if err != nil {
		y.s.log.Error("system event", "subject", subj, "err", err)
		return
	}
	y.a.Route(o, &wire.Msg{Subject: []byte(subj), Body: body, Own: true, Chosen: true})
}

// systemQuestion is a kind of request, which asked is one of.
type systemQuestion struct {
	subject string
	answer  func(q *asked) (any, error)
	bare    bool // the answer has no envelope
	long    bool // takes long, and is not for the goroutine of the others
	silent  bool // an answer to an error has no data member
}

// asked is one request, copied from its message.
type asked struct {
	y       *system
	kind    *systemQuestion
	in      *account.Account // where the answer goes
	subject string
	reply   []byte
	header  []byte
	body    []byte
}

// token is the nth token of the subject, from 0.
func (q *asked) token(n int) string {
	if t := strings.Split(q.subject, "."); n < len(t) {
		return t[n]
	}
	return ""
}

// systemSink takes questions of one kind in one account.
type systemSink struct {
	y    *system
	kind *systemQuestion
	in   *account.Account
	role account.Role
}

// Role is part of account.Sink.
func (s *systemSink) Role() account.Role { return s.role }

// Cluster is part of account.Sink.
func (*systemSink) Cluster() string { return "" }

// Flush is part of account.Sink.
func (*systemSink) Flush() {}

// Deliver is part of account.Sink. What the server itself was made to send is no
// question: nobody may have it ask itself.
func (s *systemSink) Deliver(_ *account.Sub, m *wire.Msg) bool {
	if m.Own || len(m.Body) > maxSystemBody {
		return false
	}
	q := &asked{
		y: s.y, kind: s.kind, in: s.in, subject: string(m.Subject),
		reply: append([]byte(nil), m.Reply...), header: append([]byte(nil), m.Header...), body: append([]byte(nil), m.Body...),
	}
	s.y.do(q.run)
	return true
}

// systemExports are those that the system account is said to have beside its own. As
// in nats-server no import in a file reaches them: the system account has to export
// again what others shall reach beside accountQuestions.
var systemExports = []config.Export{
	{Subject: "$SYS.REQ.ACCOUNT.*.CONNZ", Service: true, Response: "stream", TokenPosition: 4, Threshold: 2 * time.Minute},
	{Subject: "$SYS.REQ.ACCOUNT.*.STATZ", Service: true, Response: "stream", TokenPosition: 4, Threshold: 2 * time.Minute},
	{Subject: "$SYS.DEBUG.SUBSCRIBERS", Service: true, Response: "singleton", Threshold: 2 * time.Minute},
	{Subject: "$SYS.REQ.USER.*.INFO", Service: true, Response: "singleton", Threshold: 2 * time.Minute},
}

// accountQuestions are what each account may ask about itself.
func (y *system) accountQuestions(a *account.Account) {
	add := func(subj string, f func(q *asked) (any, error)) {
		q := &systemQuestion{subject: subj, answer: f}
		_ = a.Subscribe(&account.Sub{Subject: subj, Sink: &systemSink{y, q, a, account.RoleLocal}}) // the subject is valid
	}
	conns := func(q *asked) (any, error) { return q.accountConnz(a.Name()) }
	add("$SYS.REQ.ACCOUNT.PING.CONNZ", conns)
	add("$SYS.REQ.SERVER.PING.CONNZ", conns)
	add("$SYS.REQ.ACCOUNT.PING.STATZ", func(q *asked) (any, error) { return q.accountStatz(a.Name()) })
}

// newEvent is the head of an event of now.
func newEvent(kind string) monitor.Event {
	id := make([]byte, 22)
	for i := range id {
		id[i] = base62[rand.IntN(len(base62))]
	}
	return monitor.Event{Type: kind, ID: string(id), Time: time.Now().UTC()}
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
