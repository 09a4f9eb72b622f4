package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestAppendMsg(t *testing.T) {
	header := []byte("NATS/1.0\r\n\r\n")
	for _, test := range []struct {
		m       Msg
		headers bool
		want    string
	}{
		{Msg{Subject: []byte("foo"), Body: []byte("hi")}, true, "MSG foo 9 2\r\nhi\r\n"},
		{Msg{Subject: []byte("foo")}, true, "MSG foo 9 0\r\n\r\n"},
		{Msg{Subject: []byte("foo"), Reply: []byte("r"), Body: []byte("hi")}, false, "MSG foo 9 r 2\r\nhi\r\n"},
		{Msg{Subject: []byte("d"), Shown: []byte("foo"), Reply: []byte("r")}, false, "MSG foo 9 r 0\r\n\r\n"},
		{Msg{Subject: []byte("foo"), Header: header, Body: []byte("hi")}, true, "HMSG foo 9 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"},
		{Msg{Subject: []byte("foo"), Reply: []byte("r"), Header: header}, true, "HMSG foo 9 r 12 12\r\nNATS/1.0\r\n\r\n\r\n"},
		{Msg{Subject: []byte("foo"), Header: header, Body: []byte("hi")}, false, "MSG foo 9 2\r\nhi\r\n"},
		{Msg{Subject: []byte("foo"), Header: []byte{}, Body: []byte("hi")}, true, "MSG foo 9 2\r\nhi\r\n"},
	} {
		if got := AppendMsg([]byte(">"), &test.m, []byte("9"), test.headers); string(got) != ">"+test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAppendLeafMsg(t *testing.T) {
	q := func(names ...string) (list [][]byte) {
		for _, n := range names {
			list = append(list, []byte(n))
		}
		return list
	}
	header := []byte("NATS/1.0\r\n\r\n")
	for _, test := range []struct {
		m       Msg
		headers bool
		want    string
	}{
		{Msg{Subject: []byte("foo"), Body: []byte("hi")}, true, "LMSG foo 2\r\nhi\r\n"},
		{Msg{Subject: []byte("foo"), Reply: []byte("resp"), Body: []byte("abc")}, true, "LMSG foo resp 3\r\nabc\r\n"},
		{Msg{Subject: []byte("q.1"), Queues: q("grpB", "grp"), Body: []byte("x")}, true, "LMSG q.1 | grpB grp 1\r\nx\r\n"},
		{Msg{Subject: []byte("q.1"), Reply: []byte("resp"), Queues: q("grpB", "grp"), Body: []byte("x")}, true, "LMSG q.1 + resp grpB grp 1\r\nx\r\n"},
		{Msg{Subject: []byte("q.1"), Queues: [][]byte{}, Body: []byte("x")}, true, "LMSG q.1 1\r\nx\r\n"},
		{Msg{Subject: []byte("q.1"), Queues: q("grp"), Header: header, Body: []byte("x")}, true, "HMSG q.1 | grp 12 13\r\nNATS/1.0\r\n\r\nx\r\n"},
		{Msg{Subject: []byte("q.1"), Reply: []byte("r"), Queues: q("grp"), Header: header, Body: []byte("x")}, true, "HMSG q.1 + r grp 12 13\r\nNATS/1.0\r\n\r\nx\r\n"},
		{Msg{Subject: []byte("foo"), Header: header, Body: []byte("hi")}, false, "LMSG foo 2\r\nhi\r\n"},
		{Msg{Subject: []byte("dlv"), Shown: []byte("orders.1"), Reply: []byte("$JS.ACK.S.C.1.2.3.4.5"), Body: []byte("x")}, true,
			"LMSG dlv $JS.ACK.S.C.1.2.3.4.5@orders.1 1\r\nx\r\n"},
		{Msg{Subject: []byte("dlv"), Shown: []byte("orders.1"), Body: []byte("x")}, true, "LMSG dlv 1\r\nx\r\n"},
	} {
		if got := AppendLeafMsg([]byte(">"), &test.m, test.headers); string(got) != ">"+test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAppendLines(t *testing.T) {
	for _, test := range []struct {
		got  []byte
		want string
	}{
		{AppendLeafSub(nil, "foo", "", 7), "LS+ foo\r\n"},
		{AppendLeafSub(nil, "foo", "q", 7), "LS+ foo q 7\r\n"},
		{AppendLeafSub(nil, "foo", "q", 0), "LS+ foo q 1\r\n"},
		{AppendLeafSub(nil, "foo", "q", MaxWeight+1), "LS+ foo q 999999999\r\n"},
		{AppendLeafUnsub(nil, "foo", ""), "LS- foo\r\n"},
		{AppendLeafUnsub(nil, "foo", "q"), "LS- foo q\r\n"},
		{AppendErr(nil, "Stale Connection"), "-ERR 'Stale Connection'\r\n"},
		{AppendInfo(nil, []byte(`{"a":1}`)), "INFO {\"a\":1} \r\n"},
		{AppendConnect(nil, []byte(`{"a":1}`)), "CONNECT {\"a\":1}\r\n"},
		{AppendNoResponders(nil, []byte("foo")), "NATS/1.0 503\r\nNats-Subject: foo\r\n\r\n"},
		{[]byte(PingLine + PongLine + OKLine), "PING\r\nPONG\r\n+OK\r\n"},
	} {
		if string(test.got) != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestSplitShown(t *testing.T) {
	const ack = "$JS.ACK.S.C.1.2.3.4.5"               // nine tokens
	const long = "$JS.ACK.dom.hash.S.C.1.2.3.4.5.rnd" // twelve
	for _, test := range []struct{ reply, wantReply, wantShown string }{
		{ack, ack, ""},
		{ack + "@orders.1", ack, "orders.1"},
		{long + "@orders.1", long, "orders.1"},
		{ack + "@a@b.c", ack, "a@b.c"},
		{"$JS.ACK.S@x.C.1.2.3.4.5", "$JS.ACK.S@x.C.1.2.3.4.5", ""},
		{"$JS.ACK.S.C.1.2.3.4@x", "$JS.ACK.S.C.1.2.3.4@x", ""},
		{"_INBOX.1.2.3.4.5.6.7.8.9@x", "_INBOX.1.2.3.4.5.6.7.8.9@x", ""},
		{"", "", ""},
	} {
		m := &Msg{Reply: []byte(test.reply)}
		SplitShown(m)
		if string(m.Reply) != test.wantReply || string(m.Shown) != test.wantShown {
			t.Errorf("%q gives %q, %q", test.reply, m.Reply, m.Shown)
		}
	}
}

// What the encoders write, the parsers read back.
func TestEncoders_roundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	word := func() []byte { return fmt.Appendf(nil, "w%d.x", r.IntN(1000)) }
	for range 2000 {
		m := &Msg{Subject: word(), Body: bytes.Repeat([]byte("\r\n"), r.IntN(20))}
		if r.IntN(2) == 0 {
			m.Reply = word()
		}
		if r.IntN(2) == 0 {
			m.Header = HeaderSet(nil, nil, "K", string(word()))
		}
		client := *m
		want := "pub " + describeMsg(&client)
		if got, err := feed(clientParse(testLimits), bytewise(string(AppendPub(nil, m)))...); got != want || err != "" {
			t.Fatalf("got %s, error %s, want %s", got, err, want)
		}
		if m.Reply != nil && r.IntN(2) == 0 {
			m.Reply, m.Shown = []byte("$JS.ACK.S.C.1.2.3.4.5"), word()
		}
		for range r.IntN(4) {
			m.Queues = append(m.Queues, word())
		}
		link := *m
		want = describeMsg(&link)
		h := &msgKeeper{}
		if err := NewLeafParser(h, testLimits).Parse(AppendLeafMsg(nil, m, true)); err != nil || h.got != want {
			t.Fatalf("got %s, error %v, want %s", h.got, err, want)
		}
	}
}

// msgKeeper describes a message as a link handler sees it after SplitShown.
type msgKeeper struct {
	counter
	got string
}

func (k *msgKeeper) LeafMsg(m *Msg) error {
	SplitShown(m)
	k.got = describeMsg(m)
	return nil
}

func TestEncoders_doNotAllocate(t *testing.T) {
	m := &Msg{Subject: []byte("foo"), Reply: []byte("r"), Header: []byte("NATS/1.0\r\n\r\n"), Body: make([]byte, 100), Queues: [][]byte{[]byte("q")}}
	dst, sid := make([]byte, 0, 1024), []byte("1")
	if n := testing.AllocsPerRun(100, func() {
		dst = AppendMsg(dst[:0], m, sid, true)
		dst = AppendLeafMsg(dst, m, true)
		dst = AppendPub(dst, m)
		dst = AppendLeafSub(dst, "foo", "q", 3)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCloseReason_texts(t *testing.T) {
	seen := map[string]bool{}
	for r := range numReasons {
		text := r.String()
		if text == "" || seen[text] {
			t.Errorf("reason %d has the text %q", r, text)
		}
		seen[text] = true
	}
	if got := CloseReason(200).String(); got != "Unknown State" {
		t.Errorf("got %q", got)
	}
	if len(seen) != 38 {
		t.Errorf("%d reasons", len(seen))
	}
}
