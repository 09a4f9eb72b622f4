package sourcing

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
)

const (
	// heartbeat is what the origin is asked for, and stalled after how long
	// without a sign of it the consumer is given up.
	heartbeat = time.Second
	stalled   = 10 * time.Second
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
	Deliver   string
	Filters   []string
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
	// Replies are published, in order.
	Replies []Reply
}

// Reset empties fx.
func (fx *Effects) Reset() { *fx = Effects{Replies: fx.Replies[:0]} }

// Request asks the origin for a consumer.
type Request struct {
	Attempt uint64
	Subject string
	Body    []byte
}

// Reply answers the origin's flow control.
type Reply struct{ Subject string }

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
	Err *consumer.Error
	// NoResponders: nobody listens for the request.
	NoResponders bool

	Consumer  string // its name
	Deliver   string // its delivery subject
	Delivered uint64 // stream sequence it begins behind
}

type phase uint8

const (
	pausing phase = iota
	asking
	running
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

	taken  uint64 // newest origin sequence given to the caller
	stored uint64 // newest one that is durable
	before uint64 // newest one given to the caller or durable: what the next one comes after

	consumer string
	deliver  string
	cseq     uint64 // newest consumer sequence
	heard    int64  // newest sign of life, 0 for none yet
	pending  uint64 // at the origin behind the newest message
	err      *consumer.Error

	flow    string // flow control to answer, "" for none
	flowSeq uint64 // once this is stored
}

// New makes a fetcher that has stored the origin's messages up to seq. fresh
// says that nothing was ever fetched, so that the configured start counts. rnd
// gives a number in [0, n). Call Tick to begin.
func New(c Config, seq uint64, fresh bool, rnd func(n int) int) *Fetcher {
	return &Fetcher{c: c, rnd: rnd, taken: seq, stored: seq, fresh: fresh}
}

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
		f.fail(now, fx)
	case running:
		f.restart(now, fx)
	}
}

// Reachable says that the origin's API can be reached, now or again: a link
// came up. What was on its way may be lost, so it begins anew.
func (f *Fetcher) Reachable(now int64, fx *Effects) {
	f.fails = 0
	f.restart(now, fx)
}

// Unreachable says that the link to the origin went down. There is no sense
// in asking before Reachable, but for a rare try.
func (f *Fetcher) Unreachable(now int64, fx *Effects) {
	f.leave(fx)
	f.phase, f.due = pausing, now+int64(maxPause)
}

// leave gives the current consumer up. The origin forgets it by itself.
func (f *Fetcher) leave(fx *Effects) {
	if f.deliver != "" {
		fx.Unsubscribe = true
	}
	f.consumer, f.deliver, f.flow = "", "", ""
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

// ask requests a consumer that begins behind what is stored. What was taken
// but not stored may have been refused: it is asked for again.
func (f *Fetcher) ask(now int64, fx *Effects) {
	f.attempt++
	f.taken, f.before = f.stored, f.stored
	f.phase, f.asked, f.due = asking, now, now+int64(answerTimeout)
	f.cseq, f.heard = 0, 0
	body, _ := json.Marshal(&createRequest{Stream: f.c.Stream, Config: f.request()}) // plain data
	fx.Request = &Request{Attempt: f.attempt, Subject: f.subject(), Body: body}
}

type createRequest struct {
	Stream string          `json:"stream_name"`
	Config consumer.Config `json:"config"`
}

func (f *Fetcher) request() consumer.Config {
	c := consumer.Config{
		DeliverPolicy: consumer.DeliverByStartSequence, OptStartSeq: f.stored + 1,
		AckPolicy: consumer.AckNone, AckWait: 22 * time.Hour, MaxDeliver: 1,
		FlowControl: true, Heartbeat: heartbeat, Direct: true, Inactive: inactive,
		DeliverSubject: f.newDeliver(),
	}
	if f.fresh && f.stored == 0 {
		switch {
		case f.c.StartSeq > 0:
			c.OptStartSeq = f.c.StartSeq
		case !f.c.StartTime.IsZero():
			t := f.c.StartTime
			c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = consumer.DeliverByStartTime, 0, &t
		default:
			c.DeliverPolicy, c.OptStartSeq = consumer.DeliverAll, 0
		}
	}
	switch len(f.c.Filters) {
	case 0:
	case 1:
		c.Name = f.name()
		c.FilterSubject = f.c.Filters[0]
	default:
		c.FilterSubjects = f.c.Filters
	}
	return c
}

// subject is where the request goes. A single filter stands in it, so that
// permissions can be given by subject.
func (f *Fetcher) subject() string {
	s := f.c.API + ".CONSUMER.CREATE." + f.c.Stream
	if len(f.c.Filters) == 1 {
		s += "." + f.name() + "." + f.c.Filters[0]
	}
	return collapse(s)
}

// name is that of a consumer with a filter in its subject; the attempt keeps
// it apart from one that the origin has not forgotten yet.
func (f *Fetcher) name() string {
	kind := "source"
	if f.c.Mirror {
		kind = "mirror"
	}
	return kind + "-" + strings.TrimPrefix(f.deliver, f.prefix())
}

func (f *Fetcher) prefix() string {
	kind := ".S."
	if f.c.Mirror {
		kind = ".M."
	}
	if f.c.Deliver != "" {
		return collapse(f.c.Deliver + kind)
	}
	return "$JS" + kind
}

func (f *Fetcher) newDeliver() string {
	var b [8]byte
	for i := range b {
		b[i] = base62[f.rnd(len(base62))]
	}
	f.deliver = f.prefix() + string(b[:])
	return f.deliver
}

// collapse makes one dot of two: prefixes may end with one.
func collapse(s string) string { return strings.ReplaceAll(s, "..", ".") }

// Answer takes the answer to a request.
func (f *Fetcher) Answer(now int64, attempt uint64, a Answer, fx *Effects) {
	if f.phase != asking || attempt != f.attempt {
		return
	}
	if a.NoResponders || a.Err != nil {
		f.err = a.Err
		f.deliver = "" // never subscribed to
		f.fail(now, fx)
		return
	}
	f.phase, f.fails, f.err, f.fresh = running, 0, nil, false
	f.consumer = a.Consumer
	if a.Deliver != "" {
		f.deliver = a.Deliver
	}
	f.heard, f.due = now, now+int64(stalled)
	fx.Subscribe = f.deliver
	if a.Delivered > f.taken {
		// The origin's messages begin later than we asked for.
		f.taken = a.Delivered
		fx.Skip = a.Delivered
	}
}

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
	f.cseq = a.DSeq
	f.pending = a.Pending
	if a.Seq <= f.taken {
		return in, false // have it
	}
	in = Incoming{Seq: a.Seq, Time: a.Time, After: f.before}
	f.taken, f.before = a.Seq, a.Seq
	return in, true
}

func (f *Fetcher) live(now int64) {
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
	if f.stored >= f.taken {
		f.flow = ""
		fx.Replies = append(fx.Replies, Reply{subject})
		return
	}
	f.flow, f.flowSeq = subject, f.taken
}

// Stored says that the origin's messages are durable here up to seq.
func (f *Fetcher) Stored(seq uint64, fx *Effects) {
	if seq <= f.stored {
		return
	}
	f.stored = seq
	f.taken = max(f.taken, seq)
	if f.flow != "" && f.stored >= f.flowSeq {
		fx.Replies = append(fx.Replies, Reply{f.flow})
		f.flow = ""
	}
}

// Refused says that the stream could not store a message that it was given:
// it is full, or the disk is. It is fetched again later, and so is everything
// behind it.
func (f *Fetcher) Refused(now int64, fx *Effects) {
	if f.phase == running {
		f.fail(now, fx)
	}
}

// Info is what stream info shows.
type Info struct {
	Lag    uint64
	Active time.Duration // since the newest sign of life, -1 for none yet
	Err    *consumer.Error
}

// Info tells how the fetching goes.
func (f *Fetcher) Info(now int64) Info {
	i := Info{Active: -1, Err: f.err}
	if f.heard != 0 {
		i.Active = time.Duration(now - f.heard)
	}
	if f.pending > 0 {
		i.Lag = f.pending - 1 // as stock servers count
	}
	return i
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
