package asset

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
)

// A start reads the configuration of every stream there is. encoding/json takes
// half as long for one as all else that its stream needs, so the text that
// Encode makes of most streams is read here, without reflection. Only such
// text is: no space, names of members as they are written, no value that has
// values in it but for subjects, metadata and limits of consumers. Of all else
// nothing is known here, and encoding/json says what it is.

// readOwn reads a text of Encode; it is not ok when that is for
// encoding/json. The metadata is shared, so it must not be changed.
func readOwn(text []byte, r *Reader) (_ *StreamConfig, ok bool) {
	t, c := ownText{b: text}, new(StreamConfig)
	for t.open('{', '}'); t.more(); {
		key := t.plain()
		t.take(':')
		switch string(key) {
		case "name":
			c.Name = t.text()
		case "description":
			c.Description = t.text()
		case "subjects":
			c.Subjects = t.texts()
		case "retention":
			t.named(&c.Retention)
		case "max_consumers":
			c.MaxConsumers = int(t.number(math.MinInt, math.MaxInt))
		case "max_msgs":
			c.MaxMsgs = t.int()
		case "max_bytes":
			c.MaxBytes = t.int()
		case "max_age":
			c.MaxAge = time.Duration(t.int())
		case "max_msgs_per_subject":
			c.MaxMsgsPer = t.int()
		case "max_msg_size":
			c.MaxMsgSize = int32(t.number(math.MinInt32, math.MaxInt32))
		case "discard":
			t.named(&c.Discard)
		case "storage":
			t.named(&c.Storage)
		case "num_replicas":
			c.Replicas = int(t.number(math.MinInt, math.MaxInt))
		case "no_ack":
			c.NoAck = t.bool()
		case "duplicate_window":
			c.Duplicates = time.Duration(t.int())
		case "compression":
			t.named(&c.Compression)
		case "first_seq":
			c.FirstSeq = uint64(t.number(0, math.MaxInt64))
		case "allow_direct":
			c.AllowDirect = t.bool()
		case "mirror_direct":
			c.MirrorDirect = t.bool()
		case "discard_new_per_subject":
			c.DiscardNewPer = t.bool()
		case "sealed":
			c.Sealed = t.bool()
		case "deny_delete":
			c.DenyDelete = t.bool()
		case "deny_purge":
			c.DenyPurge = t.bool()
		case "allow_rollup_hdrs":
			c.AllowRollup = t.bool()
		case "consumer_limits":
			t.consumerLimits(&c.ConsumerLimits)
		case "allow_msg_ttl":
			c.AllowMsgTTL = t.bool()
		case "subject_delete_marker_ttl":
			c.SubjectDeleteMarkerTTL = time.Duration(t.int())
		case "allow_msg_counter":
			c.AllowMsgCounter = t.bool()
		case "allow_atomic":
			c.AllowAtomic = t.bool()
		case "allow_msg_schedules":
			c.AllowMsgSchedules = t.bool()
		case "persist_mode":
			t.named(&c.PersistMode)
		case "allow_batched":
			c.AllowBatched = t.bool()
		case "metadata":
			if c.Metadata != nil {
				return nil, false // a second one is added to the first
			}
			c.Metadata = t.metadata(r)
		default:
			return nil, false
		}
	}
	return c, t.end()
}

// ownText is what is left of a text. What is not as it should be leaves
// nothing, and is remembered.
type ownText struct {
	b     []byte
	bad   bool
	first bool // of an object or a list: no comma before it
	close byte // of the object or list
}

func (t *ownText) fail() { t.b, t.bad = nil, true }

func (t *ownText) take(c byte) {
	if len(t.b) == 0 || t.b[0] != c {
		t.fail()
		return
	}
	t.b = t.b[1:]
}

// end tells whether the text was as it should be and is used up.
func (t *ownText) end() bool { return !t.bad && len(t.b) == 0 }

// open begins an object or a list. There is one at a time: what is in another
// puts the outer one back when it is through.
func (t *ownText) open(begin, end byte) (outer byte) {
	t.take(begin)
	outer, t.first, t.close = t.close, true, end
	return outer
}

// more tells whether a member or an element follows.
func (t *ownText) more() bool {
	first := t.first
	t.first = false
	switch {
	case len(t.b) == 0:
		t.fail()
	case t.b[0] == t.close:
		t.b = t.b[1:]
	case first:
		return true
	default:
		t.take(',')
		return !t.bad
	}
	return false
}

// raw is a string with its quotes; what is in it has no backslash, or is told to
// have.
func (t *ownText) raw() (s []byte, escaped bool) {
	if len(t.b) == 0 || t.b[0] != '"' {
		t.fail()
		return nil, false
	}
	for i := 1; i < len(t.b); i++ {
		switch c := t.b[i]; {
		case c == '"':
			s, t.b = t.b[:i+1], t.b[i+1:]
			return s, escaped
		case c < ' ' || c >= 0x80: // the latter may be no UTF-8
			t.fail()
			return nil, false
		case c == '\\':
			escaped = true
			i++ // not the end of the string
		}
	}
	t.fail()
	return nil, false
}

// plain is what is in a string without a backslash.
func (t *ownText) plain() []byte {
	s, escaped := t.raw()
	if escaped || len(s) < 2 {
		t.fail()
		return nil
	}
	return s[1 : len(s)-1]
}

// text is what is in a string. Of what stands behind a backslash only the wildcard
// of subjects is known, and the two that are treated as it is.
func (t *ownText) text() string {
	s, escaped := t.raw()
	if len(s) < 2 {
		return ""
	}
	s = s[1 : len(s)-1]
	if !escaped {
		return string(s)
	}
	var buf [64]byte
	out := buf[:0]
	for len(s) > 0 {
		at := bytes.IndexByte(s, '\\')
		if at < 0 {
			break
		}
		out = append(out, s[:at]...)
		s = s[at:]
		c := byte(0)
		if len(s) >= 6 {
			switch string(s[:6]) {
			case `\u003e`:
				c = '>'
			case `\u003c`:
				c = '<'
			case `\u0026`:
				c = '&'
			}
		}
		if c == 0 {
			t.fail()
			return ""
		}
		out, s = append(out, c), s[6:]
	}
	return string(append(out, s...))
}

// texts is a list of strings, which most streams have one of.
func (t *ownText) texts() []string {
	list := make([]string, 0, 1)
	outer := t.open('[', ']')
	for t.more() {
		list = append(list, t.text())
	}
	t.first, t.close = false, outer
	return list
}

// named is one of the values that have names.
func (t *ownText) named(v interface{ UnmarshalJSON([]byte) error }) {
	if s, _ := t.raw(); t.bad || v.UnmarshalJSON(s) != nil {
		t.fail()
	}
}

func (t *ownText) bool() bool {
	switch {
	case bytes.HasPrefix(t.b, []byte("true")):
		t.b = t.b[4:]
		return true
	case bytes.HasPrefix(t.b, []byte("false")):
		t.b = t.b[5:]
	default:
		t.fail()
	}
	return false
}

func (t *ownText) int() int64 { return t.number(math.MinInt64, math.MaxInt64) }

// number is a whole number, as encoding/json writes it.
func (t *ownText) number(least, most int64) int64 {
	n := 0
	for n < len(t.b) && (t.b[n] >= '0' && t.b[n] <= '9' || t.b[n] == '-') {
		n++
	}
	s := t.b[:n]
	digits := bytes.TrimPrefix(s, []byte("-"))
	v, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || len(digits) > 1 && digits[0] == '0' || v < least || v > most {
		t.fail()
		return 0
	}
	t.b = t.b[n:]
	return v
}

func (t *ownText) consumerLimits(l *ConsumerLimits) {
	outer := t.open('{', '}')
	for t.more() {
		key := t.plain()
		t.take(':')
		switch string(key) {
		case "inactive_threshold":
			l.InactiveThreshold = time.Duration(t.int())
		case "max_ack_pending":
			l.MaxAckPending = int(t.number(math.MinInt, math.MaxInt))
		default:
			t.fail()
		}
	}
	t.first, t.close = false, outer
}

// metadata is shared when there is only the required level.
func (t *ownText) metadata(r *Reader) (m map[string]string) {
	outer := t.open('{', '}')
	for t.more() {
		key := t.text()
		t.take(':')
		value := t.text()
		if m == nil && key == consumer.MetaRequiredLevel && len(t.b) > 0 && t.b[0] == t.close {
			m = r.level(value)
			continue
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[key] = value
	}
	if m == nil {
		m = make(map[string]string) // as encoding/json says it
	}
	t.first, t.close = false, outer
	return m
}
