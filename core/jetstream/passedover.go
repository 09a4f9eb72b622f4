package jetstream

import (
	"strings"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/tinylib/msgp/msgp"
)

// A message of an origin that is longer than a link on the way carries never
// comes. The origin passes it over and says so, and the stream that fetches
// keeps count of it beside its position there, on disk: what was acknowledged
// at the origin is missing here, and whoever looks must learn of it.

// passedOver is what opPassedOver says. after is the sequence of the message
// that was brought before it, as with an ingest.
type passedOver struct {
	source     string
	seq, after uint64
	reason     string
}

func (p *passedOver) append(b []byte) []byte {
	b = msgp.AppendString(b, p.source)
	b = msgp.AppendUint64(b, p.seq)
	b = msgp.AppendUint64(b, p.after)
	return msgp.AppendString(b, p.reason)
}

func readPassedOver(b []byte) (p passedOver, err error) {
	r := opReader{b: b}
	p = passedOver{r.string(), r.uint(), r.uint(), r.string()}
	return p, r.done("passed over")
}

// maxReason bounds what is kept of an origin's words.
const maxReason = 256

// PassOver is part of origins.Stream.
func (s *stream) PassOver(source string, seq, after uint64, why string, w origins.Waiter) error {
	p := passedOver{source, seq, after, strings.ToValidUTF8(why[:min(len(why), maxReason)], "")}
	rec := s.record(opPassedOver, false)
	return s.bring(&rec, w, p.append(nil))
}

// applyPassedOver counts one. It is told again whenever the origin is asked
// from before it, so what is known already is a duplicate, and so is what comes
// behind a message that was refused: both are brought again.
func (s *stream) applyPassedOver(data []byte, o *outcome) error {
	p, err := readPassedOver(data)
	if err != nil {
		return err
	}
	at := s.positions[p.source]
	have := at.seq
	if p.source == "" {
		have = s.last
	}
	o.seq = p.seq
	if p.seq <= max(have, at.lost.LastSeq) || p.after > have && !s.wounded {
		o.dup = true
		return nil
	}
	at.lost = api.LostInfo{Msgs: at.lost.Msgs + 1, LastSeq: p.seq, Reason: p.reason}
	s.setPosition(p.source, at)
	s.auxDirty.positions = true
	return nil
}

// came takes a message off the count that arrived after all: the link takes
// longer ones than before. It reports whether it was on it.
func (at *position) came(seq uint64) bool {
	if seq > at.lost.LastSeq || at.lost.Msgs == 0 {
		return false
	}
	at.lost.Msgs--
	return true
}
