package sourcing

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

const second = int64(time.Second)

// play drives a fetcher by hand.
type play struct {
	t   *testing.T
	f   *Fetcher
	fx  Effects
	now int64
}

func begin(t *testing.T, c Config, seq uint64, fresh bool) *play {
	if c.Stream == "" {
		c.Stream, c.API = "EV", "$JS.edge.API"
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	p := &play{t: t, f: New(c, seq, fresh, "", rnd.IntN), now: second}
	p.tick()
	return p
}

func (p *play) tick() {
	p.fx.Reset()
	p.f.Tick(p.now, &p.fx)
}

func (p *play) later(d time.Duration) *play {
	p.now += int64(d)
	p.tick()
	return p
}

// asked gives the consumer that is asked for.
func (p *play) asked() consumer.Config {
	p.t.Helper()
	if p.fx.Request == nil {
		p.t.Fatal("no request")
	}
	var r createRequest
	if err := json.Unmarshal(p.fx.Request.Body, &r); err != nil {
		p.t.Fatal(err)
	}
	return r.Config
}

// granted answers the newest request.
func (p *play) granted(delivered uint64) {
	p.t.Helper()
	c := p.asked()
	at := p.fx.Request.Attempt
	p.fx.Reset()
	p.f.Answer(p.now, at, Answer{Consumer: "C", Deliver: c.DeliverSubject, Delivered: delivered, Sourcing: c.Sourcing}, &p.fx)
	if p.fx.Subscribe != c.DeliverSubject {
		p.t.Fatalf("subscribes to %q", p.fx.Subscribe)
	}
}

// deliver gives a message and reports what is stored, 0 for nothing.
func (p *play) deliver(sseq, dseq uint64) uint64 {
	p.fx.Reset()
	reply := fmt.Sprintf("$JS.ACK.EV.C.1.%d.%d.%d.0", sseq, dseq, 1000+sseq)
	in, ok := p.f.Message(p.now, p.f.Attempt(), []byte(reply), &p.fx)
	if !ok {
		return 0
	}
	if in.Time != int64(1000+sseq) {
		p.t.Errorf("time %d", in.Time)
	}
	return in.Seq
}

func (p *play) stored(seq uint64) {
	p.fx.Reset()
	p.f.Stored(seq, &p.fx)
}

func TestFetcher_request(t *testing.T) {
	t.Run("a fresh mirror takes everything", func(t *testing.T) {
		p := begin(t, Config{Mirror: true, Stream: "EV", API: "$JS.hub.API"}, 0, true)
		c := p.asked()
		if p.fx.Request.Subject != "$JS.hub.API.CONSUMER.CREATE.EV" || c.DeliverPolicy != consumer.DeliverAll || c.OptStartSeq != 0 ||
			!strings.HasPrefix(c.DeliverSubject, "$JS.M.") || !c.Direct || !c.FlowControl || c.Heartbeat != time.Second || c.AckPolicy != consumer.AckNone {
			t.Errorf("%s %+v", p.fx.Request.Subject, c)
		}
	})
	t.Run("later it goes on behind what it has", func(t *testing.T) {
		c := begin(t, Config{Mirror: true}, 41, false).asked()
		if c.DeliverPolicy != consumer.DeliverByStartSequence || c.OptStartSeq != 42 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("a filter stands in the subject", func(t *testing.T) {
		p := begin(t, Config{Stream: "EV", API: "$JS.API", Filters: []string{"a.>"}, Deliver: "deliver.x."}, 0, true)
		c := p.asked()
		if !strings.HasPrefix(p.fx.Request.Subject, "$JS.API.CONSUMER.CREATE.EV.JS_SRC_") || !strings.HasSuffix(p.fx.Request.Subject, ".a.>") ||
			!strings.Contains(p.fx.Request.Subject, c.Name) || !strings.HasPrefix(c.DeliverSubject, "deliver.x.S.") {
			t.Errorf("%s %+v", p.fx.Request.Subject, c)
		}
	})
	t.Run("configured starts", func(t *testing.T) {
		if c := begin(t, Config{StartSeq: 7}, 0, true).asked(); c.OptStartSeq != 7 {
			t.Errorf("%+v", c)
		}
		at := time.Unix(9, 0).UTC()
		if c := begin(t, Config{StartTime: at}, 0, true).asked(); c.DeliverPolicy != consumer.DeliverByStartTime || !c.OptStartTime.Equal(at) {
			t.Errorf("%+v", c)
		}
	})
}

func TestFetcher_delivery(t *testing.T) {
	p := begin(t, Config{Mirror: true}, 0, true)
	p.granted(0)
	for _, step := range []struct{ sseq, dseq, want uint64 }{
		{1, 1, 1}, {2, 2, 2},
		{2, 2, 0},  // twice
		{7, 3, 7},  // the origin has a gap
		{6, 4, 0},  // never backwards
		{8, 5, 8},  // goes on
		{10, 7, 0}, // 6 was lost
	} {
		if got := p.deliver(step.sseq, step.dseq); got != step.want {
			t.Errorf("%d/%d: stored %d, want %d", step.sseq, step.dseq, got, step.want)
		}
		p.stored(step.want)
		if step.dseq == 7 {
			break
		}
	}
	p.later(minSpacing)
	if c := p.asked(); c.OptStartSeq != 9 {
		t.Errorf("asks again from %d, want 9", c.OptStartSeq)
	}
	if n := p.deliver(9, 1); n != 0 {
		t.Error("took a message of the consumer that it gave up")
	}
}

func TestFetcher_startsLater(t *testing.T) {
	p := begin(t, Config{Mirror: true}, 0, true)
	p.granted(100)
	if p.fx.Skip != 100 {
		t.Errorf("skips to %d", p.fx.Skip)
	}
	if p.deliver(101, 1) != 101 {
		t.Error("101 not taken")
	}
}

func TestFetcher_heartbeats(t *testing.T) {
	t.Run("a missed delivery shows", func(t *testing.T) {
		p := begin(t, Config{}, 0, true)
		p.granted(0)
		p.deliver(1, 1)
		p.stored(1)
		p.now += second
		p.fx.Reset()
		p.f.Heartbeat(p.now, p.f.Attempt(), 2, "", &p.fx)
		if c := p.asked(); c.OptStartSeq != 2 {
			t.Errorf("asks from %d", c.OptStartSeq)
		}
	})
	t.Run("silence ends the consumer", func(t *testing.T) {
		p := begin(t, Config{}, 5, false)
		p.granted(0)
		p.later(stalled - time.Millisecond)
		if p.fx.Request != nil {
			t.Fatal("too early")
		}
		p.f.Heartbeat(p.now, p.f.Attempt(), 0, "", &p.fx)
		p.later(stalled - time.Millisecond)
		if p.fx.Request != nil {
			t.Fatal("the heartbeat did not count")
		}
		p.later(time.Millisecond)
		p.asked()
	})
}

// A durable consumer that was granted and gives no sign is asked for again soon,
// once; then the patience is that of any other.
func TestFetcher_durableWithoutASign(t *testing.T) {
	p := begin(t, Config{}, 5, false)
	grant := func() {
		t.Helper()
		c, at := p.asked(), p.fx.Request.Attempt
		p.fx.Reset()
		p.f.Answer(p.now, at, Answer{Consumer: "C", Deliver: c.DeliverSubject, Durable: true, Sourcing: true}, &p.fx)
	}
	silentFor := func(d time.Duration) {
		t.Helper()
		if p.later(d - time.Millisecond); p.fx.Request != nil {
			t.Fatalf("asked again before %v", d)
		}
		p.later(time.Millisecond)
		p.asked()
	}
	grant()
	silentFor(firstSign)
	grant()
	silentFor(stalled)
	grant()
	silentFor(2 * stalled)
	grant()
	p.fx.Reset()
	p.f.Heartbeat(p.now, p.f.Attempt(), 0, "", &p.fx)
	silentFor(stalled) // it gave one
	grant()
	silentFor(firstSign)
}

func TestFetcher_flowControlWaitsForTheDisk(t *testing.T) {
	p := begin(t, Config{}, 0, true)
	p.granted(0)
	p.deliver(1, 1)
	p.deliver(2, 2)
	p.fx.Reset()
	p.f.FlowControl(p.now, p.f.Attempt(), "$JS.FC.EV.C.x", &p.fx)
	if len(p.fx.Replies) != 0 {
		t.Fatal("answered before anything was stored")
	}
	if p.stored(1); len(p.fx.Replies) != 0 {
		t.Fatal("answered too early")
	}
	if p.stored(2); len(p.fx.Replies) != 1 || p.fx.Replies[0].Subject != "$JS.FC.EV.C.x" {
		t.Fatalf("replies %v", p.fx.Replies)
	}
	p.fx.Reset()
	p.f.Heartbeat(p.now, p.f.Attempt(), 2, "$JS.FC.EV.C.y", &p.fx)
	if len(p.fx.Replies) != 1 {
		t.Error("a stalled origin is not answered")
	}
}

func TestFetcher_failures(t *testing.T) {
	p := begin(t, Config{}, 0, true)
	answer := func(a Answer) {
		at := p.fx.Request.Attempt
		p.fx.Reset()
		p.f.Answer(p.now, at, a, &p.fx)
	}
	gone := &apierror.Error{Code: 404, ErrCode: 10059, Description: "stream not found"}
	var pauses []time.Duration
	for range 10 {
		answer(Answer{Err: gone})
		before := p.now
		p.now = p.f.Deadline()
		p.tick()
		pauses = append(pauses, time.Duration(p.now-before))
	}
	if pauses[0] > time.Second || pauses[9] < maxPause || pauses[9] > 2*maxPause {
		t.Errorf("pauses %v", pauses)
	}
	if i := p.f.Info(p.now); i.Err != gone || i.Active != -1 {
		t.Errorf("info %+v", i)
	}
	t.Run("a link that comes up ends the pause", func(t *testing.T) {
		answer(Answer{NoResponders: true})
		p.now += second
		p.fx.Reset()
		p.f.Reachable(p.now, &p.fx)
		p.granted(0)
		if i := p.f.Info(p.now); i.Err != nil || i.Active != 0 {
			t.Errorf("info %+v", i)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		p := begin(t, Config{}, 0, true)
		p.later(answerTimeout)
		if p.fx.Request != nil {
			t.Error("no pause")
		}
		p.later(2 * firstPause)
		p.asked()
	})
	t.Run("a refused message is fetched again, from there", func(t *testing.T) {
		p := begin(t, Config{}, 0, true)
		p.granted(0)
		p.deliver(1, 1)
		p.deliver(2, 2)
		p.stored(1)
		p.f.Refused(p.now, &p.fx)
		p.later(2 * firstPause)
		if c := p.asked(); c.OptStartSeq != 2 {
			t.Errorf("asks from %d", c.OptStartSeq)
		}
	})
}

// A stream that is full takes nothing, and what is behind at the origin shows,
// though all of it came by.
func TestFetcher_lagOfAFullStream(t *testing.T) {
	p := begin(t, Config{}, 0, true)
	p.granted(0)
	const total = 100
	come := func(from uint64) {
		for seq := from; seq <= total; seq++ {
			p.fx.Reset()
			reply := fmt.Sprintf("$JS.ACK.EV.C.1.%d.%d.1.%d", seq, seq-from+1, total-seq)
			p.f.Message(p.now, p.f.Attempt(), []byte(reply), &p.fx)
		}
	}
	come(1)
	for seq := uint64(1); seq <= 5; seq++ {
		p.stored(seq)
	}
	if i := p.f.Info(p.now); i.Lag != 0 {
		t.Errorf("lag %d while all are on their way", i.Lag)
	}
	for range 3 {
		p.fx.Reset()
		p.f.Refused(p.now, &p.fx)
		if i := p.f.Info(p.now); i.Lag < total-7 || i.Lag > total-6 {
			t.Errorf("refused: lag %d", i.Lag)
		}
		p.later(time.Minute)
		p.granted(5)
		come(6)
		if i := p.f.Info(p.now); i.Lag != total-7 { // as stock servers count
			t.Errorf("come again: lag %d", i.Lag)
		}
	}
	for seq := uint64(6); seq <= total; seq++ {
		p.stored(seq)
	}
	if i := p.f.Info(p.now); i.Lag != 0 {
		t.Errorf("stored: lag %d", i.Lag)
	}
}

// An origin that loses deliveries, a link that goes and comes, a stream that
// is slow to store: whatever happens, every message is stored once and in
// order.
func TestFetcher_neverLosesNorDoubles(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	const total = 2000
	p := &play{t: t, f: New(Config{Stream: "EV", API: "$JS.API"}, 0, true, "", rnd.IntN), now: second}
	var got []uint64 // durable here
	var inFlight []uint64
	next, dseq := uint64(0), uint64(0) // at the origin's consumer
	do := func() {
		if r := p.fx.Request; r != nil {
			c := p.asked()
			inFlight = nil // the log is in order: what was taken is stored or refused by now
			p.fx.Reset()
			next, dseq = max(c.OptStartSeq, 1), 0
			p.f.Answer(p.now, r.Attempt, Answer{Consumer: "C", Deliver: c.DeliverSubject}, &p.fx)
		}
	}
	p.tick()
	for steps := 0; len(got) < total; steps++ {
		if steps > 1_000_000 {
			t.Fatalf("stuck at %d", len(got))
		}
		do()
		p.now += int64(rnd.IntN(200)) * int64(time.Millisecond)
		switch n := rnd.IntN(100); {
		case n < 60 && next <= total && next > 0:
			dseq++
			seq := next
			next++
			if rnd.IntN(50) > 0 { // else lost on the way
				if s := p.deliver(seq, dseq); s > 0 {
					inFlight = append(inFlight, s)
				}
				do()
			}
		case n < 80 && len(inFlight) > 0:
			got = append(got, inFlight[0])
			p.stored(inFlight[0])
			inFlight = inFlight[1:]
		case n == 80 && len(inFlight) > 0 && rnd.IntN(10) == 0:
			p.fx.Reset()
			p.f.Refused(p.now, &p.fx)
			inFlight = nil
			next = 0
		case n == 82 && rnd.IntN(4) == 0:
			p.fx.Reset()
			p.f.Unreachable(p.now, &p.fx)
			inFlight, next = nil, 0
			p.fx.Reset()
			p.f.Reachable(p.now, &p.fx)
		case n < 90:
			p.fx.Reset()
			p.f.Heartbeat(p.now, p.f.Attempt(), dseq, "", &p.fx)
		default:
			p.tick()
		}
	}
	for i, s := range got {
		if s != uint64(i+1) {
			t.Fatalf("message %d is %d", i+1, s)
		}
	}
}

func TestHeader(t *testing.T) {
	const in = "NATS/1.0\r\nA: 1\r\nNats-Expected-Stream: X\r\nNats-Batch-Id: 9\r\nNats-Stream-Source: OLD 1\r\nNats-Msg-Id: m\r\n\r\n"
	got := string(AppendHeader(nil, []byte(in), Label("EV", "$JS.LEAF.API"), 1, ">", ">", []byte("ev.x"), "wCpkGY2n"))
	want := "NATS/1.0\r\nA: 1\r\nNats-Msg-Id: m\r\nNats-Stream-Source: EV:pGu3nZaw 1 > > ev.x wCpkGY2n\r\n\r\n"
	if got != want {
		t.Errorf("source: %q", got)
	}
	if got := string(AppendHeader([]byte("x"), nil, "EV", 3, ">", ">", []byte("a"), "")); got != "xNATS/1.0\r\nNats-Stream-Source: EV 3 > > a\r\n\r\n" {
		t.Errorf("no header before: %q", got)
	}
	if got := string(AppendHeader(nil, []byte(in), "", 0, "", "", nil, "")); got != "NATS/1.0\r\nA: 1\r\nNats-Stream-Source: OLD 1\r\nNats-Msg-Id: m\r\n\r\n" {
		t.Errorf("mirror: %q", got)
	}
	if got := AppendHeader(nil, nil, "", 0, "", "", nil, ""); got != nil {
		t.Errorf("mirror without headers: %q", got)
	}
	if got := Name("EV", "$JS.LEAF.API", nil, nil); got != "EV:pGu3nZaw > >" {
		t.Error(got)
	}
}

func TestFetcher_messagesSayWhatTheyComeAfter(t *testing.T) {
	p := begin(t, Config{}, 41, false)
	p.granted(0)
	after := func(sseq, dseq, want uint64) {
		t.Helper()
		in, ok := p.f.Message(p.now, p.f.Attempt(), []byte(fmt.Sprintf("$JS.ACK.EV.C.1.%d.%d.1.0", sseq, dseq)), &p.fx)
		if !ok || in.After != want {
			t.Errorf("%d: %+v, %v", sseq, in, ok)
		}
	}
	after(45, 1, 41)
	after(46, 2, 45)
	p.stored(45)
	p.f.Refused(p.now, &p.fx)
	p.later(time.Second)
	p.granted(45)
	after(46, 1, 45)
	after(50, 2, 46)
}
