package consumer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/subject"
)

// stream is the dumbest store there is.
type stream struct {
	msgs  map[uint64]stored
	first uint64
	last  uint64
}

type stored struct {
	subject string
	size    int
	at      int64
}

func newStream() *stream { return &stream{msgs: map[uint64]stored{}, first: 1} }

func (s *stream) add(subj string, size int, at int64) uint64 {
	s.last++
	s.msgs[s.last] = stored{subj, size, at}
	return s.last
}

func (s *stream) remove(seq uint64) {
	delete(s.msgs, seq)
	for s.first <= s.last {
		if _, ok := s.msgs[s.first]; ok {
			break
		}
		s.first++
	}
}

func (s *stream) next(filters []string, from uint64) (uint64, bool) {
	for seq := from; seq <= s.last; seq++ {
		if msg, ok := s.msgs[seq]; ok && matches(filters, []byte(msg.subject)) {
			return seq, true
		}
	}
	return 0, false
}

func (s *stream) LastFor(filter string) (uint64, error) {
	for seq := s.last; seq >= s.first; seq-- {
		if msg, ok := s.msgs[seq]; ok && subject.Match(filter, msg.subject) {
			return seq, nil
		}
	}
	return 0, nil
}

func (s *stream) LastPerSubject(filters []string, start, upTo uint64) ([]uint64, error) {
	last := map[string]uint64{}
	for seq := s.first; seq <= s.last && (upTo == 0 || seq <= upTo); seq++ {
		if msg, ok := s.msgs[seq]; ok && matches(filters, []byte(msg.subject)) {
			last[msg.subject] = seq
		}
	}
	var out []uint64
	for _, seq := range last {
		if seq >= start {
			out = append(out, seq)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (s *stream) Pending(filters []string, start uint64, lastPerSubject bool) uint64 {
	if lastPerSubject {
		newest, _ := s.LastPerSubject(filters, start, 0)
		return uint64(len(newest))
	}
	n := uint64(0)
	for seq, msg := range s.msgs {
		if seq >= start && matches(filters, []byte(msg.subject)) {
			n++
		}
	}
	return n
}

func (s *stream) SeqAt(t time.Time) (uint64, error) {
	for seq := s.first; seq <= s.last; seq++ {
		if msg, ok := s.msgs[seq]; ok && msg.at >= t.UnixNano() {
			return seq, nil
		}
	}
	return s.last + 1, nil
}

// rig is a caller of a Machine: stream, consumer and a log of what came out.
type rig struct {
	t      testing.TB
	now    int64
	stream *stream
	cfg    Config
	opts   Options
	m      *Machine
	fx     Effects
	gone   map[string]bool // reply subjects that nobody listens on
	unfit  map[uint64]bool // sequences that no link carries
	acks   map[uint64]string
	got    []sent
	log    []string
	snap   []byte // what was kept, to recover from
	deltas [][]byte
	flowID string
	quiet  bool
}

// sent is a Delivery, copied.
type sent struct {
	to             string
	seq, dseq      uint64
	count, pending uint64
	subject, reply string
	at             int64
}

const second = int64(time.Second)

func newRig(t testing.TB, config string) *rig {
	t.Helper()
	r := &rig{t: t, now: 1000 * second, stream: newStream(), gone: map[string]bool{}, acks: map[uint64]string{}}
	r.configure(config)
	return r
}

func (r *rig) configure(config string) {
	r.t.Helper()
	r.cfg = Config{}
	if err := json.Unmarshal([]byte(config), &r.cfg); err != nil {
		r.t.Fatal(err)
	}
	if err := r.cfg.Check(&StreamFacts{}, false); err != nil {
		r.t.Fatal(err)
	}
}

// start makes the consumer; messages may have been stored before.
func (r *rig) start() {
	rnd := rand.New(rand.NewPCG(1, 2))
	begin, err := StartOf(&r.cfg, r.stream.first, r.stream.last, 0, r.stream)
	if err != nil {
		r.t.Fatal(err)
	}
	r.opts = Options{
		Stream: "S", Name: "C", Rand: rnd.IntN,
		Interest: func(reply []byte) bool { return !r.gone[string(reply)] },
		Start:    begin,
	}
	r.m = New(&r.cfg, r.opts)
	r.m.Activate(r.now)
	r.recount(r.m)
	r.snap = r.m.AppendSnapshot(nil)
	r.deltas = nil
}

// recount counts what is pending anew.
func (r *rig) recount(m *Machine) { m.Counted(r.stream.Pending(m.Unseen())) }

func (r *rig) logf(format string, args ...any) {
	if !r.quiet {
		r.log = append(r.log, fmt.Sprintf(format, args...))
	}
}

func (r *rig) publish(subj string, size int) uint64 {
	seq := r.stream.add(subj, size, r.now)
	r.m.Appended(seq, []byte(subj))
	return seq
}

// pump does what is to be done now, as the caller of a Machine does.
func (r *rig) pump() {
	r.m.Tick(r.now, &r.fx)
	r.perform()
	for {
		w := r.m.Next(r.now, &r.fx)
		r.perform()
		seq := w.Seq
		switch w.Kind {
		case WantNothing:
			r.keep()
			return
		case WantSeq:
			if _, ok := r.stream.msgs[seq]; !ok {
				r.m.Removed(r.now, seq, nil, ReasonDeleted, &r.fx)
				r.perform()
				continue
			}
		case WantNew:
			var ok bool
			if seq, ok = r.stream.next(r.m.Filters(), w.Seq); !ok {
				r.m.CaughtUp(r.now, r.stream.last, &r.fx)
				r.perform()
				continue
			}
		}
		msg := r.stream.msgs[seq]
		d, ok := r.m.Deliver(r.now, &Candidate{Seq: seq, Time: msg.at, Size: len(msg.subject) + msg.size}, &r.fx)
		if !ok {
			r.perform()
			continue
		}
		if r.gone[string(d.To)] {
			r.logf("nobody on %s for %d", d.To, d.Seq)
			r.m.Undelivered(r.now, &r.fx)
			r.perform()
			continue
		}
		if r.unfit[d.Seq] && r.m.Unfit(r.now, "too long", &r.fx) {
			r.perform()
			continue
		}
		r.got = append(r.got, sent{string(d.To), d.Seq, d.DSeq, d.Count, d.Pending, msg.subject, string(d.Reply), r.now})
		r.acks[d.Seq] = string(d.Reply)
		pin := ""
		if d.PinID != nil {
			pin = " pin"
		}
		r.logf("to %s: %s seq %d, consumer %d, delivery %d, pending %d%s", d.To, msg.subject, d.Seq, d.DSeq, d.Count, d.Pending, pin)
		r.perform()
	}
}

// keep takes the delta, as if it went to a log.
func (r *rig) keep() {
	if r.m.HasDelta() {
		r.deltas = append(r.deltas, r.m.TakeDelta(nil))
	}
}

func (r *rig) perform() {
	for _, st := range r.fx.Statuses {
		line := strings.TrimSuffix(strings.TrimPrefix(string(st.Header), "NATS/1.0 "), "\r\n\r\n")
		r.logf("status to %s: %s", st.To, strings.ReplaceAll(line, "\r\n", "; "))
		if st.Reply != nil {
			r.flowID = string(st.Reply)
			r.logf("  reply %s", st.Reply)
		}
	}
	for _, a := range r.fx.Advisories {
		line := fmt.Sprintf("advisory %s", [...]string{"", "max deliveries", "nak", "terminated", "ack sample", "resumed", "pinned", "unpinned"}[a.Kind])
		if a.Seq != 0 {
			line += fmt.Sprintf(": seq %d, consumer %d, deliveries %d", a.Seq, a.DSeq, a.Deliveries)
		}
		if a.AckTime != 0 {
			line += fmt.Sprintf(", after %v", time.Duration(a.AckTime))
		}
		if len(a.Reason) > 0 {
			line += fmt.Sprintf(", reason %q", a.Reason)
		}
		r.logf("%s", line)
	}
	if len(r.fx.Acked) > 0 {
		r.logf("acked %v", r.fx.Acked)
	}
	if r.fx.Inactive {
		r.logf("inactive")
	}
	if r.fx.Recount {
		r.recount(r.m)
	}
	r.fx.Reset()
}

func (r *rig) ack(seq uint64, body string) bool {
	a, ok := ParseAckSubject([]byte(r.acks[seq]))
	if !ok {
		r.t.Fatalf("no delivery of %d to acknowledge", seq)
	}
	answer := r.m.Ack(r.now, a, []byte(body), []byte("next"), &r.fx)
	r.perform()
	return answer
}

// recovered is another machine, made from what was kept.
func (r *rig) recovered() *Machine {
	r.t.Helper()
	r.keep()
	m := New(&r.cfg, r.opts)
	if err := m.ApplySnapshot(r.snap); err != nil {
		r.t.Fatal(err)
	}
	for _, d := range r.deltas {
		if err := m.ApplyDelta(d); err != nil {
			r.t.Fatal(err)
		}
	}
	return m
}

// restart goes on with the recovered machine.
func (r *rig) restart() {
	m := r.recovered()
	r.snap = m.AppendSnapshot(nil)
	r.deltas = nil
	m.Recover(r.now, r.stream.last)
	r.recount(m)
	r.m = m
}
