package consumer

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes a fixed set")

// model is what a consumer means, without any cleverness: a list of messages
// and what happened to each.
type model struct {
	policy     AckPolicy
	maxDeliver int
	filters    []string
	msgs       map[uint64]*fate
	dseq       uint64
}

type fate struct {
	deliveries uint64
	first      uint64 // consumer sequence of the first delivery
	done       bool   // acknowledged, terminated or removed
	due        bool   // refused, or its time is up
}

func (m *model) delivered(s sent) error {
	f := m.msgs[s.seq]
	m.dseq++
	switch {
	case f == nil:
		return fmt.Errorf("%d does not match", s.seq)
	case s.dseq != m.dseq:
		return fmt.Errorf("%d has consumer sequence %d, want %d", s.seq, s.dseq, m.dseq)
	case f.done:
		return fmt.Errorf("%d was done with", s.seq)
	case s.count != f.deliveries+1:
		return fmt.Errorf("%d is delivery %d, want %d", s.seq, s.count, f.deliveries+1)
	case f.deliveries > 0 && !f.due:
		return fmt.Errorf("%d comes again and nobody asked", s.seq)
	case m.maxDeliver > 0 && s.count > uint64(m.maxDeliver):
		return fmt.Errorf("%d is delivery %d of at most %d", s.seq, s.count, m.maxDeliver)
	}
	if f.deliveries == 0 {
		f.first = s.dseq
		for seq, g := range m.msgs {
			if seq < s.seq && g.deliveries == 0 && !g.done {
				return fmt.Errorf("%d comes before %d", s.seq, seq)
			}
		}
	}
	f.deliveries++
	f.due = false
	if m.policy == AckNone {
		f.done = true
	}
	return nil
}

// floor is the highest sequence up to which nothing is outstanding.
func (m *model) floor() uint64 {
	highest := uint64(0)
	for seq, f := range m.msgs {
		if f.deliveries > 0 {
			highest = max(highest, seq)
		}
	}
	for seq, f := range m.msgs {
		if f.deliveries > 0 && !f.done {
			highest = min(highest, seq-1)
		}
	}
	return highest
}

func TestMachine_doesWhatTheModelDoes(t *testing.T) {
	seeds := []uint64{*seedFlag}
	if *seedFlag == 0 {
		seeds = nil
		for i := range uint64(40) {
			seeds = append(seeds, i+1)
		}
	}
	for _, seed := range seeds {
		for _, policy := range []AckPolicy{AckExplicit, AckAll, AckNone} {
			for _, push := range []bool{false, true} {
				if !t.Run(fmt.Sprintf("%v push %v seed %d", policy, push, seed), func(t *testing.T) { randomLife(t, seed, policy, push) }) {
					return
				}
			}
		}
	}
}

func randomLife(t *testing.T, seed uint64, policy AckPolicy, push bool) {
	rnd := rand.New(rand.NewPCG(seed, uint64(policy)))
	maxDeliver := []int{-1, -1, 2, 4}[rnd.IntN(4)]
	config := fmt.Sprintf(`{"durable_name":"C","ack_policy":%q,"max_deliver":%d,"max_waiting":8`, policy, maxDeliver)
	if policy != AckNone {
		config += `,"ack_wait":1000000000`
		if rnd.IntN(2) == 0 && maxDeliver != 2 {
			config += `,"backoff":[500000000,1000000000,2000000000]`
		}
		config += fmt.Sprintf(`,"max_ack_pending":%d`, 1+rnd.IntN(20))
	}
	if push {
		config = fmt.Sprintf(`{"durable_name":"C","ack_policy":%q,"max_deliver":%d,"deliver_subject":"d"`, policy, maxDeliver)
	}
	if rnd.IntN(2) == 0 {
		config += `,"filter_subject":"a.*"`
	}
	r := newRig(t, config+"}")
	r.quiet = true
	r.start()
	r.m.grace = int64(rnd.IntN(2)) * second
	md := &model{policy: policy, maxDeliver: maxDeliver, filters: r.m.Filters(), msgs: map[uint64]*fate{}}
	hidden := 0 // deliveries already compared

	check := func(what string) {
		t.Helper()
		for _, s := range r.got[hidden:] {
			if err := md.delivered(s); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if want := r.stream.Pending(r.m.Filters(), s.seq+1, false); s.count == 1 && s.pending != want {
				t.Fatalf("%s: %d says %d pending, want %d", what, s.seq, s.pending, want)
			}
		}
		hidden = len(r.got)
		i := r.m.Info(r.now)
		if err := r.m.st.valid(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if maxDeliver < 0 && policy == AckExplicit && i.NumAckPending > 0 && i.AckFloor.Stream > md.floor() {
			t.Fatalf("%s: floor %v above %d", what, i.AckFloor, md.floor())
		}
		if want := r.stream.Pending(r.m.Filters(), r.m.st.next, false); i.NumPending != want {
			t.Fatalf("%s: %d pending, want %d", what, i.NumPending, want)
		}
		// What was kept leads to the same state.
		if twin := r.recovered(); !bytes.Equal(twin.AppendSnapshot(nil), snapshotKnown(r.m)) {
			t.Fatalf("%s: recovered\n%+v\nlive\n%+v", what, twin.st, r.m.st)
		}
	}

	replies := 0
	for step := range 150 {
		what := fmt.Sprintf("step %d", step)
		pending := pendingSeqs(r.m)
		switch k := rnd.IntN(12); {
		case k < 3:
			subj := []string{"a.1", "a.2", "b.1"}[rnd.IntN(3)]
			seq := r.publish(subj, rnd.IntN(100))
			if r.m.Matches([]byte(subj)) {
				md.msgs[seq] = &fate{}
			}
			what += " store"
		case k < 5 && !push:
			replies++
			name := fmt.Sprint("p", replies)
			if rnd.IntN(6) == 0 {
				r.gone[name] = true
			}
			body := fmt.Sprintf(`{"batch":%d,"expires":%d,"no_wait":%v}`, 1+rnd.IntN(5), int64(rnd.IntN(3))*second, rnd.IntN(4) == 0)
			r.m.Pull(r.now, []byte(name), []byte(body), &r.fx)
			r.perform()
			what += " pull"
		case k < 5:
			here := rnd.IntN(3) > 0
			r.gone["d"] = rnd.IntN(8) == 0
			r.m.SetActive(r.now, here)
			what += fmt.Sprint(" listen ", here)
		case k < 9 && len(pending) > 0:
			seq := pending[rnd.IntN(len(pending))]
			body := []string{"+ACK", "", "-NAK", "+TERM", "+WPI", "-NAK 300ms", "?"}[rnd.IntN(7)]
			what += fmt.Sprintf(" ack %d %q", seq, body)
			if !r.ack(seq, body) {
				t.Fatalf("%s: not answered", what)
			}
			switch body {
			case "+ACK", "", "+TERM":
				for s, f := range md.msgs {
					if s == seq || policy == AckAll && s <= seq && f.deliveries > 0 {
						f.done = true
					}
				}
			case "-NAK":
				md.msgs[seq].due = true
			}
		case k < 10:
			r.now += int64(rnd.IntN(700)) * 1e6
			r.markDue(md)
			what += " time"
		case k < 11 && r.stream.last > 0:
			seq := 1 + uint64(rnd.IntN(int(r.stream.last)))
			if msg, ok := r.stream.msgs[seq]; ok {
				r.stream.remove(seq)
				r.m.Removed(r.now, seq, []byte(msg.subject), ReasonDeleted, &r.fx)
				r.perform()
				if f := md.msgs[seq]; f != nil {
					f.done = true
				}
			}
			what += " remove"
		case k == 11 && rnd.IntN(3) == 0:
			r.restart()
			r.now += 2 * second // past the first check
			r.m.SetActive(r.now, true)
			for _, f := range md.msgs {
				f.due = f.deliveries > 0
			}
			what += " restart"
		}
		r.pump()
		check(what)
	}
	if policy == AckNone || maxDeliver > 0 {
		return
	}
	// At least once until acknowledged: with somebody there and everything
	// acknowledged, nothing stays behind.
	clear(r.gone)
	for range 200 {
		if push {
			r.m.SetActive(r.now, true)
		} else {
			r.m.Pull(r.now, []byte("end"), []byte("10"), &r.fx)
			r.perform()
		}
		r.now += 3 * second
		r.markDue(md)
		r.pump()
		check("the end")
		for _, seq := range pendingSeqs(r.m) {
			if !r.ack(seq, "") && policy == AckExplicit {
				t.Fatal("not answered")
			}
			md.msgs[seq].done = true
		}
	}
	for seq, f := range md.msgs {
		if !f.done {
			t.Errorf("%d was never delivered", seq)
		}
	}
	if i := r.m.Info(r.now); i.NumAckPending != 0 || i.NumPending != 0 || len(md.msgs) > 0 && i.AckFloor.Stream < md.floor() {
		t.Errorf("at the end %+v, want floor %d", i, md.floor())
	}
}

// markDue allows everything whose time may be up to come again; that nothing
// comes early is in TestMachine_waits.
func (r *rig) markDue(md *model) {
	for e := r.m.st.pending.first(); e != nil; e = r.m.st.pending.after(e) {
		if f := md.msgs[e.seq]; f != nil && e.deadline <= r.now {
			f.due = true
		}
	}
}

func pendingSeqs(m *Machine) []uint64 {
	var out []uint64
	for e := m.st.pending.first(); e != nil; e = m.st.pending.after(e) {
		out = append(out, e.seq)
	}
	return out
}

// snapshotKnown is the snapshot of m as far as its deltas tell: without the
// skip that is not worth one yet.
func snapshotKnown(m *Machine) []byte {
	next, floor := m.st.next, m.st.floor
	defer func() { m.st.next, m.st.floor = next, floor }()
	m.st.next = m.rec.known.next
	if !m.st.tracks() {
		m.st.floor = m.st.looked()
	}
	return m.AppendSnapshot(nil)
}

// valid checks the laws above state.
func (s *state) valid() error {
	if s.next == 0 {
		return fmt.Errorf("next is 0")
	}
	if s.floor.Stream >= s.next || s.floor.Consumer > s.dseq {
		return fmt.Errorf("floor %v above %v", s.floor, s.delivered())
	}
	if s.shown >= s.next {
		return fmt.Errorf("shown %d, next %d", s.shown, s.next)
	}
	n, again := 0, 0
	last := s.floor.Stream
	for e := s.pending.first(); e != nil; e = s.pending.after(e) {
		if e.seq <= last || e.seq >= s.next || s.pending.get(e.seq) != e {
			return fmt.Errorf("pending %d behind %d, next %d", e.seq, last, s.next)
		}
		if e.count > 1 {
			again++
		}
		last = e.seq
		n++
	}
	if n != s.pending.len() || again != s.pending.again {
		return fmt.Errorf("%d pending, %d again; counted %d and %d", s.pending.len(), s.pending.again, n, again)
	}
	if !slices.IsSorted(s.list) || len(s.list) > 0 && s.list[0] < s.next || len(s.list) == 0 && s.next < s.live {
		return fmt.Errorf("list %v, live %d, next %d", s.list, s.live, s.next)
	}
	return nil
}

func TestMachine_waits(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit","backoff":[1000000000,2000000000,5000000000]}`)
	r.start()
	r.publish("a", 1)
	r.m.Pull(r.now, []byte("p"), []byte("100"), &r.fx)
	r.pump()
	r.wait(30 * second)
	var gaps []int64
	for i, s := range r.got[1:] {
		gaps = append(gaps, (s.at-r.got[i].at)/second)
	}
	if want := []int64{1, 2, 5, 5, 5, 5, 5}; !slices.Equal(gaps, want) {
		t.Errorf("deliveries after %v, want %v", gaps, want)
	}
}

func TestMachine_acceptsWhatACrashForgot(t *testing.T) {
	for _, policy := range []string{"explicit", "all"} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t, `{"durable_name":"C","ack_policy":"`+policy+`"}`)
			r.start()
			for range 4 {
				r.publish("a", 1)
			}
			r.m.Pull(r.now, []byte("p"), []byte("3"), &r.fx)
			snap := r.snap
			r.pump()
			if a, _ := ParseAckSubject([]byte(r.acks[3])); r.m.Ack(r.now, AckSubject{Seq: 4, DSeq: 4}, nil, nil, &r.fx) || a.Seq != 3 {
				t.Fatal("acknowledged what was not delivered")
			}
			r.snap, r.deltas = snap, nil
			r.restart()
			if !r.ack(2, "+ACK") {
				t.Fatal("not answered")
			}
			r.got = nil
			r.m.Pull(r.now, []byte("p"), []byte("9"), &r.fx)
			r.pump()
			var seqs []uint64
			for _, s := range r.got {
				seqs = append(seqs, s.seq)
			}
			want := []uint64{1, 3, 4}
			if policy == "all" {
				want = []uint64{3, 4}
			}
			if !slices.Equal(seqs, want) {
				t.Errorf("delivered %v, want %v", seqs, want)
			}
			if twin := r.recovered(); !bytes.Equal(twin.AppendSnapshot(nil), snapshotKnown(r.m)) {
				t.Error("what was kept leads elsewhere")
			}
		})
	}
}

func TestMachine_holdsTheRate(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"none","deliver_subject":"d","rate_limit_bps":8000000}`)
	r.start()
	r.m.SetActive(r.now, true)
	start := r.now
	for range 5 {
		r.publish("a", 1_000_000) // a second each, behind a burst of 1 MiB
	}
	r.pump()
	r.wait(20 * second)
	if n := len(r.got); n != 5 {
		t.Fatalf("%d delivered", n)
	}
	if took := float64(r.got[4].at-start) / 1e9; took < 3.8 || took > 4.2 {
		t.Errorf("5 MB at 1 MB/s behind a burst of 1 MiB took %.2f s", took)
	}
}

func TestMachine_replaysAtTheOriginalPace(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"none","replay_policy":"original"}`)
	for range 3 {
		r.stream.add("a", 1, r.now)
		r.now += 2 * second
	}
	r.start()
	r.m.Pull(r.now, []byte("p"), []byte("9"), &r.fx)
	start := r.now
	r.pump()
	r.wait(5 * second)
	r.publish("a", 1)
	r.publish("a", 1)
	r.pump()
	var at []int64
	for _, s := range r.got {
		at = append(at, (s.at-start)/second)
	}
	if want := []int64{0, 2, 4, 5, 5}; !slices.Equal(at, want) {
		t.Errorf("delivered at %v, want %v", at, want)
	}
}

func TestMachine_acknowledgesWithFlowControl(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"flow_control","deliver_subject":"d","max_ack_pending":2}`)
	r.start()
	r.m.SetActive(r.now, true)
	for range 4 {
		r.publish("a", 1)
	}
	r.pump()
	if len(r.got) != 2 || r.flowID == "" {
		t.Fatalf("%d delivered, request %q", len(r.got), r.flowID)
	}
	hdr := []byte("NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 2\r\n\r\n")
	r.m.FlowReply(r.now, []byte(r.flowID), hdr, &r.fx)
	if !slices.Equal(r.fx.Acked, []uint64{1, 2}) {
		t.Errorf("acked %v", r.fx.Acked)
	}
	r.pump()
	if len(r.got) != 4 || r.m.AckFloor() != (SeqPair{2, 2}) {
		t.Errorf("%d delivered, floor %v", len(r.got), r.m.AckFloor())
	}
}

func TestMachine_deliversAllAgainElsewhere(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit","deliver_subject":"d"}`)
	r.start()
	r.m.SetActive(r.now, true)
	r.publish("a", 1)
	r.publish("a", 1)
	r.pump()
	cfg := r.cfg.Clone()
	cfg.DeliverSubject = "e"
	if err := cfg.CheckUpdate(&r.cfg, false); err != nil {
		t.Fatal(err)
	}
	r.m.Update(r.now, cfg, &r.fx)
	r.m.SetActive(r.now, true)
	r.pump()
	if n := len(r.got); n != 4 || r.got[2].to != "e" || r.got[2].seq != 1 || r.got[2].count != 2 {
		t.Errorf("got %+v", r.got)
	}
}

// What is looked at and not for the consumer does not move the positions that
// clients are told.
func TestMachine_showsTheLastDelivery(t *testing.T) {
	for _, policy := range []string{"explicit", "all", "none"} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t, `{"durable_name":"C","ack_policy":"`+policy+`","filter_subject":"f"}`)
			r.start()
			at := func(when string, delivered, floor SeqPair) {
				t.Helper()
				r.keep()
				i, j := r.m.Info(r.now), r.recovered().Info(r.now)
				if i.Delivered != delivered || i.AckFloor != floor {
					t.Errorf("%s: delivered %v, floor %v; want %v, %v", when, i.Delivered, i.AckFloor, delivered, floor)
				}
				if j.Delivered != delivered || j.AckFloor != floor {
					t.Errorf("%s, recovered: delivered %v, floor %v; want %v, %v", when, j.Delivered, j.AckFloor, delivered, floor)
				}
			}
			r.publish("x", 1)
			at("nothing yet", SeqPair{}, SeqPair{})
			r.publish("f", 1)
			r.m.Pull(r.now, []byte("p"), []byte("1"), &r.fx)
			r.pump()
			r.ack(2, "")
			at("one", SeqPair{1, 2}, SeqPair{1, 2})
			r.publish("x", 1)
			r.publish("x", 1)
			at("behind it", SeqPair{1, 2}, SeqPair{1, 2})
			r.m.Pull(r.now, []byte("p"), []byte(`{"batch":1,"no_wait":true}`), &r.fx)
			r.pump()
			at("an empty pull", SeqPair{1, 2}, SeqPair{1, 2})
			r.publish("f", 1)
			r.publish("x", 1)
			r.m.Pull(r.now, []byte("p"), []byte("1"), &r.fx)
			r.pump()
			r.ack(5, "")
			at("two", SeqPair{2, 5}, SeqPair{2, 5})
			r.m.Compacted(r.now, 7, false, &r.fx)
			at("eviction", SeqPair{2, 5}, SeqPair{2, 5})
			r.m.Compacted(r.now, 7, true, &r.fx)
			at("a purge", SeqPair{2, 6}, SeqPair{2, 6})
		})
	}
}

func TestMachine_readsOldSnapshots(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit","filter_subject":"f"}`)
	r.start()
	r.publish("f", 1)
	r.m.Pull(r.now, []byte("p"), []byte("1"), &r.fx)
	r.pump()
	b := r.m.AppendSnapshot(nil)
	b[0] = 1 // without what came with 2
	old := New(&r.cfg, Options{Stream: "S", Name: "C", Rand: func(int) int { return 0 }})
	if err := old.ApplySnapshot(b[:len(b)-1]); err != nil {
		t.Fatal(err)
	}
	if i := old.Info(r.now); i.Delivered != (SeqPair{1, 1}) || i.NumAckPending != 1 {
		t.Errorf("%+v", i)
	}
}

func TestMachine_resets(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit"}`)
	r.start()
	for range 5 {
		r.publish("a", 1)
	}
	r.m.Pull(r.now, []byte("p"), []byte("4"), &r.fx)
	r.pump()
	r.ack(1, "")
	at, err := r.m.Reset(r.now, 0, 0, &r.fx)
	r.perform()
	if at != 2 || err != nil || r.m.NumPending() != 4 || r.m.Delivered() != (SeqPair{0, 1}) {
		t.Errorf("at %d, %v, %d pending, delivered %v", at, err, r.m.NumPending(), r.m.Delivered())
	}
	r.m.Pull(r.now, []byte("p"), []byte("1"), &r.fx)
	r.pump()
	if s := r.got[len(r.got)-1]; s.seq != 2 || s.dseq != 1 || s.count != 1 {
		t.Errorf("got %+v", s)
	}
	if twin := r.recovered(); !bytes.Equal(twin.AppendSnapshot(nil), snapshotKnown(r.m)) {
		t.Error("what was kept leads elsewhere")
	}
	r = newRig(t, `{"durable_name":"C","ack_policy":"explicit","deliver_policy":"by_start_sequence","opt_start_seq":3}`)
	r.start()
	if _, err := r.m.Reset(r.now, 2, 0, &r.fx); err == nil || err.Error() != "invalid reset: below start seq (10204)" {
		t.Error(err)
	}
}

func TestMachine_needs(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit","filter_subject":"a"}`)
	r.start()
	for range 3 {
		r.publish("a", 1)
	}
	r.publish("b", 1)
	r.m.Pull(r.now, []byte("p"), []byte("2"), &r.fx)
	r.pump()
	r.ack(1, "+TERM no")
	got := ""
	for seq := uint64(1); seq <= 4; seq++ {
		got += fmt.Sprint(r.m.Needs(seq, []byte(r.stream.msgs[seq].subject)), " ")
	}
	if got != "false true true false " {
		t.Error(got)
	}
}

func TestMachine_goesOnBehindACompactedStream(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit"}`)
	r.start()
	for range 6 {
		r.publish("a", 1)
	}
	r.m.Pull(r.now, []byte("p"), []byte("3"), &r.fx)
	r.pump()
	for seq := uint64(1); seq < 5; seq++ {
		r.stream.remove(seq)
	}
	r.m.Compacted(r.now, 5, true, &r.fx)
	r.perform()
	if i := r.m.Info(r.now); i.NumAckPending != 0 || i.NumPending != 2 || i.AckFloor.Stream != 4 || i.Delivered.Stream != 4 {
		t.Errorf("%+v", i)
	}
	if twin := r.recovered(); !bytes.Equal(twin.AppendSnapshot(nil), snapshotKnown(r.m)) {
		t.Error("what was kept leads elsewhere")
	}
}

func TestMachine_waitsForInterestThatComesByALink(t *testing.T) {
	for _, batch := range []string{"1", "3"} {
		r := newRig(t, `{"durable_name":"C","ack_policy":"explicit"}`)
		r.start()
		r.m.grace = 2 * second
		r.gone["p"] = true
		r.m.Pull(r.now, []byte("p"), []byte(batch), &r.fx)
		r.publish("a", 1)
		r.pump()
		r.wait(second)
		if len(r.got) != 0 || r.m.Waiting() != 1 || r.m.NumPending() != 1 {
			t.Fatalf("batch %s: %d delivered, %d waiting, %d pending", batch, len(r.got), r.m.Waiting(), r.m.NumPending())
		}
		clear(r.gone)
		r.wait(second)
		if len(r.got) != 1 || r.got[0].count != 1 || r.got[0].dseq != 1 {
			t.Fatalf("batch %s: %+v", batch, r.got)
		}
		if twin := r.recovered(); !bytes.Equal(twin.AppendSnapshot(nil), snapshotKnown(r.m)) {
			t.Error("what was kept leads elsewhere")
		}
		// Past the grace it is dropped.
		r.gone["p"] = true
		r.m.Pull(r.now, []byte("p"), []byte(batch), &r.fx)
		r.pump()
		r.now += 3 * second
		r.publish("a", 1)
		r.pump()
		if len(r.got) != 1 || r.m.Waiting() != 0 {
			t.Fatalf("batch %s: %d delivered, %d waiting", batch, len(r.got), r.m.Waiting())
		}
	}
}

func TestMachine_undeliveredCostsNothing(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"none"}`)
	r.start()
	r.m.grace = 2 * second
	r.gone["p"] = true
	r.m.Pull(r.now, []byte("p"), []byte(`{"batch":2,"max_bytes":200}`), &r.fx)
	r.publish("a", 100)
	r.pump()
	clear(r.gone)
	r.log = nil
	r.wait(second)
	if len(r.got) != 1 {
		t.Errorf("the limit of bytes paid for what was not delivered: %q", r.log)
	}

	r = newRig(t, `{"durable_name":"C","ack_policy":"none","deliver_subject":"d","flow_control":true,"idle_heartbeat":1000000000}`)
	r.start()
	r.m.SetActive(r.now, true)
	r.gone["d"] = true
	r.publish("a", 2_000_000)
	for range 5 {
		r.pump()
		r.now += second
	}
	clear(r.gone)
	r.publish("a", 10)
	r.flowID = ""
	r.pump()
	if len(r.got) != 2 || r.got[1].dseq != 2 || r.flowID == "" {
		t.Errorf("got %+v, request %q", r.got, r.flowID)
	}
}

func TestMachine_callsItselfInactive(t *testing.T) {
	inactive := func(r *rig) bool { return slices.Contains(r.log, "inactive") }
	r := newRig(t, `{"ack_policy":"explicit","ack_wait":20000000000,"inactive_threshold":5000000000}`)
	r.start()
	r.m.Pull(r.now, []byte("p"), nil, &r.fx)
	r.wait(30 * second)
	if inactive(r) {
		t.Fatal("while a request waits")
	}
	r.publish("a", 1)
	r.pump()
	r.wait(24 * second)
	if inactive(r) {
		t.Fatal("while somebody may be at work on a message")
	}
	r.wait(3 * second)
	if !inactive(r) {
		t.Error("never")
	}

	r = newRig(t, `{"ack_policy":"explicit","inactive_threshold":5000000000}`)
	r.start()
	r.m.Pull(r.now, []byte("p"), nil, &r.fx)
	r.gone["p"] = true
	r.wait(7 * second)
	if !inactive(r) {
		t.Error("not when nobody waits for the answer")
	}
}

func TestMachine_survivesForEver(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit","ack_wait":9223372036854775807,"inactive_threshold":9223372036854775807}`)
	r.start()
	r.m.Pull(r.now, []byte("p"), []byte(`{"batch":9,"expires":9223372036854775807,"idle_heartbeat":4611686018427387903}`), &r.fx)
	r.publish("a", 1)
	r.pump()
	r.ack(1, `-NAK {"delay":9223372036854775807}`)
	r.log = nil
	r.wait(3600 * second)
	if len(r.got) != 1 || len(r.log) != 0 || r.m.Waiting() != 1 {
		t.Errorf("%d delivered, %d waiting, %q", len(r.got), r.m.Waiting(), r.log)
	}
}

// Who mirrors or sources counts his patience from the last sign, and the first
// message may be long: a sign goes before it.
func TestMachine_signOfLifeBeforeTheFirstMessage(t *testing.T) {
	for _, sourcing := range []bool{true, false} {
		r := newRig(t, fmt.Sprintf(`{"name":"C","ack_policy":"none","deliver_subject":"d","flow_control":true,"idle_heartbeat":1000000000,"direct":true,"sourcing":%v}`, sourcing))
		r.start()
		r.publish("a", 10)
		r.m.SetActive(r.now, true)
		r.pump()
		if len(r.got) != 1 || len(r.log) == 0 {
			t.Fatalf("%d delivered, log %q", len(r.got), r.log)
		}
		if first := strings.Contains(r.log[0], "Idle Heartbeat; Nats-Last-Consumer: 0"); first != sourcing {
			t.Errorf("sourcing %v: %q", sourcing, r.log)
		}
	}
}

// What went from the stream before anybody told of it is read over. At the end of
// the stream nothing is pending all the same, in the last delivery as in the info.
func TestMachine_readsOverWhatWent(t *testing.T) {
	for _, untold := range []bool{false, true} { // the last message too
		r := newRig(t, `{"durable_name":"C","ack_policy":"explicit"}`)
		r.start()
		for range 4 {
			r.publish("a", 10)
		}
		for seq := range uint64(3) {
			r.stream.remove(seq + 1)
		}
		if untold {
			r.stream.add("a", 10, r.now)
			r.stream.remove(4)
		}
		r.m.Pull(r.now, []byte("p"), []byte(`{"batch":5,"no_wait":true}`), &r.fx)
		r.perform()
		r.pump()
		if len(r.got) != 1 || r.got[0].seq != r.stream.last || r.got[0].pending != 0 {
			t.Errorf("untold %v: delivered %+v", untold, r.got)
		}
		for seq := range uint64(3) {
			r.m.Removed(r.now, seq+1, []byte("a"), ReasonLimits, &r.fx)
		}
		if untold {
			r.m.Appended(5, []byte("a"))
			r.m.Removed(r.now, 4, []byte("a"), ReasonLimits, &r.fx)
		}
		r.perform()
		r.pump()
		if n := r.m.NumPending(); n != 0 || len(r.got) != 1 || r.m.Waiting() != 0 {
			t.Errorf("untold %v: %d pending, %d requests wait, delivered %+v", untold, n, r.m.Waiting(), r.got)
		}
	}
}

// The same history leads to the same bytes of the log: nothing of it is in the order of
// a map.
func TestMachine_sameHistorySameDeltas(t *testing.T) {
	for name, gone := range map[string]func(r *rig){
		"compacted": func(r *rig) { r.m.Compacted(r.now, 50, false, &r.fx) },
		"purged":    func(r *rig) { r.m.Recheck(r.now, func(seq uint64) bool { return seq >= 50 }, &r.fx) },
	} {
		run := func() []byte {
			r := newRig(t, `{"durable_name":"C","ack_policy":"explicit","ack_wait":1000000000,"max_deliver":1,"max_ack_pending":100}`)
			r.start()
			for range 60 {
				r.publish("a", 1)
			}
			r.m.Pull(r.now, []byte("p"), []byte("60"), &r.fx)
			r.pump()
			r.wait(3 * second)
			if n := len(r.m.st.exhausted); n != 60 {
				t.Fatalf("%d messages were delivered as often as they may be", n)
			}
			r.m.TakeDelta(nil)
			gone(r)
			return r.m.TakeDelta(nil)
		}
		if a, b := run(), run(); len(a) < 49 || !bytes.Equal(a, b) {
			t.Errorf("%s:\n%x\n%x", name, a, b)
		}
	}
}
