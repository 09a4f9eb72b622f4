package consumer

import (
	"flag"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/testkit"
)

var rewrite = flag.Bool("rewrite", false, "write what comes out into testdata; commit only what you can explain")

// TestStory plays the files of testdata. A line that begins with ">" is a
// command, the lines behind it are all that comes out; "#" and blank lines are
// for the reader. After every command the deliveries that are possible are
// made.
//
//	> config {json}            of the consumer to come
//	> consumer                 make it
//	> store SUBJECT [SIZE]     store a message (a body of 10 bytes if not said)
//	> remove SEQ               remove a message from the stream
//	> evict SEQ                limits remove everything below SEQ
//	> purge FILTER             remove what matches
//	> update {json}            another configuration
//	> pull REPLY [BODY]        a pull request
//	> ack SEQ [BODY]           acknowledge the last delivery of SEQ, with reply "next"
//	> wait DURATION            let time pass, deadline by deadline
//	> listen true|false        interest in the deliver subject
//	> leave REPLY              nobody listens on REPLY any more
//	> flow                     answer the last flow control request
//	> pause DURATION           0 resumes
//	> reset SEQ
//	> restart [DURATION]       recover from what was kept, after that long by the clock
//	> info
func TestStory(t *testing.T) {
	testkit.Stories(t, "testdata/*.txt", func(t *testing.T, s testkit.Story) {
		r := newRig(t, `{"ack_policy":"explicit"}`)
		s.Play(t, *rewrite, func(command string) []string {
			r.log = nil
			r.command(command)
			return r.log
		})
	})
}

func (r *rig) command(line string) {
	r.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	arg, tail, _ := strings.Cut(rest, " ")
	seq, _ := strconv.ParseUint(arg, 10, 64)
	switch verb {
	case "config":
		r.configure(rest)
		return
	case "consumer":
		r.start()
	case "store":
		size := 10
		if tail != "" {
			size, _ = strconv.Atoi(tail)
		}
		if r.m == nil {
			r.stream.add(arg, size, r.now)
			return
		}
		r.publish(arg, size)
	case "remove":
		subj := r.stream.msgs[seq].subject
		r.stream.remove(seq)
		r.m.Removed(r.now, seq, []byte(subj), ReasonDeleted, &r.fx)
		r.perform()
	case "pull":
		r.m.Pull(r.now, []byte(arg), []byte(tail), &r.fx)
		r.perform()
	case "ack":
		if r.ack(seq, tail) {
			r.logf("answered")
		}
	case "wait":
		r.wait(r.duration(arg))
	case "listen":
		r.m.SetActive(r.now, arg == "true")
	case "leave":
		r.gone[arg] = true
	case "flow":
		r.m.FlowReply(r.now, []byte(r.flowID), nil, &r.fx)
		r.perform()
	case "pause":
		until := time.Time{}
		if d := r.duration(arg); d > 0 {
			until = time.Unix(0, r.now+d)
		}
		r.logf("paused %v", r.m.Pause(r.now, until))
	case "reset":
		at, err := r.m.Reset(r.now, seq, 0, &r.fx)
		r.perform()
		r.logf("at %d, error %v", at, err)
	case "restart":
		if arg != "" {
			r.now += r.duration(arg)
		}
		r.restart()
	case "evict":
		for r.stream.first < seq {
			r.stream.remove(r.stream.first)
		}
		r.m.Compacted(r.now, seq, false, &r.fx)
		r.perform()
	case "purge":
		for n, msg := range r.stream.msgs {
			if matches([]string{arg}, []byte(msg.subject)) {
				r.stream.remove(n)
			}
		}
		r.m.Compacted(r.now, r.stream.first, r.m.Overlaps(arg), &r.fx)
		r.m.Recheck(r.now, func(seq uint64) bool { _, ok := r.stream.msgs[seq]; return ok }, &r.fx)
		r.perform()
	case "update":
		r.configure(rest)
		r.m.Update(r.now, &r.cfg, &r.fx)
		r.perform()
	case "info":
		i := r.m.Info(r.now)
		r.logf("delivered %v, floor %v, ack pending %d, redelivered %d, waiting %d, pending %d",
			i.Delivered, i.AckFloor, i.NumAckPending, i.NumRedelivered, i.NumWaiting, i.NumPending)
		return
	default:
		r.t.Fatalf("unknown command %q", line)
	}
	r.pump()
}

func (r *rig) duration(s string) int64 {
	if s == "0" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return int64(d)
}

// wait lets time pass from deadline to deadline.
func (r *rig) wait(d int64) {
	end := r.now + d
	start := r.now
	for {
		at := r.m.NextDeadline(r.now)
		if at == 0 || at > end {
			break
		}
		if at > r.now {
			r.now = at
			r.logf("after %v", time.Duration(r.now-start))
		} else {
			r.now++ // a lower bound that was too low
		}
		r.pump()
	}
	r.now = end
}
