package jetstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// What one account holds and may hold is its own: another one is not refused for
// it, and the server counts both.
func TestQuota_ofAnAccountIsItsOwn(t *testing.T) {
	for i, storage := range []string{"file", "memory"} {
		t.Run(storage, func(t *testing.T) {
			e, a := newTestEngine(t, func(c *Config) { c.Dir = t.TempDir() })
			b := newTestBus("B")
			if err := e.EnableAccount(b); err != nil {
				t.Fatal(err)
			}
			e.LimitAccount("A", AccountLimits{MaxMemory: 3000, MaxStore: 3000, MaxStreams: 1, MaxConsumers: 1})
			config := "name=S subjects=[s] storage=" + storage
			mustStream(t, a, config)
			mustStream(t, b, config)
			body := strings.Repeat("x", 1000)
			for i := range 5 {
				if ack := b.publish(t, "s", body); ack.Error != nil {
					t.Errorf("B, message %d: %v", i, ack.Error)
				}
				if ack := a.publish(t, "s", body); (ack.Error != nil) != (i > 2) || ack.Error != nil && ack.Error.ErrCode != 10023 {
					t.Errorf("A, message %d: %v", i, ack.Error)
				}
			}
			held := [2]int64{e.account("A").quota.used[i].Load(), e.account("B").quota.used[i].Load()}
			if sum := e.quota.used[i].Load(); held[0] < 3000 || held[1] < 5000 || sum != held[0]+held[1] {
				t.Errorf("held are %d, together %d", held, sum)
			}
			if text := e.Trouble(); text != "" {
				t.Errorf("the server is in trouble: %s", text)
			}
			a.call(t, "STREAM.PURGE.S", "", nil)
			if ack := a.publish(t, "s", body); ack.Error != nil {
				t.Errorf("with room again: %v", ack.Error)
			}
			checkCounts(t, a, b, storage)
			a.call(t, "STREAM.DELETE.S", "", nil)
			if n := e.account("A").quota.used[i].Load(); n != 0 {
				t.Errorf("without streams %d bytes are held", n)
			}
			// Limits change while it runs.
			e.LimitAccount("A", AccountLimits{})
			mustStream(t, a, config)
			for range 5 {
				if ack := a.publish(t, "s", body); ack.Error != nil {
					t.Errorf("without limits: %v", ack.Error)
				}
			}
		})
	}
}

// An account that may have no bytes in memory has no streams there, whatever they say
// of their size, and none is moved or made larger there.
func TestQuota_ofNoBytes(t *testing.T) {
	e, a := newTestEngine(t, func(c *Config) { c.Dir = t.TempDir() })
	create := func(name, storage, more string) uint16 {
		t.Helper()
		var r response
		m := a.api(t, "STREAM.CREATE."+name, fmt.Sprintf("name=%s subjects=[%s] storage=%s%s", name, name, storage, more))
		if err := json.Unmarshal([]byte(m.Body), &r); err != nil || r.Error == nil {
			return 0
		}
		return r.Error.ErrCode
	}
	if code := create("OLD", "memory", ""); code != 0 {
		t.Fatal(code)
	}
	e.LimitAccount("A", AccountLimits{MaxMemory: NoBytes})
	if got := [4]uint16{create("M", "memory", ""), create("L", "memory", " max_bytes=100"), create("F", "file", ""), create("G", "file", " max_bytes=100")}; got != [4]uint16{errMemoryExceeded.ErrCode, errMemoryExceeded.ErrCode, 0, 0} {
		t.Errorf("%d", got)
	}
	if ack := a.publish(t, "OLD", "x"); ack.Error == nil || ack.Error.ErrCode != 10023 {
		t.Errorf("a stream of before takes more: %v", ack)
	}
	if ack := a.publish(t, "F", "x"); ack.Error != nil {
		t.Errorf("in files: %v", ack.Error)
	}
	e.LimitAccount("A", AccountLimits{MaxStore: NoBytes})
	if got := [2]uint16{create("M", "memory", ""), create("H", "file", "")}; got != [2]uint16{0, errStorageExceeded.ErrCode} {
		t.Errorf("the other way round: %d", got)
	}
	if u := e.account("A").Usage(); u.MaxMemory != -1 || u.MaxStorage != 0 {
		t.Errorf("told are %d and %d", u.MaxMemory, u.MaxStorage)
	}
}

// checkCounts tries the limits on the number of streams and consumers, and on what
// streams may grow to.
func checkCounts(t *testing.T, a, b *testBus, storage string) {
	t.Helper()
	code := func(bus *testBus, verb, body string) uint16 {
		t.Helper()
		var r response
		m := bus.api(t, verb, body)
		if err := json.Unmarshal([]byte(m.Body), &r); err != nil {
			t.Fatalf("%s: %v in %q", verb, err, m.Body)
		}
		if r.Error == nil {
			return 0
		}
		return r.Error.ErrCode
	}
	second := "name=S2 subjects=[s2] storage=" + storage
	if got := [2]uint16{code(a, "STREAM.CREATE.S2", second), code(b, "STREAM.CREATE.S2", second)}; got != [2]uint16{errMaxStreams.ErrCode, 0} {
		t.Errorf("a second stream: %d", got)
	}
	large := "name=S subjects=[s] storage=" + storage + " max_bytes=5000"
	full := errStorageExceeded.ErrCode
	if storage == "memory" {
		full = errMemoryExceeded.ErrCode
	}
	if got := [2]uint16{code(a, "STREAM.UPDATE.S", large), code(b, "STREAM.UPDATE.S", large)}; got != [2]uint16{full, 0} {
		t.Errorf("a stream that may grow to more: %d", got)
	}
	consumer := func(name string) string {
		return "stream_name=S config={durable_name=" + name + " ack_policy=explicit}"
	}
	for i, name := range []string{"C1", "C2"} {
		want := [2]uint16{0, 0}
		if i > 0 {
			want[0] = errMaxConsumers.ErrCode
		}
		if got := [2]uint16{code(a, "CONSUMER.DURABLE.CREATE.S."+name, consumer(name)), code(b, "CONSUMER.DURABLE.CREATE.S."+name, consumer(name))}; got != want {
			t.Errorf("consumer %s: %d", name, got)
		}
	}
	var info struct {
		Limits struct {
			MaxMemory    int64 `json:"max_memory"`
			MaxStorage   int64 `json:"max_storage"`
			MaxStreams   int   `json:"max_streams"`
			MaxConsumers int   `json:"max_consumers"`
		} `json:"limits"`
	}
	a.call(t, "INFO", "", &info)
	if l := info.Limits; l.MaxMemory != 3000 || l.MaxStorage != 3000 || l.MaxStreams != 1 || l.MaxConsumers != 1 {
		t.Errorf("A is told of %+v", l)
	}
	b.call(t, "INFO", "", &info)
	if l := info.Limits; l.MaxMemory != -1 || l.MaxStorage != -1 || l.MaxStreams != -1 || l.MaxConsumers != -1 {
		t.Errorf("B is told of %+v", l)
	}
}
