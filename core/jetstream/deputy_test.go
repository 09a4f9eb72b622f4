package jetstream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
)

// deputyWays are the ways to make the server send something to a subject of
// one's choice. Each gets a stream W with the messages w.a (empty), w.b ("{}"),
// its pull consumer P, and a target that would be a request.
var deputyWays = []struct {
	name string
	do   func(t *testing.T, b *testBus, target string)
}{
	{"delivery of a pull", func(t *testing.T, b *testBus, to string) { b.send(nextPrefix+"W.P", to, "2") }},
	{"delivery of +NXT", func(t *testing.T, b *testBus, to string) {
		b.send(b.pulled(t), to, "+NXT 1")
	}},
	{"404 of a pull", func(t *testing.T, b *testBus, to string) {
		b.send(nextPrefix+"W.E", to, `{"no_wait":true}`)
	}},
	{"400 of a pull", func(t *testing.T, b *testBus, to string) { b.send(nextPrefix+"W.P", to, `{"batch":`) }},
	{"408 of a pull", func(t *testing.T, b *testBus, to string) { b.send(nextPrefix+"W.E", to, `{"expires":1000000}`) }},
	{"412 of a pull", func(t *testing.T, b *testBus, to string) {
		b.route(&wire.Msg{Subject: []byte(nextPrefix + "W.P"), Reply: []byte(to), Header: []byte(header(api.HdrRequiredLevel, "99"))})
	}},
	{"409 of a pull", func(t *testing.T, b *testBus, to string) {
		mustConsumer(t, b, "W", "E", deputyIdle)
		b.send(nextPrefix+"W.E", to, `1`)
		b.call(t, "CONSUMER.DELETE.W.E", "", nil)
	}},
	{"heartbeat of a pull", func(t *testing.T, b *testBus, to string) {
		b.send(nextPrefix+"W.E", to, `{"expires":60000000000,"idle_heartbeat":1000000}`)
	}},
	{"answer to an acknowledgement", func(t *testing.T, b *testBus, to string) { b.send(b.pulled(t), to, "") }},
	{"publish acknowledgement", func(t *testing.T, b *testBus, to string) { b.send("w.c", to, "x") }},
	{"publish refusal", func(t *testing.T, b *testBus, to string) {
		b.route(&wire.Msg{Subject: []byte("w.c"), Reply: []byte(to), Header: []byte(header(hdrExpectedStream, "X"))})
	}},
	{"answer of the API", func(t *testing.T, b *testBus, to string) { b.send(asset.APIPrefix+"STREAM.INFO.W", to, "") }},
	{"refusal of the API", func(t *testing.T, b *testBus, to string) { b.send(asset.APIPrefix+"STREAM.INFO.X", to, "") }},
	{"direct get", func(t *testing.T, b *testBus, to string) { b.send(directPrefix+"W.w.a", to, "") }},
	{"direct get without headers", func(t *testing.T, b *testBus, to string) {
		b.send(directPrefix+"W", to, `{"seq":1,"no_hdr":true}`)
	}},
	{"batch of a direct get", func(t *testing.T, b *testBus, to string) {
		b.send(directPrefix+"W", to, `{"seq":1,"batch":5,"no_hdr":true}`)
	}},
	{"404 of a direct get", func(t *testing.T, b *testBus, to string) { b.send(directPrefix+"W.w.zz", to, "") }},
}

var deputyTargets = []string{
	asset.APIPrefix + "STREAM.PURGE.V", asset.APIPrefix + "STREAM.DELETE.V", asset.APIPrefix + "CONSUMER.DELETE.V.P",
	nextPrefix + "V.P", directPrefix + "V", "$JS.ACK.V.P.1.1.1.1.0", "$JS.hub.API.STREAM.PURGE.V",
}

const deputyIdle = `{"durable_name":"E","ack_policy":"explicit","filter_subject":"w.nothing"}`

// send publishes as a client does.
func (b *testBus) send(subj, reply, body string) {
	b.route(&wire.Msg{Subject: []byte(subj), Reply: []byte(reply), Body: []byte(body)})
}

// pulled has one message of W delivered and gives its reply.
func (b *testBus) pulled(t *testing.T) string {
	in := b.inbox(t, "in")
	defer in.stop()
	b.publish(t, "w.a", "")
	b.publish(t, "w.a", "")
	b.send(nextPrefix+"W.P", "in", "1")
	return in.next().Reply
}

func deputyEngine(t *testing.T) *testBus {
	_, b := newTestEngine(t, func(c *Config) { c.Workers = 1; c.InterestGrace = -1 })
	mustStream(t, b, `{"name":"W","subjects":["w.>"],"storage":"memory","allow_direct":true}`)
	mustStream(t, b, `{"name":"V","subjects":["v"],"storage":"memory","allow_direct":true}`)
	for _, m := range [][2]string{{"w.a", ""}, {"w.b", "{}"}, {"v", "kept"}} {
		b.publish(t, m[0], m[1])
	}
	mustConsumer(t, b, "W", "P", `{"durable_name":"P","ack_policy":"explicit"}`)
	mustConsumer(t, b, "W", "E", deputyIdle)
	mustConsumer(t, b, "V", "P", `{"durable_name":"P","ack_policy":"explicit"}`)
	in := b.inbox(t, "in.v")
	b.send(nextPrefix+"V.P", "in.v", "1")
	in.next()
	in.stop()
	return b
}

// untouched says what became of the stream V.
func (b *testBus) untouched(t *testing.T) {
	t.Helper()
	var s streamAnswer
	b.call(t, "STREAM.INFO.V", "", &s)
	var c api.ConsumerInfo
	b.call(t, "CONSUMER.INFO.V.P", "", &c)
	if s.State.Msgs != 1 || c.NumAckPending != 1 || c.NumWaiting != 0 {
		t.Errorf("%d messages, %d pending, %d waiting: a request was executed", s.State.Msgs, c.NumAckPending, c.NumWaiting)
	}
}

// Nothing that the server answers or delivers goes to where it would be a
// request.
func TestDeputy_nothingIsSentToRequestSubjects(t *testing.T) {
	for _, w := range deputyWays {
		t.Run(w.name, func(t *testing.T) {
			b := deputyEngine(t)
			plain := b.inbox(t, "plain")
			var own []string
			b.mu.Lock()
			b.spy = func(m *wire.Msg) {
				if m.Own && !m.Chosen && strings.HasPrefix(string(m.Subject), "$JS.") {
					own = append(own, string(m.Subject))
				}
			}
			b.mu.Unlock()
			for _, to := range deputyTargets {
				w.do(t, b, to)
			}
			w.do(t, b, "plain")
			plain.next() // the way works, and what came before is done
			b.untouched(t)
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(own) > 0 {
				t.Errorf("sent to %q", own)
			}
		})
	}
}

// What an account's mapping makes of an answer's subject is seen only where it
// arrives.
func TestDeputy_answersThatArriveAreNoRequests(t *testing.T) {
	for _, to := range deputyTargets {
		for _, body := range []string{"", "{}", "+ACK", "+TERM"} {
			b := deputyEngine(t)
			b.route(&wire.Msg{Subject: []byte(to), Reply: []byte("r"), Body: []byte(body), Own: true})
			b.untouched(t)
		}
	}
}

func TestDeputy_configuredDestinations(t *testing.T) {
	b := deputyEngine(t)
	targets := append([]string{"$JS.API", "$JS.FC.W.P.x", "$JS.EVENT.x", "_R_.x", "_GR_.x.y"}, deputyTargets...)
	for i, to := range targets {
		err := b.fails(t, fmt.Sprintf("CONSUMER.CREATE.W.d%d", i), fmt.Sprintf(`{"stream_name":"W","config":{"deliver_subject":%q}}`, to))
		if err.ErrCode != 10112 {
			t.Errorf("deliver subject %s: %v", to, err)
		}
		// A destination is taken, as by the stock server, and never served.
		mustStream(t, b, fmt.Sprintf(`{"name":"R%d","subjects":["r%d"],"storage":"memory","republish":{"src":"r%d","dest":%q}}`, i, i, i, to))
		in := b.inbox(t, to)
		if a := b.publish(t, fmt.Sprintf("r%d", i), ""); a.Seq != 1 {
			t.Errorf("%+v", a)
		}
		b.untouched(t)
		in.stop()
		select {
		case m := <-in.ch:
			if m.Shown != "" && m.Body == "" && strings.Contains(m.Header, hdrStream) {
				t.Errorf("republished to %s", to)
			}
		default:
		}
	}
	for _, to := range []string{"$JS.M.x", "$JSC.M.x", "$JS.foo", "$SYS.x"} {
		mustConsumer(t, b, "W", "ok", fmt.Sprintf(`{"deliver_subject":%q}`, to))
		b.call(t, "CONSUMER.DELETE.W.ok", "", nil)
	}
	// An update is checked too.
	mustConsumer(t, b, "W", "u", `{"deliver_subject":"d"}`)
	if err := b.fails(t, "CONSUMER.CREATE.W.u", `{"stream_name":"W","config":{"deliver_subject":"$JS.API.x"}}`); err.ErrCode != 10112 {
		t.Error(err)
	}
}

// An origin names the subject of the answers to its flow control. It must not
// make its mirror ask the mirror's own server.
func TestDeputy_originsFlowControl(t *testing.T) {
	b := deputyEngine(t)
	mustStream(t, b, `{"name":"M","storage":"memory","mirror":{"name":"O","external":{"api":"o.api","deliver":""}}}`)
	created := make(chan string, 8)
	stop, err := b.Subscribe("o.api.CONSUMER.CREATE.>", "", func(m *wire.Msg) {
		req := string(m.Body)
		_, rest, _ := strings.Cut(req, `"deliver_subject":"`)
		deliver, _, _ := strings.Cut(rest, `"`)
		reply := string(m.Reply)
		go b.send(reply, "", fmt.Sprintf(`{"name":"c","config":{"deliver_subject":%q}}`, deliver))
		created <- deliver
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var deliver string
	select {
	case deliver = <-created:
	case <-time.After(testTimeout):
		t.Fatal("the mirror did not ask")
	}
	answered := b.inbox(t, "$JS.FC.O.c.x")
	flow := func(reply string) {
		b.route(&wire.Msg{Subject: []byte(deliver), Reply: []byte(reply), Header: wire.AppendStatus(nil, 100, "FlowControl Request")})
	}
	eventually(t, func() bool { return b.HasInterest(deliver) })
	flow(asset.APIPrefix + "STREAM.PURGE.V")
	flow("$JS.FC.O.c.x")
	answered.next() // replies go in order
	b.untouched(t)
}
