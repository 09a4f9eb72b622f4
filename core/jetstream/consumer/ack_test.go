package consumer

import (
	"testing"
	"time"
)

func TestParseAck(t *testing.T) {
	for _, c := range []struct {
		body         string
		kind         AckKind
		delay        time.Duration
		reason, next string
	}{
		{body: "", kind: AckAck},
		{body: "+ACK", kind: AckAck},
		{body: "+OK", kind: AckAck},
		{body: "+ACK ", kind: AckUnknown},
		{body: "-NAK", kind: AckNak},
		{body: `-NAK {"delay": 5000000}`, kind: AckNak, delay: 5 * time.Millisecond},
		{body: "-NAK 1m30s", kind: AckNak, delay: 90 * time.Second},
		{body: "-NAK soon", kind: AckNak},
		{body: "-NAK -1s", kind: AckNak},
		{body: `-NAK {"delay": "1s"}`, kind: AckNak},
		{body: "+WPI", kind: AckProgress},
		{body: "+WPI ", kind: AckUnknown},
		{body: "+TERM", kind: AckTerm},
		{body: "+TERM  too old ", kind: AckTerm, reason: "too old"},
		{body: "+NXT", kind: AckNext},
		{body: "+NXT 5", kind: AckNext, next: "5"},
		{body: `+NXT {"batch":5}`, kind: AckNext, next: `{"batch":5}`},
		{body: "hello", kind: AckUnknown},
	} {
		a := ParseAck([]byte(c.body))
		if a.Kind != c.kind || a.Delay != int64(c.delay) || string(a.Reason) != c.reason || string(a.Next) != c.next {
			t.Errorf("%q: %+v", c.body, a)
		}
	}
}

func TestParseAckSubject(t *testing.T) {
	for _, c := range []struct {
		subject string
		ok      bool
		seq     uint64
		pending uint64
		stream  string
		domain  string
	}{
		{"$JS.ACK.S.C.1.2.3.4.5", true, 2, 5, "S", ""},
		{"$JS.ACK.S.C.1.x.3.4.5", true, 0, 5, "S", ""},
		{"$JS.ACK.S.C.1.99999999999999999999.3.4.5", true, 0, 5, "S", ""},
		{"$JS.ACK._.acc.S.C.1.2.3.4.5", true, 2, 5, "S", ""},
		{"$JS.ACK.hub.acc.S.C.1.2.3.4.5", true, 2, 5, "S", "hub"},
		{"$JS.ACK.hub.acc.S.C.1.2.3.4.5.more.and.more", true, 2, 5, "S", "hub"},
		{"$JS.ACK.S.C.1.2.3.4", false, 0, 0, "", ""},
		{"$JS.ACK.S.C.1.2.3.4.5.6", false, 0, 0, "", ""},
		{"$JS.ACK.S..1.2.3.4.5", false, 0, 0, "", ""},
		{"$JS.ACK.", false, 0, 0, "", ""},
		{"$JS.FC.S.C.1.2.3.4.5", false, 0, 0, "", ""},
	} {
		a, ok := ParseAckSubject([]byte(c.subject))
		if ok != c.ok || ok && (a.Seq != c.seq || a.Pending != c.pending || string(a.Stream) != c.stream || string(a.Domain) != c.domain) {
			t.Errorf("%s: %+v, %v", c.subject, a, ok)
		}
	}
}

func FuzzParseAckSubject(f *testing.F) {
	f.Add("$JS.ACK.S.C.1.2.3.4.5")
	f.Add("$JS.ACK._.acc.S.C.1.2.3.4.5.6")
	f.Add("$JS.ACK.....")
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := ParseAckSubject([]byte(s))
		if !ok || a.Account != nil {
			return
		}
		// What the numbers are, written again and read again, stays.
		b := AppendAckPrefix(nil, string(a.Stream), string(a.Consumer))
		b = appendAckTail(b, a.Count, a.Seq, a.DSeq, a.Time, a.Pending)
		if c, ok := ParseAckSubject(b); !ok || c.Seq != a.Seq || c.DSeq != a.DSeq || c.Count != a.Count || c.Time != a.Time || c.Pending != a.Pending {
			t.Errorf("%q: %+v, again %+v %v", s, a, c, ok)
		}
	})
}

func FuzzParseAck(f *testing.F) {
	for _, s := range []string{"", "+ACK", "-NAK {\"delay\":1}", "-NAK 1s", "+TERM x", "+NXT {}", "+WPI"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a := ParseAck([]byte(s)); a.Delay < 0 || a.Delay > 0 && a.Kind != AckNak {
			t.Errorf("%q: %+v", s, a)
		}
	})
}
