package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/testkit"
)

// startStory is a server with streams, for tests that are no text.
func startStory(t *testing.T) *story {
	s := &story{t: t, dir: t.TempDir(), clients: make(map[string]*client)}
	s.start()
	return s
}

// run takes steps, one a line.
func (s *story) run(text string) {
	s.t.Helper()
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			s.step(words)
		}
	}
}

func (s *story) keeper() *keeper {
	acc, _ := s.tap.Account(config.GlobalAccount)
	k, err := s.m.keeperOf(acc)
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// Retained messages are read when all that came before is stored, and what came live
// meanwhile is not followed by what was retained, older or the same.
func TestReplay_neverOlderBehindNewer(t *testing.T) {
	s := startStory(t)
	s.run(`
		dev connect
		dev pub t/1 old q1 retain
		dev pub t/2 other q1 retain
		sub connect`)
	k := s.keeper()
	f := new(flight) // of one that takes its time
	f.waits = 1
	k.begin(f)
	s.run(`sub sub t/#`)
	testkit.Eventually(t, "the replay waits for what is on its way", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.mu.waiting) == 1
	})
	s.run(`
		dev pub t/1 new q1 retain
		sub gets t/1 new`)
	k.done(f)
	s.run(`
		sub gets t/2 other retain
		sub silent`)
	if c := s.conn("sub"); c.subs["t/#"].watching.Load() != nil {
		t.Error("it is watched for ever")
	}
}

// What came live before the first page is read does not come once more from there.
func TestReplay_notAgainWhatCameLive(t *testing.T) {
	s := startStory(t)
	s.run(`
		dev connect
		dev pub t/2 other q1 retain
		sub connect`)
	k := s.keeper()
	for range maxPages {
		k.pages <- struct{}{}
	}
	s.run(`
		sub sub t/#
		dev pub t/1 new q1 retain
		sub gets t/1 new`)
	for range maxPages {
		<-k.pages
	}
	s.run(`
		sub gets t/2 other retain
		sub silent`)
}

// A watch keeps so much and no more, and says so.
func TestWatch_isBounded(t *testing.T) {
	w := &watch{most: maxSeen}
	long := strings.Repeat("x", 1000)
	for i := range 1000 {
		w.add(fmt.Appendf(nil, "%s.%d", long, i%500))
	}
	if w.size > maxSeen+2*len(long) || len(w.seen) > maxSeen/len(long) {
		t.Errorf("it keeps %d subjects, %d bytes", len(w.seen), w.size)
	}
	if yes, over := w.replaced(long + ".0"); !yes || !over {
		t.Errorf("the first: %v, over: %v", yes, over)
	}
	w = &watch{most: maxSeen}
	for range maxSeen {
		w.add([]byte("the.same"))
	}
	if yes, over := w.replaced("the.same"); !yes || over {
		t.Errorf("one subject: %v, over: %v", yes, over)
	}
}

// A page is begun again where a watch was over: nothing is left out for that.
func TestReplay_watchIsOver(t *testing.T) {
	s := startStory(t)
	s.run(`
		dev connect
		dev pub t/1 one q1 retain
		dev pub t/2 two q1 retain
		sub connect
		sub sub other`)
	peer := s.conn("sub")
	sub := &subscription{conn: peer, filter: "t/+"}
	m, err := s.streams().Last(t.Context(), retainedStream, retainedPrefix+"t.1")
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{conn: peer, ctx: t.Context()}
	if again, err := r.send(sub, &watch{over: true}, m, m.Time); again != m.Seq || err != nil {
		t.Errorf("again at %d, %v, want %d", again, err, m.Seq)
	}
	if again, err := r.send(sub, new(watch), m, m.Time); again != 0 || err != nil {
		t.Errorf("again at %d, %v", again, err)
	}
	peer.out.Wake()
	s.run(`
		sub gets t/1 one retain
		sub silent`)
}

// For a client that takes little, little waits, however much is retained; and in the
// end it has all.
func TestReplay_atTheClientsPace(t *testing.T) {
	const topics, size = 3000, 200
	s := startStory(t)
	s.run(`dev connect`)
	for i := range topics {
		pk := &packets.Packet{ProtocolVersion: v311, PacketID: uint16(i + 1), TopicName: fmt.Sprintf("many/%d", i), Payload: []byte(strings.Repeat("x", size))}
		pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Qos: 1, Retain: true}
		s.clients["dev"].send(s.clients["dev"].encoded(pk.PublishEncode))
	}
	for range topics {
		s.clients["dev"].expect(packets.Puback)
	}

	c := (&broker{t: t, m: s.m}).dial(v5)
	c.send(c.connectPacket("slow", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 10 }))
	c.expect(packets.Connack)
	s.clients["slow"] = c
	s.run(`slow sub # q1`)
	peer, k := s.conn("slow"), s.keeper()
	testkit.Eventually(t, "the replay waits for the client", func() bool {
		peer.out.Lock()
		defer peer.out.Unlock()
		return peer.out.PendingLocked() > pageBytes/2 && len(k.pages) == 0
	})
	const most = pageBytes/2 + pageBytes + 1<<10
	got := make(map[string]bool)
	for range topics {
		if n := peer.out.Pending(); n > most {
			t.Fatalf("behind %d: %d bytes wait, at most %d may", len(got), n, most)
		}
		pk := c.expect(packets.Publish)
		if got[pk.TopicName] || !pk.FixedHeader.Retain || len(pk.Payload) != size {
			t.Fatalf("behind %d: %s, retain %v, %d bytes", len(got), pk.TopicName, pk.FixedHeader.Retain, len(pk.Payload))
		}
		got[pk.TopicName] = true
		c.send(appendAck(nil, packets.Puback, v5, pk.PacketID, 0))
	}
	s.run(`slow silent`)
}

// A client that goes while much waits for it leaves nothing behind, and one that
// subscribes to the same again and again does not queue that up.
func TestReplay_leftBehind(t *testing.T) {
	s := startStory(t)
	s.run(`
		dev connect
		dev pub t/1 one q1 retain
		sub connect`)
	k := s.keeper()
	f := new(flight) // so that nothing is read
	f.waits = 1
	k.begin(f)
	for range 100 {
		s.run(`sub sub t/+`)
	}
	peer := s.conn("sub")
	peer.out.Lock()
	r := peer.replay
	peer.out.Unlock()
	r.mu.Lock()
	if n := len(r.mu.queue); n > 3 {
		t.Errorf("%d subscriptions wait for one", n)
	}
	r.mu.Unlock()
	s.run(`sub drop`)
	testkit.Eventually(t, "the replay ends", r.idle)
	k.done(f)
}

// Of a replay that is done nothing is left with the module: most clients subscribe
// once, and stay.
func TestReplay_doneLeavesNoContext(t *testing.T) {
	s := startStory(t)
	s.run(`
		dev connect
		dev pub t/1 one q1 retain
		sub connect
		sub sub t/+
		sub gets t/1 one retain
		sub silent`)
	r := s.conn("sub").replay
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil || r.mu.cancel != nil || r.mu.queue != nil {
		t.Errorf("kept behind its end: context %v, queue %v", r.ctx, r.mu.queue)
	}
}

// What can't be stored is not acknowledged as if it were, and counted.
func TestRetained_refusedByTheStream(t *testing.T) {
	s := startStory(t)
	cfg := &jsclient.StreamConfig{Name: retainedStream, Subjects: []string{retainedPrefix + ">"}, MaxMsgsPer: 1, AllowDirect: true, AllowMsgTTL: true, MaxMsgSize: 300}
	if _, err := s.streams().Ensure(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s.run(`
		dev connect v5
		dev pub t/1 small q1 retain`)
	large := strings.Repeat("x", 301)
	s.publish(s.clients["dev"], "t/2", large, marks{retain: true})
	pk := &packets.Packet{ProtocolVersion: v5, PacketID: 9, TopicName: "t/3", Payload: []byte(large)}
	pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Qos: 1, Retain: true}
	c := s.clients["dev"]
	c.send(c.encoded(pk.PublishEncode))
	if a := c.expect(packets.Puback); a.ReasonCode < 0x80 {
		t.Errorf("PUBACK %#x", a.ReasonCode)
	}
	testkit.Eventually(t, "both are counted", func() bool { return s.m.lostRetained.Load() == 2 })
	s.run(`
		sub connect
		sub sub #
		sub gets t/1 small retain
		sub silent`)
	// The stream that is removed under it is made again.
	if err := s.streams().Delete(t.Context(), retainedStream); err != nil && !errors.Is(err, jsclient.ErrStreamNotFound) {
		t.Fatal(err)
	}
	c.send(c.encoded(pk.PublishEncode))
	c.expect(packets.Puback) // this one may find it gone
	s.run(`
		dev pub t/4 again q1 retain
		late connect
		late sub t/4
		late gets t/4 again retain`)
}

// Topics as long as they may be, and of odd bytes, are retained as others are.
func TestRetained_hostileTopics(t *testing.T) {
	s := startStory(t)
	s.run(`dev connect v5`)
	peer := s.conn("dev")
	long := strings.Repeat("x", peer.maxSubject())
	for _, topic := range []string{long, "a/" + long[2:], "//", "a//", "*", ">", "a/>", "a/*/b", " ", "a b/c", "ü/\u00a0", "%20", "~", "NATS/1.0"} {
		s.publish(s.clients["dev"], topic, "x", marks{retain: true, qos: 1})
		c := (&broker{t: t, m: s.m}).dial(v5)
		c.send(c.connectPacket("", nil))
		c.expect(packets.Connack)
		s.subscribe(c, topic, marks{})
		s.gets(c, topic, "x", marks{retain: true})
	}
}
