package consumer

import (
	"bytes"
	"testing"
)

// A snapshot that is taken while the position has moved over messages which are
// for others is a place to go on from: the deltas behind it say what they say
// relative to it, and no message is passed over.
func TestMachine_snapshotBehindASkip(t *testing.T) {
	for _, config := range []string{
		`{"durable_name":"C","ack_policy":"explicit","filter_subject":"f"}`,
		`{"durable_name":"C","ack_policy":"none","filter_subject":"f"}`,
	} {
		r := newRig(t, config)
		r.start()
		r.m.Pull(r.now, []byte("p"), []byte("9"), &r.fx)
		for range 5 {
			r.publish("other", 1)
		}
		r.pump()
		r.m.RecordSkip()
		if !r.m.HasDelta() {
			t.Errorf("%s: the position moved, and that is no change", config)
		}
		r.keep()
		r.snap, r.deltas = r.m.AppendSnapshot(nil), nil
		want := r.publish("f", 1)
		for range 20 {
			r.publish("f", 1)
		}
		r.pump()
		twin := r.recovered()
		if a, b := twin.Delivered(), r.m.Delivered(); a != b || len(pendingSeqs(twin)) > 0 && pendingSeqs(twin)[0] != want {
			t.Errorf("%s: delivered %v and pending %v behind the restart, before it %v and %v", config, a, pendingSeqs(twin), b, pendingSeqs(r.m))
		}
		if !bytes.Equal(twin.AppendSnapshot(nil), r.m.AppendSnapshot(nil)) {
			t.Errorf("%s: the state is another one", config)
		}
	}
}
