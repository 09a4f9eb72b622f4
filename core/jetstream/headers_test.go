package jetstream

import (
	"encoding/json"
	"fmt"
	"testing"
)

// publishBlock publishes a message with a header block as it is, and returns
// the code of the refusal (0 for none) and whether it was a duplicate.
func (b *testBus) publishBlock(t testing.TB, subj, block string) (code uint16, dup bool) {
	t.Helper()
	var a pubAck
	if m := b.request(t, subj, block, "x"); json.Unmarshal([]byte(m.Body), &a) != nil {
		t.Fatalf("%q: answer %q", block, m.Body)
	}
	if a.Error != nil {
		return a.Error.ErrCode, false
	}
	return 0, a.Duplicate
}

// What counts as a TTL, as the stock server has it; T allows them, N does not.
func TestTTL_values(t *testing.T) {
	const bad, off = 10165, 10166
	_, b := newTestEngine(t)
	mustStream(t, b, "name=T subjects=[t] storage=memory allow_msg_ttl")
	mustStream(t, b, "name=N subjects=[n] storage=memory")
	for _, x := range []struct {
		value   string // with what is in front of it
		code    uint16 // where TTLs are allowed
		without uint16 // where they are not
	}{
		{"", 0, 0}, {" ", 0, 0}, {"   ", 0, 0},
		{"5", 0, off}, {" 5", 0, off}, {"   5", 0, off},
		{" 5 ", bad, bad}, {"5 ", bad, bad}, {"\t5", bad, bad}, {" \t5", bad, bad}, {" 5\t", bad, bad},
		{"5\r", bad, bad}, {"\r5", bad, bad}, {"5\n", bad, bad}, {"\n5", bad, bad}, {"5\v", bad, bad}, {"5\x00", bad, bad},
		{"\u00a05", bad, bad}, {"5\u00a0", bad, bad}, {"\u0665", bad, bad},
		{"0", bad, bad}, {"00", 0, 0}, {"000", 0, 0}, {"05", 0, off}, {"+5", bad, bad}, {"-5", bad, bad}, {"-0", bad, bad},
		{"1.5", bad, bad}, {"1e3", bad, bad}, {"0x10", bad, bad}, {"1_000", bad, bad}, {`"5"`, bad, bad}, {"5,6", bad, bad},
		{"1s", 0, off}, {"+1s", 0, off}, {"-1s", bad, bad}, {"0s", bad, bad}, {"1.5s", 0, off}, {"1500ms", 0, off}, {"9999999999999", 0, off}, {".5s", bad, bad}, {"1.s", 0, off},
		{"999ms", bad, bad}, {"1000ms", 0, off}, {"1h1m1s", 0, off}, {"1m-1s", bad, bad}, {"1s1s", 0, off}, {"5s 3ms", bad, bad},
		{"5s ", bad, bad}, {"1d", bad, bad}, {"1S", bad, bad}, {"1 s", bad, bad}, {"s", bad, bad}, {"1000000\u00b5s", 0, off},
		{"never", 0, off}, {" NEVER", 0, off}, {"never ", bad, bad}, {"neve", bad, bad}, {"none", bad, bad}, {"null", bad, bad},
		{"9223372036854775807", 0, off}, {"9223372036854775808", bad, bad}, {"18446744073709551615", bad, bad},
		{"2562047h", 0, off}, {"2562048h", bad, bad},
		// Of several the first counts.
		{"5\r\nNats-TTL:x", 0, off}, {"x\r\nNats-TTL:5", bad, bad}, {"\r\nNats-TTL:x", 0, 0},
		// Not stock: its count of seconds begins again, and the message is gone at once.
		{"18446744073709551616", bad, bad}, {"99999999999999999999999", bad, bad},
	} {
		block := "NATS/1.0\r\nNats-TTL:" + x.value + "\r\n\r\n"
		if code, _ := b.publishBlock(t, "t", block); code != x.code {
			t.Errorf("TTL %q: code %d, want %d", x.value, code, x.code)
		}
		if code, _ := b.publishBlock(t, "n", block); code != x.without {
			t.Errorf("TTL %q where none are allowed: code %d, want %d", x.value, code, x.without)
		}
	}
}

// Each header that a stream acts on: only spaces in front of a value do not
// belong to it, the first of several counts, and an empty one is none.
func TestPublish_headerForms(t *testing.T) {
	_, b := newTestEngine(t)
	n := 0
	for _, x := range []struct {
		name, good, wrong string
		code              uint16 // of the wrong value, and of a good one with something around it
		goodCode          uint16
	}{
		{"Nats-Expected-Stream", "S", "X", 10060, 0},
		{"Nats-Expected-Last-Sequence", "1", "7", 10071, 0},
		{"Nats-Expected-Last-Subject-Sequence", "1", "7", 10071, 0},
		{"Nats-Expected-Last-Msg-Id", "a", "b", 10070, 0},
		{"Nats-TTL", "5", "x", 10165, 0},
		{"Nats-Incr", "1", "x", 10171, 10168},
	} {
		for form, code := range map[string]uint16{
			"%[1]s:%[2]s":                     x.goodCode,
			"%[1]s:   %[2]s":                  x.goodCode,
			"%[1]s: %[3]s":                    x.code,
			"%[1]s: %[2]s ":                   x.code,
			"%[1]s:\t%[2]s":                   x.code,
			"%[1]s: %[2]s\r":                  x.code,
			"%[1]s: %[2]s\n":                  x.code,
			"%[1]s:":                          0,
			"%[1]s:  ":                        0,
			"%[1]s: %[2]s\r\n%[1]s: %[3]s":    x.goodCode,
			"%[1]s: %[3]s\r\n%[1]s: %[2]s":    x.code,
			"%[1]s:\r\n%[1]s: %[3]s":          0,
			"%[1]s: %[2]s\r\n%[1]s:":          x.goodCode,
			"%[1]s : %[3]s":                   0,
			"X: 1\r\n %[1]s: %[3]s":           0,
			"X: 1\r\n\r\n%[1]s: %[3]s":        x.code, // behind the empty line, too
			"X: 1, Y: 2\r\n%[1]s: %[3]s\r\nZ": x.code,
		} {
			n++
			mustStream(t, b, fmt.Sprintf("name=S subjects=[s%d] storage=memory allow_msg_ttl", n))
			subj := fmt.Sprintf("s%d", n)
			b.publish(t, subj, "", "Nats-Msg-Id", "a")
			block := "NATS/1.0\r\n" + fmt.Sprintf(form+"%[4]s", x.name, x.good, x.wrong, "\r\n\r\n")
			if got, _ := b.publishBlock(t, subj, block); got != code {
				t.Errorf("%q: code %d, want %d", block, got, code)
			}
			b.call(t, "STREAM.DELETE.S", "", nil)
		}
	}
	mustStream(t, b, "name=S subjects=[s] storage=memory")
	b.publish(t, "s", "", "Nats-Msg-Id", "a")
	for value, want := range map[string]bool{"a": true, " a": true, "a ": false, "\ta": false, "": false, "\r\nNats-Msg-Id: a": false, "a\r\nNats-Msg-Id: c": true, "d\r\nNats-Msg-Id: a": false} {
		if code, dup := b.publishBlock(t, "s", "NATS/1.0\r\nNats-Msg-Id:"+value+"\r\n\r\n"); code != 0 || dup != want {
			t.Errorf("message id %q: code %d, duplicate %v, want %v", value, code, dup, want)
		}
	}
}

// What counts as a message that says that its subject is deleted, as the stock
// server has it.
func TestTTL_isMarker(t *testing.T) {
	for block, want := range map[string]bool{
		header("Nats-Marker-Reason", "x"):                      true,
		header("Nats-Marker-Reason", ""):                       false,
		header("KV-Operation", "PURGE"):                        true,
		header("KV-Operation", "PURGE "):                       false,
		header("KV-Operation", "purge"):                        false,
		header("KV-Operation", "DEL", "KV-Operation", "PURGE"): false,
		header("A", "b"):                                       false,
	} {
		if got := isMarker([]byte(block)); got != want {
			t.Errorf("%q: %v, want %v", block, got, want)
		}
	}
}

// Where a message came from only streams say: a publisher that does is refused, as
// by the stock server, but what is sourced can be republished and delivered into
// other streams.
func TestPublish_sourceHeaderIsForStreams(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, "name=O subjects=[o] storage=memory")
	mustStream(t, b, "name=T subjects=[t] storage=memory sources=[{name=O}] republish={src=> dest=r.>}")
	mustStream(t, b, "name=R subjects=[r.>] storage=memory")
	mustStream(t, b, "name=D subjects=[d] storage=memory")
	b.call(t, "CONSUMER.CREATE.T.c", "stream_name=T config={durable_name=c ack_policy=none deliver_subject=d}", nil)
	for lines, want := range map[string]uint16{
		"Nats-Stream-Source: O 5 > > o":                           10227,
		"Nats-Stream-Source: x":                                   10227,
		"Nats-Stream-Source: x\r\nNats-Msg-Id: a":                 10227,
		"Nats-Stream-Source: x\r\nNats-Expected-Last-Msg-Id: q":   10227,
		"Nats-Stream-Source: x\r\nNats-Expected-Stream: q":        10060,
		"Nats-Stream-Source:":                                     0,
		"nats-stream-source: x":                                   0,
		"Nats-Stream-Source: O 5 > > o\r\nNats-Last-Sequence: 4":  0, // republished by another server
		"Nats-Stream-Source: O 5 > > o\r\nNats-Last-Sequences: 4": 10227,
	} {
		if got, _ := b.publishBlock(t, "t", "NATS/1.0\r\n"+lines+"\r\n\r\n"); got != want {
			t.Errorf("%q: code %d, want %d", lines, got, want)
		}
	}
	b.publish(t, "o", "x")
	eventually(t, func() bool {
		return b.origins(t, "T").State.Msgs == 4 && b.origins(t, "R").State.Msgs == 4 && b.origins(t, "D").State.Msgs == 4
	})
	for _, stream := range []string{"R", "D"} {
		if h := string(b.msg(t, stream, 4).Message.Header); headerValue(h, hdrStreamSource) == "" {
			t.Errorf("%s: %q", stream, h)
		}
	}
}
