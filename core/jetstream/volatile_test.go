package jetstream

import "testing"

// A consumer in memory stays where it is when the retention begins to depend on it.
func TestConsumer_memoryStorageUnderAnotherRetention(t *testing.T) {
	d := newDevice(t, 32)
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s]")
	mustConsumer(t, b, "S", "m", "durable_name=m ack_policy=explicit mem_storage")
	before := e.drain.newest.Load()
	mustConsumer(t, b, "S", "n", "name=n ack_policy=none mem_storage")
	b.call(t, "CONSUMER.DELETE.S.n", "", nil)
	if after := e.drain.newest.Load(); after != before {
		t.Errorf("a consumer in memory wrote %d operations", after-before)
	}
	b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s] retention=interest", nil)
	b.publish(t, "s", "")
	var s streamAnswer
	if b.call(t, "STREAM.INFO.S", "", &s); s.State.Msgs != 1 || s.State.Consumers != 1 {
		t.Errorf("%+v", s.State)
	}
	d.crash(e, 0)
	e, b = d.open()
	if b.call(t, "STREAM.INFO.S", "", &s); s.State.LastSeq != 1 || s.State.Consumers != 0 {
		t.Errorf("%+v", s.State)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
