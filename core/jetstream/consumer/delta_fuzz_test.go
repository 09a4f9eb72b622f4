package consumer

import "testing"

// FuzzDelta: whatever stands in a log or a snapshot, it is refused or leads to
// a state; it never panics.
func FuzzDelta(f *testing.F) {
	r := newRig(f, `{"durable_name":"C","ack_policy":"explicit"}`)
	r.start()
	for range 5 {
		r.publish("a", 1)
	}
	r.m.Pull(r.now, []byte("p"), []byte("4"), &r.fx)
	r.pump()
	r.ack(2, "")
	r.ack(3, "-NAK 1s")
	r.ack(1, "+TERM")
	delta := r.m.TakeDelta(nil)
	for _, d := range r.deltas {
		f.Add([]byte{}, d)
	}
	f.Add(r.m.AppendSnapshot(nil), delta)
	f.Fuzz(func(t *testing.T, snapshot, delta []byte) {
		m := New(&r.cfg, r.opts)
		if len(snapshot) > 0 && m.ApplySnapshot(snapshot) != nil {
			return
		}
		if m.ApplyDelta(delta) != nil {
			return
		}
		m.Recover(r.now, 10)
		m.AppendSnapshot(nil)
		var fx Effects
		m.Tick(r.now+100*second, &fx)
		m.Info(r.now)
	})
}
