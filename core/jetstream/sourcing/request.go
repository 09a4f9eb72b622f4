package sourcing

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
)

// form is how much of the protocol the origin's server understands. The newest
// is tried first, after every sign that another server may be there.
type form uint8

const (
	// withIdentity: the origin compares which stream of the name is meant.
	withIdentity form = iota
	// durable: it keeps a durable consumer where the stream deletes what was
	// acknowledged.
	durable
	// plain: it knows neither.
	plain
)

// level is the API level that the request asks for, 0 for none.
func (m form) level() int {
	return [...]int{5, 4, 0}[m]
}

// Errors of an origin by which it says that it does not understand the form:
// the level is too high, or strict JSON.
const (
	errLevel      = 10185
	errBadRequest = 10003 // an answer that is none
	errJSON       = 10025
	errIdentity   = 10225
	errMirror     = 10029 // what a mirror is told when it can't get on
	errSource     = 10045 // same for a source
	keyPrefix     = "_nats."
	mirrorPrefix  = "JS_MIRROR_"
	sourcePrefix  = "JS_SRC_"
)

type createRequest struct {
	Stream string          `json:"stream_name"`
	Config consumer.Config `json:"config"`
}

// ask requests a consumer that begins behind what is stored. What was taken
// but not stored may have been refused: it is asked for again.
func (f *Fetcher) ask(now int64, fx *Effects) {
	f.attempt++
	f.taken, f.before = f.stored, f.stored
	f.phase, f.asked, f.due = asking, now, now+int64(answerTimeout)
	f.cseq, f.sseq, f.heard, f.granted = 0, 0, 0, false
	body, _ := json.Marshal(&createRequest{Stream: f.c.Stream, Config: f.request()}) // plain data
	fx.Request = &Request{Attempt: f.attempt, Subject: f.subject(), Level: f.form.level(), Body: body}
	if f.form == withIdentity {
		fx.Request.Identity = &f.identity
	}
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
	} else if f.stored == 0 {
		c.DeliverPolicy, c.OptStartSeq = consumer.DeliverAll, 0
	}
	if f.form != plain {
		c.Name, c.Sourcing = f.Durable(), true
		c.Metadata = f.metadata()
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

// metadata tells whoever looks at the origin's consumers who they are for.
func (f *Fetcher) metadata() map[string]string {
	kind := keyPrefix + "src."
	if f.c.Mirror {
		kind = keyPrefix + "mirror."
	}
	m := map[string]string{kind + "stream": f.c.Target, kind + "acc": f.c.Account}
	if f.c.Domain != "" {
		m[kind+"domain"] = f.c.Domain
	}
	return m
}

// Durable is the name that the consumer has at an origin that keeps it. It is
// the same with every attempt and differs between the streams that fetch, and
// between the sources of one.
func (f *Fetcher) Durable() string {
	id := f.c.Target + " " + f.c.Account
	if f.c.Domain != "" {
		id += " " + f.c.Domain
	}
	if f.c.Mirror {
		return mirrorPrefix + hash(id)
	}
	return sourcePrefix + hash(id+" "+f.c.Key)
}

// ForgetSubject is where the origin is told, when the fetching ends for good,
// that nobody needs the consumer any more.
func (f *Fetcher) ForgetSubject() string {
	return collapse(f.c.API + ".CONSUMER.DELETE." + f.c.Stream + "." + f.Durable())
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

// name is that of a consumer with a filter in its subject; with the plain form
// the attempt keeps it apart from one that the origin has not forgotten yet.
func (f *Fetcher) name() string {
	if f.form != plain {
		return f.Durable()
	}
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
