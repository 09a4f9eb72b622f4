package jetstream

import (
	"bytes"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// Mirrors and sources bring the messages of another stream. They append them
// here, in place of stream.ingest, which is for publishers: nothing is
// refused for expectations, and nobody is answered but the one who brings
// them.

// fetched is one message of an origin. source is "" when the stream mirrors
// it: then it keeps seq and at; else it gets the stream's next sequence and
// the time of now, and seq is remembered as the source's position. after is
// the sequence of the message that was brought before it.
type fetched struct {
	source  string
	seq     uint64
	at      int64 // nanoseconds since 1970
	after   uint64
	subject []byte
	header  []byte // as it is to be stored
	body    []byte
}

// appendFetched appends an ingest operation. It does not wait: w, if not nil,
// is told when the message is durable and applied, in the order of the calls.
// A message at or below the position is dropped with outcome.dup set, so what
// was brought twice does no harm. One behind a message that was refused is
// refused too, so nothing is left out.
func (s *stream) appendFetched(f *fetched, w ingestWaiter) error {
	var flags uint8
	if f.source != "" {
		flags = fetchedFlags(f.header)
	}
	o := origin{f.source, f.seq, f.at, f.after}
	head := o.append(make([]byte, 0, 64+len(f.source)), flags)
	head = edgestore.AppendBlobHead(head, len(f.subject), len(f.header))
	rec := edgestore.Record{Kind: opIngest, Incarnation: s.incarnation, Stamp: s.e.stamp()}
	var token any
	if w != nil {
		token = w
	}
	return s.e.append(s.log, false, &rec, nil, token, head, f.subject, f.header, f.body)
}

func fetchedFlags(header []byte) (flags uint8) {
	for rest := header; ; {
		i := bytes.Index(rest, natsHeader)
		if i < 0 {
			return flags
		}
		rest = rest[i+2:]
		key, value, ok := cutHeader(rest)
		switch {
		case !ok:
		case string(key) == hdrMsgID && len(value) > 0:
			flags |= flagMsgID
		case string(key) == hdrRollup:
			flags |= flagRollup
		}
	}
}

// appendSkip says that the mirrored stream has nothing up to last, so the
// mirror has a gap there. Nobody waits for it.
func (s *stream) appendSkip(last uint64, at int64) error {
	b := msgp.AppendInt64(msgp.AppendUint64(nil, last), at)
	rec := edgestore.Record{Kind: opSkip, Incarnation: s.incarnation, Stamp: s.e.stamp()}
	return s.e.append(s.log, false, &rec, nil, nil, b)
}

// position is the newest sequence that was taken from a source; for a mirror,
// "", the stream's own last. fresh says that nothing ever was.
func (s *stream) position(source string) (seq uint64, fresh bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if source == "" {
		st := s.store.State()
		return s.last, st.Msgs == 0 && st.FirstSeq <= 1
	}
	seq, ok := s.positions[source]
	return seq, !ok
}
