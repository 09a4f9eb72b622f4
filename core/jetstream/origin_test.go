package jetstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/core/jetstream/sourcing"
)

// sourcingRequest is what another server sends for a mirror or a source.
func sourcingRequest(stream, change string) string {
	return `{"stream_name":"` + stream + `","config":{"name":"JS_SRC_aaaaaaaa","deliver_policy":"all","ack_policy":"none","ack_wait":79200000000000,` +
		`"max_deliver":1,"replay_policy":"instant","flow_control":true,"deliver_subject":"$JS.S.one","idle_heartbeat":1000000000,` +
		`"inactive_threshold":10000000000,"num_replicas":0,"direct":true,"metadata":{"_nats.src.stream":"T"}` + change + `},"action":""}`
}

type createdAnswer struct {
	Error     *apierror.Error  `json:"error"`
	Name      string           `json:"name"`
	Config    *consumer.Config `json:"config"`
	Delivered consumer.SeqPair `json:"delivered"`
	header    string
}

func (b *testBus) source(t testing.TB, stream, change string, hdr ...string) (a createdAnswer) {
	t.Helper()
	m := b.request(t, "$JS.API.CONSUMER.CREATE."+stream, header(hdr...), sourcingRequest(stream, change))
	if err := json.Unmarshal([]byte(m.Body), &a); err != nil {
		t.Fatal(err)
	}
	a.header = m.Header
	return a
}

func TestOrigin_givesWhatKeepsTheMessages(t *testing.T) {
	_, b := newTestEngine(t)
	for _, retention := range []string{"limits", "workqueue", "interest"} {
		t.Run(retention, func(t *testing.T) {
			name := strings.ToUpper(retention)
			var made struct {
				Created time.Time `json:"created"`
			}
			b.call(t, "STREAM.CREATE."+name, `{"name":"`+name+`","subjects":["`+retention+`.>"],"storage":"memory","retention":"`+retention+`"}`, &made)
			a := b.source(t, name, `,"sourcing":true`, "Nats-Required-Api-Level", "5", "Nats-Stream-Identity", "")
			if a.Error != nil {
				t.Fatal(a.Error)
			}
			id := headerValue(a.header, sourcing.HdrIdentity)
			if len(id) != 8 {
				t.Errorf("identity in %q", a.header)
			}
			again := b.source(t, name, `,"sourcing":true,"deliver_policy":"by_start_sequence","opt_start_seq":5`, "Nats-Required-Api-Level", "5", "Nats-Stream-Identity", id)
			if again.Error != nil {
				t.Fatal(again.Error)
			}
			if retention == "limits" {
				if !strings.HasPrefix(a.Name, "JS_SRC_aaaaaaaa-") || !a.Config.Direct || a.Config.AckPolicy != consumer.AckNone || a.Name == again.Name {
					t.Errorf("%s, then %s, %+v", a.Name, again.Name, a.Config)
				}
			} else {
				c := a.Config
				if a.Name != "JS_SRC_aaaaaaaa" || c.Durable != a.Name || c.Direct || c.AckPolicy != consumer.AckFlowControl || c.MaxAckPending != 1000 ||
					c.MaxDeliver != -1 || c.AckWait != 0 || c.Inactive != 0 || !c.Sourcing || c.Metadata["_nats.src.stream"] != "T" {
					t.Errorf("%s %+v", a.Name, c)
				}
				if again.Name != a.Name || again.Config.DeliverPolicy != consumer.DeliverAll || again.Delivered.Stream != 0 {
					t.Errorf("again %+v", again)
				}
			}
			if err := b.source(t, name, `,"sourcing":true`, "Nats-Required-Api-Level", "5", "Nats-Stream-Identity", "ABCDEFGH").Error; err == nil ||
				err.ErrCode != 10225 || err.Description != "consumer's stream identity does not match: "+id {
				t.Errorf("another stream is meant: %v", err)
			}
			if err := b.source(t, name, `,"sourcing":true`, "Nats-Required-Api-Level", "6").Error; err == nil || err.ErrCode != 10185 {
				t.Errorf("level 6: %v", err)
			}
			// The form of older servers, in which delivery counts as acknowledgement.
			old := b.source(t, name, "").Error
			switch {
			case retention == "limits":
				if old != nil {
					t.Errorf("old form: %v", old)
				}
			case old == nil || retention == "workqueue" && old.ErrCode != 10098 || retention == "interest" && !strings.Contains(old.Description, "acknowledgements"):
				t.Errorf("old form: %v", old)
			}
		})
	}
}

func headerValue(header, name string) string {
	_, rest, _ := strings.Cut(header, name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// A work queue gives each message to its worker and to who sources it, and
// keeps it for whichever is behind.
func TestOrigin_workQueue(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"O","subjects":["o.>"],"storage":"memory","retention":"workqueue"}`)
	mustConsumer(t, b, "O", "w", `{"durable_name":"w","ack_policy":"explicit"}`)
	b.publish(t, "o.x", "0")
	mustStream(t, b, `{"name":"T","storage":"memory","sources":[{"name":"O"}]}`)
	for i := 1; i < 5; i++ {
		b.publish(t, "o.x", fmt.Sprint(i))
	}
	var names struct {
		Consumers []string `json:"consumers"`
	}
	eventually(t, func() bool {
		b.call(t, "CONSUMER.NAMES.O", "", &names)
		return len(names.Consumers) == 2
	})
	if !strings.HasPrefix(names.Consumers[0], "JS_SRC_") {
		t.Fatalf("consumers %v", names.Consumers)
	}
	eventually(t, func() bool { return b.consumer(t, "O", names.Consumers[0]).AckFloor.Stream == 5 })
	if s := b.origins(t, "O").State; s.Msgs != 5 {
		t.Errorf("%d messages are left for the worker", s.Msgs)
	}
	in := b.pull(t, "O.w", "5")
	for i := range 5 {
		m := in.next()
		if m.Body != fmt.Sprint(i) {
			t.Errorf("the worker got %q, want %d", m.Body, i)
		}
		b.request(t, m.Reply, "", "")
	}
	eventually(t, func() bool { return b.origins(t, "O").State.Msgs == 0 })
	if s := b.origins(t, "T"); s.State.Msgs != 5 || s.Sources[0].Seq != 5 {
		t.Errorf("%+v", s)
	}
	t.Run("when the source is removed its consumer goes", func(t *testing.T) {
		b.call(t, "STREAM.DELETE.T", "", nil)
		eventually(t, func() bool {
			b.call(t, "CONSUMER.NAMES.O", "", &names)
			return len(names.Consumers) == 1
		})
	})
}

// An interest stream whose only reader is a source stores what is published,
// and lets it go when it is stored there.
func TestOrigin_interest(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"O","subjects":["o.>"],"storage":"memory","retention":"interest"}`)
	mustStream(t, b, `{"name":"T","storage":"memory","discard":"new","max_msgs":3,"sources":[{"name":"O"}]}`)
	eventually(t, func() bool { return b.origins(t, "O").State.Consumers == 1 })
	for i := range 5 {
		b.publish(t, "o.x", fmt.Sprint(i))
	}
	eventually(t, func() bool { return b.origins(t, "T").State.Msgs == 3 })
	if s := b.origins(t, "O").State; s.Msgs < 2 {
		t.Errorf("%d messages are left at the origin, 2 are not stored elsewhere", s.Msgs)
	}
	b.call(t, "STREAM.PURGE.T", `{"seq":4}`, nil)
	eventually(t, func() bool { return b.origins(t, "T").State.LastSeq == 5 && b.origins(t, "O").State.Msgs == 0 })
}

// Both sides lose their power again and again; what was acknowledged by the
// work queue is at the target at the end, once and in order.
func TestOrigin_workQueueCrashes(t *testing.T) {
	for seed := range uint64(3) {
		d := newDevice(t, 20+seed)
		e, b := d.open()
		mustStream(t, b, `{"name":"O","subjects":["o"],"retention":"workqueue"}`)
		mustStream(t, b, `{"name":"T","sources":[{"name":"O"}]}`)
		total := 0
		for round := range 4 {
			for range 30 {
				if a := b.publish(t, "o", fmt.Sprint(total)); a.Error != nil {
					t.Fatal(a.Error)
				}
				total++
			}
			if round%2 == 0 {
				eventually(t, func() bool { return b.origins(t, "T").State.Msgs > 0 })
			}
			d.crash(e, 0.5)
			e, b = d.open()
		}
		eventually(t, func() bool { return b.origins(t, "T").State.Msgs >= uint64(total) })
		for i := range total {
			if got := string(b.msg(t, "T", uint64(i+1)).Message.Data); got != fmt.Sprint(i) {
				t.Fatalf("seed %d: message %d is %q", seed, i+1, got)
			}
		}
		eventually(t, func() bool { return b.origins(t, "O").State.Msgs == 0 })
		if s := b.origins(t, "T").State; s.Msgs != uint64(total) {
			t.Errorf("seed %d: %d messages, want %d", seed, s.Msgs, total)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A stream that is deleted and made anew is another one, though its name and
// its sequences are the same.
func TestSource_originMadeAnew(t *testing.T) {
	d := newDevice(t, 31)
	e, b := d.open()
	mustStream(t, b, `{"name":"O","subjects":["o"]}`)
	mustStream(t, b, `{"name":"T","sources":[{"name":"O"}]}`)
	mustStream(t, b, `{"name":"M","mirror":{"name":"O"}}`)
	for i := range 10 {
		b.publish(t, "o", fmt.Sprintf("old %d", i))
	}
	eventually(t, func() bool { return b.origins(t, "T").State.Msgs == 10 && b.origins(t, "M").State.Msgs == 10 })
	b.call(t, "STREAM.DELETE.O", "", nil)
	mustStream(t, b, `{"name":"O","subjects":["o"]}`)
	for i := range 15 {
		b.publish(t, "o", fmt.Sprintf("new %d", i))
	}
	// A restart makes both ask again, and the positions come from the disk.
	d.crash(e, 1)
	e, b = d.open()
	eventually(t, func() bool { return b.origins(t, "T").State.Msgs == 25 })
	for i := range 15 {
		if got := string(b.msg(t, "T", uint64(11+i)).Message.Data); got != fmt.Sprintf("new %d", i) {
			t.Fatalf("message %d is %q", 11+i, got)
		}
	}
	if h := string(b.msg(t, "T", 25).Message.Header); len(strings.Fields(headerValue(h, "Nats-Stream-Source"))) != 6 {
		t.Errorf("header %q", h)
	}
	eventually(t, func() bool { i := b.origins(t, "M").Mirror; return i.Error != nil && i.Error.ErrCode == 10225 })
	if s := b.origins(t, "M").State; s.Msgs != 10 || string(b.msg(t, "M", 10).Message.Data) != "old 9" {
		t.Errorf("the mirror mixed two streams: %+v", s)
	}
	// And that the source begins anew is on the disk too.
	d.crash(e, 0)
	e, b = d.open()
	b.publish(t, "o", "new 15")
	eventually(t, func() bool { return b.origins(t, "T").State.Msgs == 26 })
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// A mirror that may start over is empty first and has the new stream's
// messages then, whenever the power went; its consumers are there again.
func TestMirror_startsOver(t *testing.T) {
	d := newDevice(t, 41)
	e, b := d.open()
	mustStream(t, b, `{"name":"O","subjects":["o"]}`)
	mustStream(t, b, `{"name":"M","mirror":{"name":"O"}}`)
	mustConsumer(t, b, "M", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	if err := b.fails(t, "STREAM.UPDATE.M", `{"name":"M","mirror":{"name":"O"},"metadata":{"frond.origin_made_anew":"perhaps"}}`); err.ErrCode != 10052 {
		t.Error(err)
	}
	for i := range 10 {
		b.publish(t, "o", fmt.Sprintf("old %d", i))
	}
	eventually(t, func() bool { return b.origins(t, "M").State.Msgs == 10 })
	b.call(t, "STREAM.DELETE.O", "", nil)
	mustStream(t, b, `{"name":"O","subjects":["o"]}`)
	for i := range 5 {
		b.publish(t, "o", fmt.Sprintf("new %d", i))
	}
	d.crash(e, 1) // it asks again
	e, b = d.open()
	eventually(t, func() bool { i := b.origins(t, "M").Mirror; return i.Error != nil && i.Error.ErrCode == 10225 })
	b.call(t, "STREAM.UPDATE.M", `{"name":"M","mirror":{"name":"O"},"metadata":{"frond.origin_made_anew":"start_over"}}`, nil)
	check := func() {
		t.Helper()
		eventually(t, func() bool { s := b.origins(t, "M").State; return s.Msgs == 5 && s.LastSeq == 5 })
		for i := range 5 {
			if got := string(b.msg(t, "M", uint64(1+i)).Message.Data); got != fmt.Sprintf("new %d", i) {
				t.Errorf("message %d is %q", i+1, got)
			}
		}
	}
	check()
	in := b.pull(t, "M.c", "5")
	if m := in.next(); m.Body != "new 0" {
		t.Errorf("its consumer gets %q", m.Body)
	}
	d.crash(e, 0)
	e, b = d.open()
	check()
	if n := len(e.allStreams()); n != 2 {
		t.Errorf("%d streams", n)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// The crash comes between the new stream and the end of the old one.
func TestMirror_startsOverHalf(t *testing.T) {
	d := newDevice(t, 42)
	e, b := d.open()
	mustStream(t, b, `{"name":"M","mirror":{"name":"O"},"metadata":{"frond.origin_made_anew":"start_over"}}`)
	s := e.account("A").stream("M")
	w := make(waits, 1)
	if err := s.Take(&origins.Message{Seq: 7, At: 1, Subject: []byte("o")}, w); err != nil {
		t.Fatal(err)
	}
	<-w
	if _, err := e.submitStream(s.acct, s.config()); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		if round == 1 {
			d.crash(e, 1)
		} else if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e, b = d.open()
		eventually(t, func() bool { return len(e.allStreams()) == 1 })
		if s := b.origins(t, "M").State; s.LastSeq != 0 {
			t.Errorf("round %d: the old one is back: %+v", round, s)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
