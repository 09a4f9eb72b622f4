package consumer

import (
	"encoding/json"
	"strconv"
	"time"
)

// AckKind is what the payload of an acknowledgement asks for.
type AckKind uint8

const (
	// AckUnknown is ignored, but answered.
	AckUnknown AckKind = iota
	AckAck
	AckNak
	AckProgress
	AckTerm
	AckNext
)

// Ack is a parsed payload. The slices are parts of it.
type Ack struct {
	Kind   AckKind
	Delay  int64  // AckNak: nanoseconds until the redelivery, 0 is now
	Reason []byte // AckTerm
	Next   []byte // AckNext: a pull request
}

// ParseAck reads the payload of an acknowledgement. It never fails: what it
// does not know is AckUnknown, and a delay it can't read is none.
func ParseAck(body []byte) Ack {
	switch s := string(body); {
	case s == "" || s == "+ACK" || s == "+OK":
		return Ack{Kind: AckAck}
	case s == "+WPI":
		return Ack{Kind: AckProgress}
	case hasPrefix(body, "+NXT"):
		return Ack{Kind: AckNext, Next: trimSpace(body[len("+NXT"):])}
	case hasPrefix(body, "-NAK"):
		return Ack{Kind: AckNak, Delay: parseDelay(trimSpace(body[len("-NAK"):]))}
	case hasPrefix(body, "+TERM"):
		return Ack{Kind: AckTerm, Reason: trimSpace(body[len("+TERM"):])}
	}
	return Ack{}
}

func hasPrefix(b []byte, p string) bool { return len(b) >= len(p) && string(b[:len(p)]) == p }

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func parseDelay(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	if b[0] == '{' {
		var v struct {
			Delay int64 `json:"delay"`
		}
		if json.Unmarshal(b, &v) != nil {
			return 0
		}
		return max(v.Delay, 0)
	}
	d, err := time.ParseDuration(string(b))
	if err != nil {
		return 0
	}
	return max(int64(d), 0)
}

// AckSubject is what the reply subject of a delivery says. The slices are
// parts of the parsed subject.
type AckSubject struct {
	Domain, Account  []byte // only in the long form; Domain is nil for "_"
	Stream, Consumer []byte
	Count            uint64 // deliveries, from 1
	Seq              uint64 // in the stream
	DSeq             uint64 // consumer sequence of the delivery
	Time             int64  // when the message was stored
	Pending          uint64
}

const ackPrefix = "$JS.ACK."

// ParseAckSubject reads the reply subject of a delivery: nine tokens, or eleven
// and more, where two behind the prefix are a domain and the hash of an account
// and what follows the eleventh is ignored. A number that is none reads as 0;
// ok is false when the subject has another shape.
func ParseAckSubject(s []byte) (a AckSubject, ok bool) {
	if !hasPrefix(s, ackPrefix) {
		return a, false
	}
	var tok [11][]byte
	n, start := 0, len(ackPrefix)
	for i := start; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			continue
		}
		if i == start {
			return a, false
		}
		if n < len(tok) {
			tok[n] = s[start:i]
		}
		n++
		start = i + 1
	}
	t := tok[:]
	switch {
	case n == 7:
	case n >= 9:
		if a.Domain = t[0]; string(a.Domain) == "_" {
			a.Domain = nil
		}
		a.Account, t = t[1], t[2:]
	default:
		return a, false
	}
	a.Stream, a.Consumer = t[0], t[1]
	a.Count, a.Seq, a.DSeq = parseUint(t[2]), parseUint(t[3]), parseUint(t[4])
	a.Time, a.Pending = int64(parseUint(t[5])&(1<<63-1)), parseUint(t[6])
	return a, true
}

// parseUint reads decimal digits; anything else, also a number that does not
// fit, is 0.
func parseUint(b []byte) uint64 {
	if len(b) == 0 || len(b) > 20 {
		return 0
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0
		}
		n = n*10 + d
	}
	return n
}

// AppendAckPrefix appends what all reply subjects of one consumer begin with.
func AppendAckPrefix(dst []byte, stream, consumer string) []byte {
	dst = append(dst, ackPrefix...)
	dst = append(dst, stream...)
	dst = append(dst, '.')
	dst = append(dst, consumer...)
	return append(dst, '.')
}

func appendAckTail(dst []byte, count, seq, dseq uint64, at int64, pending uint64) []byte {
	dst = strconv.AppendUint(dst, count, 10)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, dseq, 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, at, 10)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, pending, 10)
}
