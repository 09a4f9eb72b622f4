package sourcing

import (
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

func (p *play) answer(a Answer) {
	at := p.fx.Request.Attempt
	p.fx.Reset()
	p.f.Answer(p.now, at, a, &p.fx)
}

func refusal(code uint16) Answer {
	return Answer{Err: &apierror.Error{Code: 400, ErrCode: code, Description: "consumer's stream identity does not match: NEW"}}
}

// What the origin does not understand is not asked for again, until another
// server may be there.
func TestFetcher_olderPeers(t *testing.T) {
	asked := func(p *play) string {
		c := p.asked()
		what := ""
		if r := p.fx.Request; r.Identity != nil {
			what = "identity "
		}
		if c.Sourcing {
			what += c.Name
		}
		return what
	}
	p := begin(t, Config{Target: "T", Account: "$G", Domain: "HUB", Mirror: true}, 0, true)
	if got := asked(p); got != "identity JS_MIRROR_ad1a8ljf" || p.fx.Request.Level != 5 {
		t.Errorf("first %q, level %d", got, p.fx.Request.Level)
	}
	p.answer(refusal(errLevel))
	if got := asked(p); got != "JS_MIRROR_ad1a8ljf" || p.fx.Request.Level != 4 {
		t.Errorf("then %q, level %d", got, p.fx.Request.Level)
	}
	p.answer(refusal(errJSON))
	if got := asked(p); got != "" || p.fx.Request.Level != 0 {
		t.Errorf("then %q, level %d", got, p.fx.Request.Level)
	}
	p.granted(0)
	p.later(stalled)
	if got := asked(p); got != "" {
		t.Errorf("it forgot: %q", got)
	}
	p.now += second
	p.fx.Reset()
	p.f.Reachable(p.now, &p.fx)
	if got := asked(p); got != "identity JS_MIRROR_ad1a8ljf" {
		t.Errorf("a new link: %q", got)
	}
	t.Run("one that ignores what it does not know is not given the name again", func(t *testing.T) {
		p := begin(t, Config{Target: "T"}, 0, true)
		c := p.asked()
		p.answer(Answer{Consumer: "x", Deliver: c.DeliverSubject})
		p.later(stalled)
		if c := p.asked(); c.Name != "" || c.Sourcing {
			t.Errorf("%+v", c)
		}
	})
	t.Run("each source of a stream has a name of its own", func(t *testing.T) {
		a, b := begin(t, Config{Target: "T", Key: "O > >"}, 0, true), begin(t, Config{Target: "T", Key: "P > >"}, 0, true)
		if x, y := a.asked().Name, b.asked().Name; x == y || !strings.HasPrefix(x, "JS_SRC_") {
			t.Errorf("%s and %s", x, y)
		}
	})
}

// A durable consumer goes on from its acknowledgements, which may be behind
// what is stored here: what is there is dropped, and acknowledged all the same.
func TestFetcher_acknowledgesWhatItWasSent(t *testing.T) {
	p := begin(t, Config{}, 100, false)
	p.granted(50)
	for i := range uint64(10) {
		if got := p.deliver(51+i, 1+i); got != 0 {
			t.Errorf("%d was stored twice", got)
		}
	}
	p.fx.Reset()
	p.f.FlowControl(p.now, p.f.Attempt(), "fc", &p.fx)
	if len(p.fx.Replies) != 1 || p.fx.Replies[0] != (Reply{"fc", 10, 60}) {
		t.Errorf("answer %+v", p.fx.Replies)
	}
	for i := range uint64(41) {
		p.deliver(61+i, 11+i)
	}
	p.fx.Reset()
	p.f.FlowControl(p.now, p.f.Attempt(), "fc2", &p.fx)
	if len(p.fx.Replies) != 0 {
		t.Error("101 was acknowledged before it was stored")
	}
	if p.stored(101); len(p.fx.Replies) != 1 || p.fx.Replies[0] != (Reply{"fc2", 51, 101}) {
		t.Errorf("answer %+v", p.fx.Replies)
	}
}

func TestFetcher_originMadeAnew(t *testing.T) {
	known := func(t *testing.T, c Config) *play {
		p := begin(t, c, 0, true)
		k := p.asked()
		p.answer(Answer{Consumer: "C", Deliver: k.DeliverSubject, Sourcing: true, Identity: "OLD"})
		if o := p.fx.Origin; o == nil || *o != (Origin{Identity: "OLD"}) {
			t.Fatalf("learned %+v", o)
		}
		for i := range uint64(10) {
			p.deliver(i+1, i+1)
		}
		p.stored(8)
		p.later(stalled + time.Second)
		if id := p.fx.Request.Identity; id == nil || *id != "OLD" {
			t.Fatal("it does not say which stream it means")
		}
		return p
	}
	t.Run("a source begins at its start", func(t *testing.T) {
		p := known(t, Config{StartSeq: 5})
		p.answer(refusal(errIdentity))
		if o := p.fx.Origin; o == nil || !o.Restart || p.fx.Request != nil {
			t.Fatalf("%+v", o)
		}
		p.stored(10) // of the old one, on its way
		p.fx.Reset()
		p.f.Reachable(p.now, &p.fx)
		if p.fx.Request != nil {
			t.Fatal("asks before that is written down")
		}
		p.f.Restarted(p.now, &p.fx)
		if c := p.asked(); c.DeliverPolicy != consumer.DeliverAll || *p.fx.Request.Identity != "" {
			t.Errorf("asks for %+v", c)
		}
		k := p.asked()
		p.answer(Answer{Consumer: "C", Deliver: k.DeliverSubject, Sourcing: true, Identity: "NEW"})
		if p.deliver(1, 1) != 1 {
			t.Error("its first message is not taken")
		}
	})
	t.Run("a server that tells and does not compare", func(t *testing.T) {
		p := known(t, Config{})
		k := p.asked()
		p.answer(Answer{Consumer: "C", Deliver: k.DeliverSubject, Sourcing: true, Identity: "NEW"})
		if o := p.fx.Origin; o == nil || !o.Restart || p.fx.Subscribe != "" {
			t.Fatalf("%+v", o)
		}
	})
	t.Run("a mirror stops and tells", func(t *testing.T) {
		p := known(t, Config{Mirror: true})
		p.answer(refusal(errIdentity))
		if p.fx.Origin != nil || p.fx.Request != nil {
			t.Fatalf("%+v", p.fx)
		}
		if i := p.f.Info(p.now); i.Err == nil || i.Err.ErrCode != errIdentity || !strings.Contains(i.Err.Description, "made anew") {
			t.Errorf("told: %+v", i.Err)
		}
		p.later(maxPause * 5 / 4)
		if *p.fx.Request.Identity != "OLD" {
			t.Error("it forgot which stream it mirrors")
		}
	})
}

func TestFetcher_slowLines(t *testing.T) {
	t.Run("a message that is half read is waited for", func(t *testing.T) {
		p := begin(t, Config{}, 0, true)
		p.granted(0)
		for range 100 {
			p.f.HalfRead(p.now)
			if p.later(time.Second); p.fx.Request != nil {
				t.Fatal("given up while it comes in")
			}
		}
		if p.deliver(1, 1) != 1 {
			t.Error("not taken")
		}
		p.later(stalled - time.Second)
		if p.fx.Request != nil {
			t.Fatal("too early")
		}
		p.later(time.Second)
		p.asked()
	})
	t.Run("so is an answer", func(t *testing.T) {
		p := begin(t, Config{}, 0, true)
		for range 30 {
			p.f.HalfRead(p.now)
			p.later(time.Second)
		}
		p.fx.Request = &Request{Attempt: p.f.Attempt()}
		p.answer(Answer{Consumer: "C", Deliver: "d"})
		if p.fx.Subscribe == "" {
			t.Error("given up")
		}
	})
	t.Run("the wait grows, and that is told", func(t *testing.T) {
		p := begin(t, Config{}, 0, true)
		var waits []time.Duration
		for range 7 {
			p.granted(0)
			since := p.now
			for p.fx.Reset(); p.fx.Request == nil; {
				p.now = max(p.f.Deadline(), p.now+1)
				p.tick()
			}
			waits = append(waits, time.Duration(p.now-since).Round(time.Second))
		}
		if waits[0] != stalled || waits[1] != 2*stalled || waits[6] != maxStalled {
			t.Errorf("waits %v", waits)
		}
		if e := p.f.Info(p.now).Err; e == nil || e.ErrCode != errSource || !strings.Contains(e.Description, "7 times") {
			t.Errorf("told %+v", e)
		}
		p.granted(0)
		p.deliver(1, 1)
		if e := p.f.Info(p.now).Err; e != nil {
			t.Errorf("told %+v", e)
		}
		p.later(stalled)
		p.asked()
	})
}
