package sourcing

import (
	"fmt"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

const (
	// heartbeat is what the origin is asked for, and stalled after how long
	// without a sign of it the consumer is given up.
	heartbeat  = time.Second
	stalled    = 10 * time.Second
	maxStalled = 4 * time.Minute
	// firstSign is the same for the first sign of a durable consumer: a stock
	// origin that was restarted grants the one that it recovered and does not
	// serve it before it is asked again.
	firstSign = 3 * time.Second
	// answerTimeout bounds the wait for the answer to one request. A slow link
	// may carry seconds of other traffic in front of it.
	answerTimeout = 10 * time.Second
	// inactive is how long the origin keeps the consumer without interest.
	inactive = 10 * time.Second
	// A failed attempt is repeated after firstPause, then after twice as long
	// each time up to maxPause. Reachable ends every pause at once.
	firstPause = 500 * time.Millisecond
	maxPause   = 30 * time.Second
	// minSpacing keeps two requests apart even when everything says "now".
	minSpacing = 100 * time.Millisecond
)

// Config says what to fetch. It never changes.
type Config struct {
	Mirror bool   // else a source
	Stream string // the origin's name
	// API is the prefix of the origin's API, "$JS.API" or that of an external
	// one such as "$JS.hub.API".
	API string
	// Deliver is the prefix of the delivery subject of an external origin, ""
	// for the default.
	Deliver string
	Filters []string
	// StartOver lets a mirror whose origin was made anew begin anew too.
	StartOver bool
	// Target is the stream that fetches, Account and Domain are where it is,
	// and Key tells its sources apart. The consumer's name is made of them.
	Target, Account, Domain, Key string

	StartSeq  uint64    // where the first fetch begins; 0 for none
	StartTime time.Time // same by time; zero for none
}

// Effects is what the caller does. It is reused from call to call; Reset
// empties it.
type Effects struct {
	// Unsubscribe ends the subscription to the delivery subject; it comes
	// before the others.
	Unsubscribe bool
	// Request is published to Subject; its answer goes to Answer with the
	// same Attempt.
	Request *Request
	// Subscribe begins a subscription whose messages go to Message, Heartbeat and
	// FlowControl with the same Attempt.
	Subscribe string
	// Skip, when not 0, says that the origin has nothing up to that sequence.
	Skip uint64
	// Origin, when not nil, is to be written down, in the order of the
	// messages.
	Origin *Origin
	// Replies are published, in order.
	Replies []Reply
}

// Reset empties fx.
func (fx *Effects) Reset() { *fx = Effects{Replies: fx.Replies[:0]} }

// Request asks the origin for a consumer.
type Request struct {
	Attempt uint64
	Subject string
	Level   int // of the API that the origin has to have, 0 for any
	// Identity, when not nil, is that of the stream that is meant, "" for any.
	Identity *string
	Body     []byte
}

// Origin is what is known of the stream that is fetched from.
type Origin struct {
	Identity string
	// Restart: it is another stream than before, so what was fetched counts
	// for nothing. Call Restarted when that is written down.
	Restart bool
}

// Reply answers the origin's flow control: everything up to a delivery, and up
// to a sequence of the origin, is safe here.
type Reply struct {
	Subject          string
	Consumer, Stream uint64
}

// Incoming is a message that the stream shall store.
type Incoming struct {
	Seq  uint64 // at the origin
	Time int64  // when it was stored there, nanoseconds since 1970
	// After is the sequence of the message that was handed over before it: when
	// that could not be stored this one must not be either.
	After uint64
}

// Answer is the origin's answer to a Request.
type Answer struct {
	// Err is the origin's refusal, with its API error code; nil for success.
	Err *apierror.Error
	// NoResponders: nobody listens for the request.
	NoResponders bool

	Consumer  string // its name
	Deliver   string // its delivery subject
	Delivered uint64 // stream sequence it begins behind
	Durable   bool   // the origin keeps the consumer
	Sourcing  bool   // the origin knows what the consumer is for
	Identity  string // of the stream, "" when the origin does not tell
}

type phase uint8

const (
	pausing phase = iota
	asking
	running
	restarting // until the caller wrote down that it begins anew
)

// Fetcher fetches from one origin. It is used by one goroutine at a time.
//
// Laws: taken >= stored; a message is taken once, in the order of the origin's
// sequences; after anything was lost the next consumer begins at stored+1 at
// the latest, so what is fetched twice is dropped by its sequence and what was
// not stored is fetched again.
type Fetcher struct {
	c   Config
	rnd func(n int) int

	phase   phase
	attempt uint64
	due     int64 // end of the phase, nanoseconds; running: when stalled
	asked   int64 // time of the newest request
	fails   int
	fresh   bool // nothing was ever fetched: the configured start counts
	form    form
	// identity is that of the stream that was fetched from, "" for not known.
	identity string

	taken  uint64 // newest origin sequence given to the caller
	stored uint64 // newest one that is durable
	before uint64 // newest one given to the caller or durable: what the next one comes after

	consumer string
	deliver  string
	cseq     uint64 // newest consumer sequence
	sseq     uint64 // and the origin's sequence that came with it
	granted  bool   // the origin agreed to this attempt, and nothing came yet
	durable  bool   // the consumer is a durable one
	heard    int64  // newest sign of life, 0 for none yet
	pending  uint64 // at the origin behind the newest message
	// first is the first message that was not stored yet, when it came. While
	// the stream takes no message, it tells how far the origin is ahead.
	first   struct{ seq, pending uint64 }
	blocked bool
	err     *apierror.Error

	flow Reply // to flow control, once its Stream is stored; no Subject for none

	halfRead int64 // when a link was last in the middle of a message
	silent   int   // attempts in a row that were granted and brought no sign
}

// New makes a fetcher that has stored the origin's messages up to seq, of the
// stream with that identity. fresh says that nothing was ever fetched, so that
// the configured start counts. rnd gives a number in [0, n). Call Tick to
// begin.
func New(c Config, seq uint64, fresh bool, identity string, rnd func(n int) int) *Fetcher {
	return &Fetcher{c: c, rnd: rnd, taken: seq, stored: seq, fresh: fresh, identity: identity}
}

// Identity is that of the stream that is fetched from, as far as it is known.
func (f *Fetcher) Identity() string { return f.identity }

// Deadline is when Tick is to be called.
func (f *Fetcher) Deadline() int64 {
	return f.due
}

// Tick does what has become due.
func (f *Fetcher) Tick(now int64, fx *Effects) {
	if now < f.due {
		return
	}
	switch f.phase {
	case pausing:
		f.ask(now, fx)
	case asking:
		if f.due = f.halfRead + int64(answerTimeout); now < f.due {
			return
		}
		f.fail(now, fx)
	case running:
		if f.due = max(f.heard, f.halfRead) + f.patience(); now < f.due {
			return
		}
		f.restart(now, fx)
	case restarting: // it could not be written down
		f.ask(now, fx)
	}
}

// HalfRead says that at that time a message was coming in over a link, whoever
// it is for: what the origin sent behind it is on its way.
func (f *Fetcher) HalfRead(at int64) { f.halfRead = max(f.halfRead, at) }

// patience is how long the origin may be silent. It grows: what makes it
// silent may be a line that is slower than it was thought to be.
func (f *Fetcher) patience() int64 {
	n := f.silent
	if f.durable && n == 0 && f.granted {
		return int64(firstSign)
	}
	if f.durable && n > 0 {
		n-- // the short one does not count
	}
	return int64(min(stalled<<min(n, 10), maxStalled))
}

// Reachable says that the origin's API can be reached, now or again: a link
// came up. What was on its way may be lost, so it begins anew.
func (f *Fetcher) Reachable(now int64, fx *Effects) {
	f.fails, f.form = 0, withIdentity
	if f.phase != restarting {
		f.restart(now, fx)
	}
}

// Unreachable says that the link to the origin went down. There is no sense
// in asking before Reachable, but for a rare try.
func (f *Fetcher) Unreachable(now int64, fx *Effects) {
	if f.phase == restarting {
		return
	}
	f.leave(fx)
	f.phase, f.due = pausing, now+int64(maxPause)
}

// leave gives the current consumer up. The origin forgets it by itself.
func (f *Fetcher) leave(fx *Effects) {
	if f.deliver != "" {
		fx.Unsubscribe = true
	}
	if f.granted {
		f.silent++
		f.granted = false
	}
	f.consumer, f.deliver, f.flow = "", "", Reply{}
	f.attempt++ // what still arrives for the old one is ignored
}

// restart asks again, at once unless the last request is very young.
func (f *Fetcher) restart(now int64, fx *Effects) {
	f.leave(fx)
	if f.asked != 0 && now-f.asked < int64(minSpacing) {
		f.phase, f.due = pausing, f.asked+int64(minSpacing)
		return
	}
	f.ask(now, fx)
}

// fail pauses, longer each time.
func (f *Fetcher) fail(now int64, fx *Effects) {
	f.leave(fx)
	pause := firstPause << min(f.fails, 10)
	pause = min(pause, maxPause)
	f.fails++
	// Many streams of many servers must not ask in step.
	pause += pause / 4 * time.Duration(f.rnd(1000)) / 1000
	f.phase, f.due = pausing, now+int64(pause)
}

// Answer takes the answer to a request.
func (f *Fetcher) Answer(now int64, attempt uint64, a Answer, fx *Effects) {
	if f.phase != asking || attempt != f.attempt {
		return
	}
	if a.NoResponders || a.Err != nil {
		f.deliver = "" // never subscribed to
		f.refused(now, a.Err, fx)
		return
	}
	if f.identity != "" && a.Identity != "" && a.Identity != f.identity {
		f.remade(now, a.Identity, fx) // a server that tells, and does not compare
		return
	}
	if a.Identity != f.identity && a.Identity != "" {
		f.identity = a.Identity
		fx.Origin = &Origin{Identity: a.Identity}
	}
	if !a.Sourcing {
		f.form = plain // it ignored what it does not know
	}
	f.phase, f.fails, f.err, f.fresh, f.granted = running, 0, nil, false, true
	f.consumer, f.durable = a.Consumer, a.Durable
	if a.Deliver != "" {
		f.deliver = a.Deliver
	}
	f.heard, f.due = now, now+f.patience()
	fx.Subscribe = f.deliver
	if a.Delivered > f.taken {
		// The origin's messages begin later than we asked for.
		f.taken = a.Delivered
		fx.Skip = a.Delivered
	}
}

// refused takes the origin's refusal, nil when nobody was there.
func (f *Fetcher) refused(now int64, err *apierror.Error, fx *Effects) {
	switch {
	case err == nil:
	case (err.ErrCode == errLevel || err.ErrCode == errJSON) && f.form != plain:
		f.form++
		f.ask(now, fx)
		return
	case err.ErrCode == errIdentity:
		f.remade(now, err.Description, fx)
		return
	}
	f.err = err
	f.fail(now, fx)
}

// remade: the origin is another stream of the same name. A source begins at
// its start; a mirror has sequences of the old one and keeps them, so it stops.
// It goes on asking now and then: the old one may come back.
func (f *Fetcher) remade(now int64, what string, fx *Effects) {
	if f.c.Mirror && !f.c.StartOver {
		f.err = &apierror.Error{Code: 400, ErrCode: errIdentity, Description: "the origin was made anew, the mirror keeps what it has and takes nothing of it: " + what}
		f.fails = max(f.fails, 10)
		f.fail(now, fx)
		return
	}
	f.leave(fx)
	f.err = nil
	fx.Origin = &Origin{Restart: true}
	f.phase, f.due = restarting, now+int64(maxPause)
}

// Restarted says that the caller wrote down that it begins anew, and that
// everything it was given before is dealt with.
func (f *Fetcher) Restarted(now int64, fx *Effects) {
	if f.phase != restarting {
		return
	}
	f.identity, f.fresh = "", false
	f.taken, f.stored, f.before = 0, 0, 0
	f.first.seq, f.blocked = 0, false
	f.ask(now, fx)
}

// Before is the origin's sequence of the message that was handed over last, or
// is known to be durable: what comes now comes behind it.
func (f *Fetcher) Before() uint64 { return f.before }

// Plain reports whether the origin's server gives only consumers without
// acknowledgements, whatever the stream is.
func (f *Fetcher) Plain() bool { return f.phase == running && f.form == plain }

// Attempt is what messages of the present subscription belong to.
func (f *Fetcher) Attempt() uint64 { return f.attempt }

// Message takes a delivery, by the reply subject that it came with. ok is
// true when the stream shall store it.
func (f *Fetcher) Message(now int64, attempt uint64, reply []byte, fx *Effects) (in Incoming, ok bool) {
	if f.phase != running || attempt != f.attempt {
		return in, false
	}
	a, valid := consumer.ParseAckSubject(reply)
	if !valid || f.consumer != "" && string(a.Consumer) != f.consumer || a.Count > 1 {
		return in, false // of an older consumer, or not a delivery at all
	}
	f.live(now)
	if a.DSeq != f.cseq+1 {
		if a.DSeq > f.cseq {
			f.restart(now, fx) // something before it was lost
		}
		return in, false
	}
	f.cseq, f.sseq = a.DSeq, a.Seq
	f.pending = a.Pending
	if a.Seq <= f.taken {
		return in, false // have it
	}
	if f.first.seq <= f.stored || a.Seq <= f.first.seq {
		f.first.seq, f.first.pending = a.Seq, a.Pending
	}
	in = Incoming{Seq: a.Seq, Time: a.Time, After: f.before}
	f.taken, f.before = a.Seq, a.Seq
	return in, true
}

func (f *Fetcher) live(now int64) {
	f.silent, f.granted = 0, false
	f.heard, f.due = now, now+int64(stalled)
}

// Heartbeat takes the origin's sign of life: the consumer sequence of its
// newest delivery, and the flow control subject that it waits for, if any.
func (f *Fetcher) Heartbeat(now int64, attempt, last uint64, waits string, fx *Effects) {
	if f.phase != running || attempt != f.attempt {
		return
	}
	f.live(now)
	if last > 0 && last != f.cseq {
		f.restart(now, fx)
		return
	}
	if waits != "" {
		f.answerFlow(waits, fx)
	}
}

// FlowControl takes the origin's question whether to go on.
func (f *Fetcher) FlowControl(now int64, attempt uint64, subject string, fx *Effects) {
	if f.phase != running || attempt != f.attempt {
		return
	}
	f.live(now)
	f.answerFlow(subject, fx)
}

func (f *Fetcher) answerFlow(subject string, fx *Effects) {
	r := Reply{subject, f.cseq, f.sseq}
	if f.stored >= r.Stream {
		f.flow = Reply{}
		fx.Replies = append(fx.Replies, r)
		return
	}
	f.flow = r
}

// Stored says that the origin's messages are durable here up to seq.
func (f *Fetcher) Stored(seq uint64, fx *Effects) {
	if seq <= f.stored || f.phase == restarting {
		return
	}
	f.stored, f.blocked = seq, false
	f.taken = max(f.taken, seq)
	if f.flow.Subject != "" && f.stored >= f.flow.Stream {
		fx.Replies = append(fx.Replies, f.flow)
		f.flow = Reply{}
	}
}

// Refused says that the stream could not store a message that it was given:
// it is full, or the disk is. It is fetched again later, and so is everything
// behind it.
func (f *Fetcher) Refused(now int64, fx *Effects) {
	if f.phase == running {
		f.blocked = true
		f.fail(now, fx)
	}
}

// Info is what stream info shows.
type Info struct {
	Seq    uint64 // newest of the origin that is stored
	Lag    uint64
	Active time.Duration // since the newest sign of life, -1 for none yet
	Err    *apierror.Error
}

// Info tells how the fetching goes.
func (f *Fetcher) Info(now int64) Info {
	i := Info{Seq: f.stored, Active: -1, Err: f.err}
	if i.Err == nil && f.silent > 1 {
		i.Err = f.silence()
	}
	if f.heard != 0 {
		i.Active = time.Duration(now - f.heard)
	}
	pending := f.pending
	if f.blocked { // what came behind the refused message counts as well
		pending = f.first.pending - min(f.first.pending, max(f.stored, f.first.seq)-f.first.seq)
	}
	if pending > 0 {
		i.Lag = pending - 1 // as stock servers count
	}
	return i
}

// silence tells that the line does not carry what the origin sends.
func (f *Fetcher) silence() *apierror.Error {
	code := uint16(errSource)
	if f.c.Mirror {
		code = errMirror
	}
	return &apierror.Error{Code: 500, ErrCode: code,
		Description: fmt.Sprintf("the origin agreed %d times in a row and then nothing whole came from it: message behind sequence %d; waiting %v for it", f.silent, f.stored, time.Duration(f.patience()))}
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
