package jetstream

import (
	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/api"
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
	// loop: it came round too often, and is only to be counted as taken.
	loop bool
}

// appendFetched appends an ingest operation. It does not wait: w, if not nil,
// is told when the message is durable and applied, in the order of the calls.
// A message at or below the position is dropped with outcome.dup set, so what
// was brought twice does no harm. One behind a message that was refused is
// refused too, so nothing is left out.
func (s *stream) appendFetched(f *fetched, w ingestWaiter) error {
	flags := fetchedFlags(f.header)
	if f.source == "" {
		flags &= flagTTL // a mirror does what its origin did
	}
	if f.loop {
		flags = flagLoop
	}
	if flags&flagMsgID != 0 && s.idsFull.Load() {
		return errIDsFull
	}
	o := origin{f.source, f.seq, f.at, f.after}
	head := o.append(make([]byte, 0, 64+len(f.source)), flags)
	head = edgestore.AppendBlobHead(head, len(f.subject), len(f.header))
	rec := s.record(opIngest, f.source != "" && !f.loop)
	var token any
	if w != nil {
		token = w
	}
	return s.e.append(s.log(), false, &rec, nil, token, head, f.subject, f.header, f.body)
}

func fetchedFlags(block []byte) (flags uint8) {
	for h := (headers{rest: block}); ; {
		which, value := h.next()
		switch {
		case which == headerNone:
			return flags
		case which == headerMsgID && len(value) > 0:
			flags |= flagMsgID
		case which == headerRollup:
			flags |= flagRollup
		case which == headerTTL:
			flags |= flagTTL
		}
	}
}

// originOp is what opOrigin says: which stream a source ("" for the mirror)
// fetches from. restart says that it is another one than before, so that the
// position counts for nothing.
type originOp struct {
	source, identity string
	restart          bool
}

func (o *originOp) append(b []byte) []byte {
	b = msgp.AppendString(b, o.source)
	b = msgp.AppendString(b, o.identity)
	return msgp.AppendBool(b, o.restart)
}

func readOriginOp(b []byte) (o originOp, err error) {
	r := opReader{b: b}
	o = originOp{r.string(), r.string(), r.bool()}
	return o, r.done("origin")
}

// logOrigin appends one; w, if not nil, is told when it is applied, and so
// is everything that was fetched before.
func (s *stream) logOrigin(o *originOp, w ingestWaiter) error {
	rec := s.record(opOrigin, false)
	var token any
	if w != nil {
		token = w
	}
	return s.e.append(s.log(), false, &rec, nil, token, o.append(nil))
}

func (s *stream) applyOrigin(data []byte) error {
	o, err := readOriginOp(data)
	if err != nil {
		return err
	}
	at := s.positions[o.source]
	at.identity = o.identity
	if o.restart {
		at.seq, at.lost.LastSeq = 0, 0
	}
	s.setPosition(o.source, at)
	s.auxDirty.positions = true
	return nil
}

// appendSkip says that the mirrored stream has nothing up to last, so the
// mirror has a gap there. Nobody waits for it.
func (s *stream) appendSkip(last uint64, at int64) error {
	b := msgp.AppendInt64(msgp.AppendUint64(nil, last), at)
	rec := s.record(opSkip, false)
	return s.e.append(s.log(), false, &rec, nil, nil, b)
}

// position is where the fetching from one source stands.
type position struct {
	seq      uint64 // newest sequence that was taken
	identity string // of the stream it was taken from, "" for not known
	lost     api.LostInfo
}

// position is that of a source; for a mirror, "", the sequence is the stream's
// own last. fresh says that nothing was ever taken.
func (s *stream) position(source string) (at position, fresh bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.positions[source]
	if source == "" {
		st := s.store.Index()
		at.seq = s.last
		return at, st.Msgs == 0 && st.FirstSeq <= 1
	}
	return at, !ok || at.seq == 0
}

func (s *stream) setPosition(source string, at position) {
	if s.positions == nil {
		s.positions = make(map[string]position)
	}
	s.positions[source] = at
}

// appendAux is how a position is kept in the store.
func (at *position) appendAux(b []byte) []byte {
	b = msgp.AppendString(msgp.AppendUint64(b, at.seq), at.identity)
	if at.lost == (api.LostInfo{}) {
		return b
	}
	b = msgp.AppendUint64(msgp.AppendUint64(b, at.lost.Msgs), at.lost.LastSeq)
	return msgp.AppendString(b, at.lost.Reason)
}

func readPosition(b []byte) (at position, err error) {
	r := opReader{b: b}
	at.seq = r.uint()
	if len(r.b) > 0 { // older versions kept no identity
		at.identity = r.string()
	}
	if len(r.b) > 0 { // nothing is lost
		at.lost = api.LostInfo{Msgs: r.uint(), LastSeq: r.uint(), Reason: r.string()}
	}
	return at, r.done("source position")
}
