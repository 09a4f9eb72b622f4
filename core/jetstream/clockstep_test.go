package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/tinylib/msgp/msgp"
)

// testMachine is a machine whose clocks the test moves: real is the time that no
// device knows.
type testMachine struct {
	mu        sync.Mutex
	real      time.Duration
	wall      time.Time // at real 0
	mono, up  time.Duration
	run       int
	anonymous bool // the system does not say which run this is
}

func newTestMachine(wall time.Time) *testMachine {
	return &testMachine{wall: wall, up: time.Minute, mono: time.Hour}
}

func (c *testMachine) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall.Add(c.real)
}

func (c *testMachine) pass(d, mono time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.real, c.up, c.mono = c.real+d, c.up+d, c.mono+mono
}

func (c *testMachine) forward(d time.Duration) { c.pass(d, d) }
func (c *testMachine) sleep(d time.Duration)   { c.pass(d, 0) }

func (c *testMachine) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// reboot ends this run of the machine; off is how long it is off then.
func (c *testMachine) reboot(off time.Duration) {
	c.forward(off)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run++
	c.up, c.mono = 10*time.Second, 5*time.Second
}

func (c *testMachine) configure(cfg *Config) {
	cfg.Now = c.now
	cfg.ClockSynced = func(now time.Time) bool { return now.Year() >= 2026 }
	cfg.clocks = &clocks{
		mono: func(time.Time) int64 { c.mu.Lock(); defer c.mu.Unlock(); return int64(c.mono) },
		machine: func() (string, int64) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.anonymous {
				return "", 0
			}
			return fmt.Sprint("run ", c.run), int64(c.up)
		},
	}
}

var (
	in1970 = time.Unix(1000, 0)
	in2026 = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
)

const (
	years57 = 57 * 365 * 24 * time.Hour
	years5  = 5 * 365 * 24 * time.Hour
)

// clockRig is a box on such a machine, with a stream of every kind that time
// matters to, and a model that knows the real time.
type clockRig struct {
	*box
	c    *testMachine
	name string
	seqs map[string]map[uint64]time.Duration // stream -> sequence -> real time
	ids  []time.Duration                     // real time of the publish of each id
	// unknown are those of when the clock was not known to be right.
	unknown map[int]bool
}

// Streams of the rig: what they are for, and how long their messages live.
var clockStreams = map[string]struct {
	config string
	header []string
	lives  time.Duration
}{
	"LIMITS": {"max_age=1h", nil, time.Hour},
	"MEMORY": {"max_age=1h storage=memory", nil, time.Hour},
	"WORK":   {"max_age=1h retention=workqueue", nil, time.Hour},
	"TTL":    {"allow_msg_ttl subject_delete_marker_ttl=10m", []string{"Nats-TTL", "1h"}, time.Hour},
	"KV_B":   {"allow_msg_ttl max_msgs_per_subject=1 max_age=2h", []string{"Nats-TTL", "1h"}, time.Hour},
	"DEDUP":  {"duplicate_window=30m", nil, 1 << 60},
}

func newClockRig(t *testing.T, name string, wall time.Time) *clockRig {
	r := &clockRig{box: newBox(t), c: newTestMachine(wall), name: name, seqs: make(map[string]map[uint64]time.Duration), unknown: make(map[int]bool)}
	r.change = r.c.configure
	r.start()
	for s := range clockStreams {
		r.create(s)
	}
	return r
}

func (r *clockRig) create(s string) {
	mustStream(r.t, r.b, fmt.Sprintf("name=%q subjects=[%s.>] %s", s, s, clockStreams[s].config))
	r.seqs[s] = make(map[uint64]time.Duration)
}

// put publishes one message to each stream.
func (r *clockRig) put() {
	r.t.Helper()
	for s, x := range clockStreams {
		h := x.header
		if s == "DEDUP" {
			h = []string{"Nats-Msg-Id", fmt.Sprint("id ", len(r.ids))}
		}
		a := r.b.publish(r.t, fmt.Sprintf("%s.%d", s, len(r.ids)), "x", h...)
		if a.Error != nil || a.Duplicate {
			r.t.Fatalf("%s: publish to %s: %+v", r.name, s, a)
		}
		r.seqs[s][a.Seq] = r.c.real
	}
	r.unknown[len(r.ids)] = r.c.now().Year() < 2026
	r.ids = append(r.ids, r.c.real)
}

// restart ends the server, and what the mode says with it.
func (r *clockRig) restart(mode string, down func()) {
	r.t.Helper()
	if mode == "drain and kill" || mode == "reboot" && len(r.ids)%2 == 0 {
		if err := r.e.drain.drain(); err != nil {
			r.t.Fatal(err)
		}
	}
	switch mode {
	case "":
	case "stop":
		r.stop()
	case "reboot":
		if r.e.line.table().unset != 0 {
			r.stop() // else nothing says how long it ran
			break
		}
		if err := r.e.journal.Sync(context.Background()); err != nil { // nor what the clock was set by
			r.t.Fatal(err)
		}
		r.kill()
	default:
		r.kill()
	}
	down()
	switch {
	case mode == "reboot":
		r.c.reboot(0)
	case mode != "":
		r.c.forward(time.Second)
	}
	if mode == "" {
		return
	}
	r.start()
	delete(r.seqs, "MEMORY")
	r.create("MEMORY")
}

// expire lets everything expire that is due, and waits for it.
func (r *clockRig) expire() {
	r.t.Helper()
	expireAll(r.t, r.e)
}

// check compares with the model.
func (r *clockRig) check(when string) {
	r.t.Helper()
	r.expire()
	for s, x := range clockStreams {
		var want, got []uint64
		for seq, at := range r.seqs[s] {
			if r.c.real-at < x.lives {
				want = append(want, seq)
			}
		}
		slices.Sort(want)
		shown := int64(0)
		for _, m := range r.messages(s) {
			if m.Time.UnixNano() < shown {
				r.t.Errorf("%s, %s: %s: message %d is shown as of %v, before the one before it", r.name, when, s, m.Seq, m.Time)
			}
			shown = m.Time.UnixNano()
			if _, ours := r.seqs[s][m.Seq]; ours { // else a marker
				got = append(got, m.Seq)
			}
		}
		if !slices.Equal(got, want) {
			r.t.Errorf("%s, %s: %s holds %v, want %v", r.name, when, s, got, want)
		}
	}
}

// messages reads a stream as a client does.
func (r *clockRig) messages(stream string) (all []api.StoredMsg) {
	r.t.Helper()
	for seq := uint64(1); ; {
		var a struct{ Message *api.StoredMsg }
		answer := r.b.api(r.t, "STREAM.MSG.GET."+stream, fmt.Sprintf("seq=%d next_by_subj=>", seq))
		if err := json.Unmarshal([]byte(answer.Body), &a); err != nil {
			r.t.Fatal(err, answer)
		}
		if a.Message == nil {
			return all
		}
		all = append(all, *a.Message)
		seq = a.Message.Seq + 1
	}
}

// dup publishes an id again.
func (r *clockRig) dup(back int, want bool) {
	r.t.Helper()
	i := len(r.ids) - 1 - back
	a := r.b.publish(r.t, "DEDUP.again", "x", "Nats-Msg-Id", fmt.Sprint("id ", i))
	if a.Duplicate != want {
		r.t.Errorf("%s: id of %v ago: duplicate %v, want %v", r.name, r.c.real-r.ids[i], a.Duplicate, want)
	}
	if !a.Duplicate {
		r.seqs["DEDUP"][a.Seq] = r.c.real
	}
}

// Whatever is done to the wall clock, a message lives exactly as long as it
// should by the real time, and times never go back; over restarts at every step.
func TestClockStep_agesAreReal(t *testing.T) {
	type change struct {
		what string
		do   func(c *testMachine)
	}
	set := func(what string, d time.Duration) change {
		return change{what, func(c *testMachine) { c.set(d) }}
	}
	nap := change{"sleeps", func(c *testMachine) { c.sleep(10 * time.Minute) }}
	nothing := change{"nothing", func(*testMachine) {}}
	for _, x := range []struct {
		name    string
		wall    time.Time
		changes []change
	}{
		{"from 1970", in1970, []change{nothing, set("to 2026", years57), nothing, nap, nothing, nothing, nothing, nothing}},
		{"a clock that is right", in2026, []change{
			nothing, set("+5 years", years5), nothing, set("-5 years", -years5), set("-1 h", -time.Hour), nothing,
			set("+1 h", time.Hour), set("+2 days", 48*time.Hour), nap, set("-1 day", -24*time.Hour), nothing, nothing, set("to 1970", -years57-years5), nothing,
			set("back", years57+years5), nothing,
		}},
	} {
		for _, mode := range []string{"", "stop", "kill", "drain and kill", "reboot"} {
			for _, down := range []bool{false, true} {
				if mode == "" && down || mode == "reboot" && down {
					continue // by what the wall clock does while a machine is off, time passes
				}
				if os.Getenv("FROND_SOAK") == "" && (mode == "stop" || down != (mode == "kill")) {
					continue // the others differ little
				}
				name := fmt.Sprintf("%s, %s, set while it is down: %v", x.name, mode, down)
				r := newClockRig(t, name, x.wall)
				for i, ch := range x.changes {
					r.put()
					r.c.forward(9 * time.Minute)
					if !down {
						ch.do(r.c)
						r.expire()
					}
					r.restart(mode, func() {
						if down {
							ch.do(r.c)
						}
					})
					r.dup(0, true)
					r.check(fmt.Sprintf("behind step %d (%s)", i, ch.what))
					if i == 0 || mode == "reboot" {
						continue
					}
					r.c.forward(13 * time.Minute)
					if mode == "" || !r.unknown[i-1] { // else it is only sure that they are there since the restart
						r.dup(1, false) // at least 31 minutes ago
					}
				}
				r.stop()
			}
		}
	}
}

// The times that are shown follow the clock that is right.
func TestClockStep_shownTimes(t *testing.T) {
	for _, mode := range []string{"", "drain and kill"} {
		r := newClockRig(t, "shown, "+mode, in1970)
		r.put()
		r.c.forward(10 * time.Minute)
		r.restart(mode, func() {})
		r.put()
		r.c.forward(10 * time.Minute)
		right := func(when string) {
			t.Helper()
			r.expire()
			for _, s := range []string{"LIMITS", "TTL"} {
				for _, m := range r.messages(s) {
					want := r.c.wall.Add(r.seqs[s][m.Seq])
					if d := m.Time.Sub(want); d > 2*time.Second || d < -2*time.Second {
						t.Errorf("%s, %s: %s %d is shown as of %v, want %v", mode, when, s, m.Seq, m.Time, want)
					}
				}
				i := r.b.origins(t, s).State
				if first := r.c.wall.Add(r.seqs[s][1]); i.FirstTime.Sub(first).Abs() > 2*time.Second {
					t.Errorf("%s, %s: %s begins at %v, want %v", mode, when, s, i.FirstTime, first)
				}
			}
		}
		right("in 1970")
		for _, step := range []time.Duration{years57, years5, -time.Hour, 48 * time.Hour, -24 * time.Hour, 500 * time.Millisecond} {
			r.c.set(step)
			right(fmt.Sprint("set by ", step))
			r.restart(mode, func() {})
			r.c.forward(time.Minute)
			right(fmt.Sprint("behind a restart, set by ", step))
		}
		// A consumer that begins at a time begins at what is shown as of that.
		at := r.c.wall.Add(r.seqs["LIMITS"][2]).Add(-5 * time.Second)
		mustConsumer(t, r.b, "LIMITS", "c", fmt.Sprintf("durable_name=c deliver_policy=by_start_time opt_start_time=%q ack_policy=explicit", at.UTC().Format(time.RFC3339Nano)))
		if i := r.b.consumer(t, "LIMITS", "c"); i.NumPending != 1 {
			t.Errorf("%s: by_start_time leaves %d, want 1", mode, i.NumPending)
		}
		// A delivery says the same time as a get.
		reply := strings.Split(r.b.pull(t, "LIMITS.c", "1").next().Reply, ".")
		if got, want := reply[7], fmt.Sprint(r.messages("LIMITS")[1].Time.UnixNano()); got != want {
			t.Errorf("%s: the delivery says %s, want %s", mode, got, want)
		}
		r.stop()
	}
}

// A machine without a clock of its own that was off: when its clock is set, what
// is from before is as old as it is, and what came since is not.
func TestClockStep_timeOffCountsOnceItIsKnown(t *testing.T) {
	for _, restarts := range []int{0, 2} {
		r := newClockRig(t, fmt.Sprint("off, restarts: ", restarts), in2026)
		r.put()
		r.restart("kill", func() {})
		r.c.set(-years57 - 48*time.Hour)
		r.restart("reboot", func() { r.c.forward(48 * time.Hour) })
		r.put()
		for range restarts {
			r.c.forward(10 * time.Minute)
			r.c.anonymous = !r.c.anonymous
			r.restart("reboot", func() { r.c.set(-10 * time.Minute) })
			r.put()
		}
		r.expire()
		if got := len(r.messages("LIMITS")); got != 2+restarts {
			t.Errorf("%s: before the clock is set there are %d messages", r.name, got)
		}
		r.c.set(years57 + 48*time.Hour + time.Duration(restarts)*10*time.Minute)
		r.check("clock set")
		r.restart("kill", func() {})
		r.check("and restarted")
		r.c.forward(61 * time.Minute)
		r.put()
		r.check("an hour later")
		r.stop()
	}
}

// A clock step that did not reach the disk is no step: the next start decides it
// again.
func TestClockStep_crashBeforeItIsDurable(t *testing.T) {
	d := newDevice(t, 7)
	c := newTestMachine(in1970)
	d.change = c.configure
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s] max_age=1h allow_msg_ttl")
	for range 3 {
		b.publish(t, "s", "", "Nats-TTL", "50m")
	}
	c.set(years57)
	e.checkClock()
	d.crash(e, 0)
	for range 3 {
		c.forward(time.Second)
		e, b = d.open()
		e.ticks()
		e.ticks()
		if got := sequences(e, "S"); len(got) != 3 {
			t.Fatalf("left are %v", got)
		}
		d.crash(e, 0)
	}
	e, b = d.open()
	c.forward(51 * time.Minute)
	eventually(t, func() bool { e.ticks(); return len(sequences(e, "S")) == 0 })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_ = b
}

// A sleeping machine: timers and ages count it, and the wall clock was not set.
func TestClockStep_sleepIsNoStep(t *testing.T) {
	r := newClockRig(t, "sleep", in2026)
	r.put()
	mustConsumer(t, r.b, "LIMITS", "c", "durable_name=c ack_policy=explicit ack_wait=1m")
	r.b.pull(t, "LIMITS.c", "1").next()
	before := r.e.now()
	r.c.sleep(30 * time.Minute)
	if a := r.b.publish(t, "LIMITS.next", "x"); a.Error != nil {
		t.Fatal(a.Error)
	}
	m := r.messages("LIMITS")
	if d := m[1].Time.Sub(m[0].Time); d < 30*time.Minute || d > 31*time.Minute {
		t.Errorf("the next message is %v younger", d)
	}
	if d := time.Duration(r.e.now() - before); d < 30*time.Minute {
		t.Errorf("timers went on by %v", d)
	}
	r.expire()
	if n := len(r.e.line.table().shifts); n != 0 {
		t.Errorf("%d shifts", n)
	}
	if m := r.b.pull(t, "LIMITS.c", "1").next(); !strings.HasPrefix(m.Reply, "$JS.ACK.LIMITS.c.2.1.") {
		t.Errorf("ack_wait is over, and next comes %s", m.Reply)
	}
}

// Timers do not know the wall clock.
func TestClockStep_timersGoOn(t *testing.T) {
	for _, step := range []time.Duration{years57, years5, -time.Hour, -24 * time.Hour} {
		wall := in2026
		if step == years57 {
			wall = in1970
		}
		r := newClockRig(t, fmt.Sprint("timers, ", step), wall)
		until := r.c.now().Add(time.Hour)
		mustConsumer(t, r.b, "LIMITS", "p", fmt.Sprintf("durable_name=p ack_policy=explicit pause_until=%q", until.UTC().Format(time.RFC3339Nano)))
		r.put()
		mustConsumer(t, r.b, "WORK", "w", "durable_name=w ack_policy=explicit ack_wait=1m")
		r.b.pull(t, "WORK.w", "1").next()
		before := r.e.now()
		r.c.set(step)
		r.expire()
		r.c.forward(30 * time.Second)
		if i := r.b.consumer(t, "WORK", "w"); i.NumAckPending != 1 || i.NumRedelivered != 0 {
			t.Errorf("%s: half of ack_wait is over: %+v", r.name, i)
		}
		if d := time.Duration(r.e.now() - before); d > time.Minute || d < 0 {
			t.Errorf("%s: timers went on by %v", r.name, d)
		}
		var i struct {
			Paused         bool          `json:"paused"`
			PauseRemaining time.Duration `json:"pause_remaining"`
		}
		r.b.call(t, "CONSUMER.INFO.LIMITS.p", "", &i)
		// In 1970 nobody could know what an hour later is.
		if want := step != years57; i.Paused != want || want && (i.PauseRemaining < 59*time.Minute || i.PauseRemaining > 61*time.Minute) {
			t.Errorf("%s: paused %v for %v", r.name, i.Paused, i.PauseRemaining)
		}
		r.stop()
	}
}

// A mirror has the times of its origin. It neither believes a clock that was not
// set nor keeps for ever what is ahead of its own.
func TestClockStep_mirror(t *testing.T) {
	for _, mode := range []string{"", "drain and kill"} {
		r := newClockRig(t, "mirror, "+mode, in1970)
		mustStream(t, r.b, "name=ORIGIN subjects=[o.>] allow_msg_ttl")
		mustStream(t, r.b, "name=AGE mirror={name=ORIGIN} max_age=1h")
		mustStream(t, r.b, "name=TTL_M mirror={name=ORIGIN} allow_msg_ttl")
		put := func() {
			last := r.b.publish(t, "o.x", "x", "Nats-TTL", "1h").Seq
			eventually(t, func() bool {
				r.c.forward(50 * time.Millisecond) // or whoever fetches waits for ever
				return r.b.origins(t, "AGE").State.LastSeq == last && r.b.origins(t, "TTL_M").State.LastSeq == last
			})
		}
		holds := func(when string, want ...uint64) {
			t.Helper()
			r.expire()
			for _, s := range []string{"AGE", "TTL_M"} {
				var got []uint64
				for _, m := range r.messages(s) {
					got = append(got, m.Seq)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, %s: %s holds %v, want %v", r.name, when, s, got, want)
				}
			}
		}
		put()
		r.c.forward(20 * time.Minute)
		r.restart(mode, func() {})
		put()
		r.c.set(years57)
		holds("the clock is set", 1, 2)
		r.restart(mode, func() {})
		put()
		r.c.forward(30 * time.Minute)
		holds("50 minutes behind the first", 1, 2, 3)
		r.c.set(years5)
		put()
		holds("five years ahead", 1, 2, 3, 4)
		r.restart(mode, func() {})
		r.c.forward(15 * time.Minute)
		holds("65 minutes behind the first", 2, 3, 4)
		r.c.forward(20 * time.Minute)
		holds("65 minutes behind the second", 4)
		r.c.set(-time.Hour)
		put()
		r.c.forward(61 * time.Minute)
		holds("at the end")
		r.stop()
	}
}

// What earlier builds wrote of clocks is read, and means nothing.
func TestClockStep_readsEarlierBuilds(t *testing.T) {
	var c clockState
	old := msgp.AppendUint64(msgp.AppendBool(nil, true), 1)
	if err := c.load(msgp.AppendInt64(msgp.AppendUint64(old, 7), 1e18)); err != nil || c.unset != 0 || c.mirrored != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory allow_msg_ttl")
	b.publish(t, "s", "x", "Nats-TTL", "1h")
	s := e.account("A").stream("S")
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.applyClockMove(msgp.AppendInt64(nil, 1e18)); err != nil {
		t.Error(err)
	}
	state := clockState{unset: 1, moved: 2, mirrored: 3, doubtful: 4, unsure: [2]uint64{5, 6}, arrivals: []arrival{{7, 8}, {9, 10}}}
	var again clockState
	if err := again.load(state.append(nil)); err != nil || fmt.Sprint(again) != fmt.Sprint(state) {
		t.Errorf("wrote %+v, read %+v, %v", state, again, err)
	}
}

// A lost catalogue makes nothing old.
func TestClockStep_lostCatalogue(t *testing.T) {
	r := newClockRig(t, "lost catalogue", in2026)
	r.restart("kill", func() {})
	r.c.set(-years57 - 48*time.Hour)
	r.restart("reboot", func() { r.c.forward(48 * time.Hour) })
	r.put()
	r.c.set(years57 + 48*time.Hour)
	r.expire()
	if err := r.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	r.kill()
	if err := os.Remove(r.path("catalogue.db")); err != nil {
		t.Fatal(err)
	}
	r.start()
	delete(r.seqs, "MEMORY")
	r.create("MEMORY")
	r.check("behind the loss")
}
