package consumer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMachine_passesOverWhatNoLinkCarries(t *testing.T) {
	for name, config := range map[string]string{
		"ack none":     `{"deliver_subject":"d","ack_policy":"none","idle_heartbeat":5000000000,"flow_control":true}`,
		"flow control": `{"durable_name":"C","deliver_subject":"d","ack_policy":"flow_control","max_ack_pending":100}`,
		"last of each": `{"deliver_subject":"d","ack_policy":"none","deliver_policy":"last_per_subject","filter_subject":">"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, config)
			r.unfit = map[uint64]bool{2: true, 3: true, 5: true}
			for i := range 3 {
				r.stream.add(fmt.Sprintf("a.%d", i), 10, r.now)
			}
			r.start()
			r.m.SetActive(r.now, true)
			r.pump()
			r.publish("a.3", 10)
			r.publish("a.4", 10)
			r.pump()
			r.restart()
			r.m.SetActive(r.now, true)
			r.publish("a.5", 10)
			r.pump()
			var got []string
			for _, s := range r.got {
				got = append(got, fmt.Sprintf("%d as %d", s.seq, s.dseq))
			}
			// The receiver must not see a gap in the consumer's own sequence.
			if want := []string{"1 as 1", "4 as 2", "6 as 3"}; !slices.Equal(got, want) {
				t.Errorf("delivered %q, want %q", got, want)
			}
			if n := r.m.NumPending(); n != 0 {
				t.Errorf("%d are still to come", n)
			}
			log := strings.Join(r.log, "\n")
			for _, want := range []string{
				"Nats-Last-Consumer: 1; Nats-Last-Stream: 2; Frond-Skipped-Sequence: 2; Frond-Skipped-Reason: too long",
				"Nats-Last-Consumer: 1; Nats-Last-Stream: 3; Frond-Skipped-Sequence: 3;",
				"Nats-Last-Consumer: 2; Nats-Last-Stream: 5; Frond-Skipped-Sequence: 5;",
			} {
				if !strings.Contains(log, want) && name != "last of each" {
					t.Errorf("no %q in\n%s", want, log)
				}
			}
		})
	}

	t.Run("who waits for an acknowledgement keeps it as delivered", func(t *testing.T) {
		r := newRig(t, `{"durable_name":"C","deliver_subject":"d","ack_policy":"explicit"}`)
		r.unfit = map[uint64]bool{1: true}
		r.start()
		r.m.SetActive(r.now, true)
		r.publish("a", 10)
		r.publish("b", 10)
		r.pump()
		if len(r.got) != 2 || r.m.Info(r.now).NumAckPending != 2 {
			t.Errorf("delivered %v, %+v", r.got, r.m.Info(r.now))
		}
	})
}
