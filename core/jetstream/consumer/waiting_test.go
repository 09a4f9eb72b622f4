package consumer

import (
	"fmt"
	"testing"
)

const many = 100_000

// manyWait has very many requests wait with one of a higher priority, if the policy
// knows that, which is for more than is there.
func manyWait(t testing.TB, config, wait, first string) *rig {
	r := newRig(t, config)
	r.quiet = true
	r.start()
	for range many {
		r.m.Pull(r.now, []byte("w"), []byte(wait), &r.fx)
	}
	r.m.Pull(r.now, []byte("first"), []byte(first), &r.fx)
	r.fx.Reset()
	if r.m.Waiting() != many+1 {
		t.Fatalf("%d requests wait", r.m.Waiting())
	}
	return r
}

// A delivery looks only at the request that gets it, however many wait. One in the
// middle is made such that whoever comes along there trips over it: it would end,
// and seems to be of the highest priority.
func TestWaiting_deliveryLooksAtOne(t *testing.T) {
	for _, x := range []struct{ name, config, wait, first string }{
		{"one batch each", `{"durable_name":"C","ack_policy":"explicit","max_waiting":200000,"max_ack_pending":-1}`,
			`{"batch":1,"expires":3600000000000}`, `{"batch":1000000,"expires":3600000000000}`},
		{"batches", `{"durable_name":"C","ack_policy":"explicit","max_waiting":200000,"max_ack_pending":-1}`,
			`{"batch":100,"expires":3600000000000,"idle_heartbeat":60000000000}`, `{"batch":1000000,"expires":3600000000000}`},
		{"priorities", `{"durable_name":"C","ack_policy":"explicit","max_waiting":200000,"max_ack_pending":-1,"priority_policy":"prioritized","priority_groups":["g"]}`,
			`{"batch":1,"expires":3600000000000,"group":"g","priority":9}`, `{"batch":1000000,"expires":3600000000000,"group":"g"}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := manyWait(t, x.config, x.wait, x.first)
			trap := r.m.waiting.head
			for range many / 2 {
				trap = trap.next
			}
			real := *trap
			trap.noWait, trap.expires, trap.priority = true, 0, -1
			for i := range 1000 {
				r.now += 1000
				r.publish("a", 10)
				r.pump()
				if len(r.got) != i+1 {
					t.Fatalf("%d of %d messages are delivered", len(r.got), i+1)
				}
			}
			trap.noWait, trap.expires, trap.priority = real.noWait, real.expires, real.priority
			want, to := many+1, "first"
			if x.name != "priorities" {
				to = "w"
			}
			if x.name == "one batch each" {
				want -= 1000
			}
			if got := r.m.Waiting(); got != want {
				t.Errorf("%d requests wait, want %d", got, want)
			}
			for _, d := range r.got {
				if d.to != to {
					t.Fatalf("%d went to %q, want %q", d.seq, d.to, to)
				}
			}
			inOrder(t, &r.m.waiting)
		})
	}
}

// inOrder compares the lists of a queue with each other.
func inOrder(t *testing.T, w *waiting) {
	t.Helper()
	var last [priorities]*request
	n, ending, before := 0, 0, (*request)(nil)
	for r := w.head; r != nil; before, r = r, r.next {
		if n++; r.ends() {
			ending++
		}
		if r.prev != before || before != nil && before.priority > r.priority || r.isEnding != r.ends() {
			t.Fatalf("request %d is out of order: %+v behind %+v", n, r, before)
		}
		last[r.priority] = r
	}
	listed := 0
	for r := w.ends.head; r != nil; r = r.ending.next {
		listed++
	}
	if n != w.n || before != w.tail || last != w.last || listed != ending {
		t.Errorf("%d of %d requests, %d of %d that end, last ones %v, known %v", n, w.n, listed, ending, last, w.last)
	}
}

// Requests of very many clients are due at all times: those are looked through in
// proportion to their number, and each is ended all the same.
func TestWaiting_dueAtAllTimes(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"explicit","max_waiting":200000}`)
	r.quiet = true
	r.start()
	const n, apart = 5 * restAfter, int64(1000)
	for i := range int64(n) {
		r.m.Pull(r.now, []byte("w"), fmt.Appendf(nil, `{"batch":1,"expires":%d}`, second+i*apart), &r.fx)
	}
	ticks, end := 0, r.now+second+n*apart
	for at := r.m.NextDeadline(r.now); at != 0 && r.m.Waiting() > 0; at = r.m.NextDeadline(r.now) {
		r.now = max(r.now+1, at)
		r.pump()
		ticks++
	}
	if r.m.Waiting() != 0 || ticks > restAfter+n/10 || r.now > end+n*restPerRequest {
		t.Errorf("%d wait, after %d looks, %d ns late", r.m.Waiting(), ticks, r.now-end)
	}
}

// Requests come, are served, end and go in any order.
func TestWaiting_anyOrder(t *testing.T) {
	r := newRig(t, `{"durable_name":"C","ack_policy":"none","max_waiting":50,"priority_policy":"prioritized","priority_groups":["g"]}`)
	r.quiet = true
	r.start()
	r.m.grace = 2 * second
	rnd := r.opts.Rand
	for range 5000 {
		r.now += int64(rnd(int(second)))
		switch rnd(4) {
		case 0:
			for range rnd(3) {
				r.publish("a", 1)
			}
		case 1:
			reply := fmt.Sprint("r", rnd(10))
			r.gone[reply] = rnd(4) == 0
		default:
			noWait := ""
			if rnd(3) == 0 {
				noWait = `,"no_wait":true`
			}
			r.m.Pull(r.now, fmt.Append(nil, "r", rnd(10)), fmt.Appendf(nil, `{"batch":%d,"expires":%d,"group":"g","priority":%d%s}`,
				1+rnd(3), int64(rnd(9))*second, rnd(10), noWait), &r.fx)
		}
		r.pump()
		inOrder(t, &r.m.waiting)
	}
	if len(r.got) < 1000 {
		t.Errorf("%d were delivered", len(r.got))
	}
}
