package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
)

func TestPublish_storesWhatWasPublished(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `name=S subjects=[s.>] storage=memory subject_transform={src=s.* dest="s.x.{{wildcard(1)}}"}`)
	for _, x := range []struct{ header, wantHeader string }{
		{"", ""},
		{header("A", "b"), header("A", "b")},
		{"NATS/1.0 503 no\r\nA: b\r\n\r\n", header("A", "b")},
		{header("Nats-Request-Info", "{}", "A", "b"), header("A", "b")},
		{"NATS/1.0 503\r\n\r\n", ""},
		{"HTTP/1.1\r\nA: b\r\n\r\n", "HTTP/1.1\r\nA: b\r\n\r\n"},
	} {
		m := b.request(t, "s.1", x.header, "body")
		var ack pubAck
		if err := json.Unmarshal([]byte(m.Body), &ack); err != nil {
			t.Fatal(err)
		}
		var out struct{ Message api.StoredMsg }
		b.call(t, "STREAM.MSG.GET.S", fmt.Sprintf("seq=%d", ack.Seq), &out)
		if string(out.Message.Header) != x.wantHeader || string(out.Message.Data) != "body" || out.Message.Subject != "s.x.1" {
			t.Errorf("%q: stored %q %q on %s", x.header, out.Message.Header, out.Message.Data, out.Message.Subject)
		}
	}
}

// sequences lists what a stream holds.
func sequences(e *Engine, name string) []uint64 {
	s := e.account("A").stream(name)
	seqs := []uint64{}
	for seq := uint64(1); ; seq++ {
		m, _, err := s.store.LoadNext(nil, seq, nil)
		if err != nil {
			return seqs
		}
		seq = m.Seq
		seqs = append(seqs, seq)
	}
}

func TestPublish_noAckStaysSilent(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory no_ack max_msg_size=3")
	in := b.inbox(t, "reply")
	for _, body := range []string{"ok", "too large", "ok"} {
		b.route(&wire.Msg{Subject: []byte("s"), Reply: []byte("reply"), Body: []byte(body)})
	}
	for {
		var out streamAnswer
		if b.call(t, "STREAM.INFO.S", "", &out); out.State.Msgs == 2 {
			break
		}
	}
	in.none()
}

// testReceipt is a publisher that waits without a reply subject.
type testReceipt struct {
	expected int
	stored   chan string
}

func (r *testReceipt) Expect() { r.expected++ }
func (r *testReceipt) Stored(stream string, seq uint64, duplicate bool, err error) {
	text := fmt.Sprintf("%s %d", stream, seq)
	if duplicate {
		text += " duplicate"
	}
	var api *apierror.Error
	if errors.As(err, &api) {
		text += fmt.Sprintf(" error %d", api.ErrCode)
	} else if errors.Is(err, wire.ErrUnknown) {
		text += " unknown"
	}
	r.stored <- text
}

func TestPublish_receipt(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory max_msg_size=40")
	r := &testReceipt{stored: make(chan string, 1)}
	in := b.inbox(t, "reply") // a receipt is told in place of it
	for i, x := range []struct{ id, body, want string }{
		{"1", "a", "S 1"}, {"1", "a", "S 1 duplicate"}, {"2", strings.Repeat("x", 50), "S 0 error 10054"}, {"3", "", "S 2"},
	} {
		m := &wire.Msg{Subject: []byte("s"), Header: []byte(header("Nats-Msg-Id", x.id)), Body: []byte(x.body), Receipt: r, Reply: []byte("reply")}
		b.route(m)
		if r.expected != i+1 {
			t.Fatalf("%d: Expect was called %d times", i, r.expected)
		}
		if got := <-r.stored; got != x.want {
			t.Errorf("%d: %s, want %s", i, got, x.want)
		}
	}
	in.none()
}

func TestPublish_republish(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `name=S subjects=[s.*] storage=memory republish={src=s.* dest="out.{{wildcard(1)}}"}`)
	mustStream(t, b, "name=H subjects=[h.*] storage=memory republish={src=> dest=head.> headers_only}")
	out, head := b.inbox(t, "out.>"), b.inbox(t, "head.>")
	b.publish(t, "s.a", "x")
	b.publish(t, "s.a", "y", "A", "b")
	b.publish(t, "h.a", "123")
	strip := func(m testMsg) string {
		i := strings.Index(m.Header, "Nats-Time-Stamp")
		j := i + strings.Index(m.Header[i:], "\r\n") + 2
		return m.Subject + " " + m.Body + " " + m.Header[:i] + m.Header[j:]
	}
	for i, x := range []struct {
		in   *inbox
		want string
	}{
		{out, "out.a x " + header("Nats-Stream", "S", "Nats-Subject", "s.a", "Nats-Sequence", "1", "Nats-Last-Sequence", "0")},
		{out, "out.a y " + header("A", "b", "Nats-Stream", "S", "Nats-Subject", "s.a", "Nats-Sequence", "2", "Nats-Last-Sequence", "1")},
		{head, "head.h.a  " + header("Nats-Stream", "H", "Nats-Subject", "h.a", "Nats-Sequence", "1", "Nats-Last-Sequence", "0", "Nats-Msg-Size", "3")},
	} {
		if got := strip(x.in.next()); got != x.want {
			t.Errorf("%d:\n got %q\nwant %q", i, got, x.want)
		}
	}
}

func TestPublish_sealedStream(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory")
	b.publish(t, "s", "")
	var out streamAnswer
	b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s] storage=memory sealed", &out)
	if c := out.Config; !c.DenyDelete || !c.DenyPurge || c.Discard != asset.DiscardNew {
		t.Errorf("sealing left %+v", c)
	}
	if a := b.publish(t, "s", ""); a.Error == nil || a.Error.ErrCode != 10109 {
		t.Errorf("publish: %+v", a)
	}
	for verb, body := range map[string]string{"STREAM.PURGE.S": "", "STREAM.MSG.DELETE.S": "seq=1"} {
		if err := b.fails(t, verb, body); err.ErrCode != 10109 {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if err := b.fails(t, "STREAM.UPDATE.S", "name=S subjects=[s] storage=memory deny_delete deny_purge"); err.ErrCode != 10052 {
		t.Errorf("unsealing: %v", err)
	}
}

// A stream may begin at any sequence; at the end it refuses, and goes on living.
func TestPublish_lastSequence(t *testing.T) {
	d := newDevice(t, 21)
	e, b := d.open()
	for _, storage := range []string{"file", "memory"} {
		mustStream(t, b, "name="+storage+" subjects=["+storage+"] storage="+storage+" first_seq=9223372036854775807")
		if a := b.publish(t, storage, ""); a.Seq != 1<<63-1 || a.Error != nil {
			t.Errorf("%+v", a)
		}
		for range 2 {
			if a := b.publish(t, storage, ""); a.Error == nil || a.Error.Description != "no sequence is left" {
				t.Errorf("%+v", a)
			}
		}
	}
	if err := e.drain.drain(); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
