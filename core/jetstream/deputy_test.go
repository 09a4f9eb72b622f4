package jetstream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// deputyWays reads the ways to make the server send something to a subject of one's
// choice: what is made before, and the commands of each, as in stories.
func deputyWays(t *testing.T) (before []string, ways []deputyWay) {
	testkit.Stories(t, "testdata/deputy.txt", func(t *testing.T, s testkit.Story) {
		for _, line := range s.Steps() {
			name, is := strings.CutPrefix(line, "way ")
			switch {
			case is:
				ways = append(ways, deputyWay{name: name})
			case len(ways) == 0:
				before = append(before, line)
			default:
				w := &ways[len(ways)-1]
				w.commands = append(w.commands, line)
			}
		}
	})
	if len(before) < 5 || len(ways) < 10 {
		t.Fatalf("%d ways behind %d commands", len(ways), len(before))
	}
	return before, ways
}

type deputyWay struct {
	name     string
	commands []string
}

var deputyTargets = []string{
	asset.APIPrefix + "STREAM.PURGE.V", asset.APIPrefix + "STREAM.DELETE.V", asset.APIPrefix + "CONSUMER.DELETE.V.P",
	nextPrefix + "V.P", directPrefix + "V", "$JS.ACK.V.P.1.1.1.1.0", "$JS.hub.API.STREAM.PURGE.V",
}

// send publishes as a client does.
func (b *testBus) send(subj, reply, body string) {
	b.route(&wire.Msg{Subject: []byte(subj), Reply: []byte(reply), Body: []byte(body)})
}

// deputyRig is an engine with what the ways need.
func deputyRig(t *testing.T, before []string) *storyRig {
	r := &storyRig{t: t, inboxes: make(map[string]*storyInbox)}
	r.e, r.b = newTestEngine(t, func(c *Config) { c.Workers = 1; c.InterestGrace = -1 })
	r.play(before, "")
	return r
}

// play gives commands with a target. What makes something has to work.
func (r *storyRig) play(commands []string, to string) {
	r.t.Helper()
	for _, command := range commands {
		out := r.answers(strings.ReplaceAll(command, "{to}", to))
		if verb, _, _ := strings.Cut(command, " "); len(out) > 0 && (verb == "stream" || verb == "consumer") {
			r.t.Fatalf("%s: %q", command, out)
		}
	}
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
	before, ways := deputyWays(t)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			r := deputyRig(t, before)
			b := r.b
			plain := b.inbox(t, "plain")
			var own []string
			b.mu.Lock()
			b.spy = func(m *wire.Msg) {
				if m.Own && !m.Chosen && strings.HasPrefix(string(m.Subject), "$JS.") {
					own = append(own, string(m.Subject))
				}
			}
			b.mu.Unlock()
			for _, to := range append(deputyTargets, "plain") {
				r.play(w.commands, to)
			}
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
	before, _ := deputyWays(t)
	for _, to := range deputyTargets {
		for _, body := range []string{"", "{}", "+ACK", "+TERM"} {
			b := deputyRig(t, before).b
			b.route(&wire.Msg{Subject: []byte(to), Reply: []byte("r"), Body: []byte(body), Own: true})
			b.untouched(t)
		}
	}
}

// An origin names the subject of the answers to its flow control. It must not
// make its mirror ask the mirror's own server.
func TestDeputy_originsFlowControl(t *testing.T) {
	before, _ := deputyWays(t)
	b := deputyRig(t, before).b
	mustStream(t, b, `name=M storage=memory mirror={name=O external={api=o.api deliver=""}}`)
	created := make(chan string, 8)
	stop, err := b.Subscribe("o.api.CONSUMER.CREATE.>", "", func(m *wire.Msg) {
		req := string(m.Body)
		_, rest, _ := strings.Cut(req, `"deliver_subject":"`)
		deliver, _, _ := strings.Cut(rest, `"`)
		reply := string(m.Reply)
		go b.send(reply, "", jsonOf(t, fmt.Sprintf("name=c config={deliver_subject=%q}", deliver)))
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
