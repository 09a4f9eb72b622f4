package jetstream

import (
	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/edgestore"
)

// Mirrors and sources bring the messages of another stream. They append them
// here, in place of stream.ingest, which is for publishers: nothing is
// refused for expectations, and nobody is answered but the one who brings
// them.

var _ origins.Stream = (*stream)(nil)

func (e *Engine) newFetchers() *origins.Fetchers {
	return origins.New(origins.Options{
		Domain: e.cfg.Domain, Now: e.now, Clock: e.cfg.Now, Random: e.random, Token: e.token, Logger: e.logger,
		Outlet: func() origins.Outlet { return new(publishers) },
	})
}

func (s *stream) Account() string { return s.acct.name }

// Position is part of origins.Stream.
func (s *stream) Position(source string) (origins.Position, bool) {
	at, fresh := s.position(source)
	return origins.Position{Seq: at.seq, Identity: at.identity, Lost: at.lost}, fresh
}

// Take is part of origins.Stream.
func (s *stream) Take(m *origins.Message, w origins.Waiter) error {
	flags := fetchedFlags(m.Header)
	if m.Source == "" {
		flags &= flagTTL // a mirror does what its origin did
	}
	if m.Loop {
		flags = flagLoop
	}
	if flags&flagMsgID != 0 && s.idsFull.Load() {
		return errIDsFull
	}
	subj := m.Subject
	if v := s.view.Load(); v.transform != nil {
		if b, ok := v.transform.Append(nil, subj, s.e.random); ok {
			subj = b
		}
	}
	o := origin{m.Source, m.Seq, m.At, m.After}
	head := o.append(make([]byte, 0, 64+len(m.Source)), flags)
	head = edgestore.AppendBlobHead(head, len(subj), len(m.Header))
	rec := s.record(opIngest, m.Source != "" && !m.Loop)
	if m.Source == "" {
		rec.Reaches = m.Seq
	}
	return s.bring(&rec, w, head, subj, m.Header, m.Body)
}

// bring appends an operation for whoever fetches; w may be nil.
func (s *stream) bring(rec *edgestore.Record, w origins.Waiter, data ...[]byte) error {
	if err := s.stopped.Load(); err != nil {
		return err
	}
	var token any
	if w != nil {
		token = w
	}
	return s.e.append(s.log(), false, rec, nil, token, data...)
}

// broughtSeq is the sequence at the origin of what an operation brings, 0 where
// there is none.
func broughtSeq(en *edgestore.Entry) uint64 {
	switch en.Kind {
	case opIngest:
		// The operation was read before: this does not fail.
		from, _, _, _ := readOrigin(en.Data)
		return from.seq
	case opPassedOver:
		p, _ := readPassedOver(en.Data)
		return p.seq
	}
	return 0
}

// StartOver is part of origins.Stream.
func (s *stream) StartOver() { s.e.api.Do(func() { s.e.startOver(s) }) }

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

// NoteOrigin is part of origins.Stream: w is told when everything that was
// fetched before is applied.
func (s *stream) NoteOrigin(source string, o *sourcing.Origin, w origins.Waiter) error {
	rec := s.record(opOrigin, false)
	op := originOp{source, o.Identity, o.Restart}
	return s.bring(&rec, w, op.append(nil))
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

// Skip is part of origins.Stream.
func (s *stream) Skip(last uint64) error {
	return s.appendSkip(last, s.line.wallNow().UnixNano())
}

func (s *stream) appendSkip(last uint64, at int64) error {
	rec := s.record(opSkip, false)
	rec.Reaches = min(last, asset.MaxSeq)
	return s.bring(&rec, nil, msgp.AppendInt64(msgp.AppendUint64(nil, last), at))
}

// position is where the fetching from one source stands.
type position struct {
	// seq is the newest sequence that was taken. A mirror's is its own last one, and
	// this is what it owes up to: see owe.
	seq      uint64
	identity string // of the stream it was taken from, "" for not known
	lost     api.LostInfo
}

// position is that of a source; for a mirror, "", the sequence is that of the
// newest message that it has. fresh says that nothing was ever taken.
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
