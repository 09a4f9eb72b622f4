package jetstream

import (
	"errors"
	"strconv"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// pending waits for one operation to be applied. It is the Token of the
// operation's entry.
type pending struct {
	done    chan struct{}
	outcome outcome
}

// submit appends an operation and waits until it was applied, which is after
// it became durable.
func (e *Engine) submit(log Log, rec edgestore.Record, reserved bool, data []byte) (*pending, *apierror.Error) {
	p := &pending{done: make(chan struct{})}
	if err := e.append(log, reserved, &rec, nil, p, data); err != nil {
		return nil, appendError(err)
	}
	select {
	case <-p.done:
		return p, p.outcome.err
	case <-e.quit:
		// It may still be applied: the requester learns it when it asks again.
		return nil, errNotAvailable
	}
}

// submit is Engine.submit for an operation of the stream, which a stream that has
// stopped does not take.
func (s *stream) submit(kind uint8, reserved bool, data []byte) (*pending, *apierror.Error) {
	if err := s.stopped.Load(); err != nil {
		return nil, err
	}
	return s.e.submit(s.log(), s.record(kind, false), reserved, data)
}

// reserver is a Log that keeps room for operations which must work on a full
// disk: those that free space.
type reserver interface {
	AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error)
}

func (e *Engine) append(log Log, reserved bool, r *edgestore.Record, side []byte, token any, data ...[]byte) error {
	var err error
	if l, ok := log.(reserver); ok && reserved {
		_, err = l.AppendReserved(r, side, token, data...)
	} else {
		_, err = log.Append(r, side, token, data...)
	}
	if err != nil {
		e.drain.kick()
		if errors.Is(err, edgestore.ErrDiskFull) {
			if text := e.cfg.guard.text(); text != "" {
				return &fullError{text}
			}
		}
		return err
	}
	log.Kick()
	return nil
}

// appendLazy appends what nobody waits for, or only the token's. It reports
// whether the log took it. Without a token the disk is left in peace for a
// moment: see lazyCommit.
func (e *Engine) appendLazy(log Log, r *edgestore.Record, token any, data ...[]byte) bool {
	var err error
	if l, ok := log.(reserver); ok {
		_, err = l.AppendReserved(r, nil, token, data...)
	} else {
		_, err = log.Append(r, nil, token, data...)
	}
	if err != nil {
		e.drain.kick()
		return false
	}
	if _, quiet := token.(counted); token != nil && !quiet || log != Log(e.journal) {
		log.Kick()
	} else {
		poke(e.clock.lazy)
	}
	return true
}

// counted is the Token of an operation that nobody waits for, and that this server
// counts until it comes back.
type counted struct{}

// tell lets everybody know who waits for the entry. What is unknown is told to
// whoever can hear it: a request gets an error, a receipt wire.ErrUnknown, and a
// publisher or a consumer's client, which sends again, no answer. s is nil when there is no
// stream (any more). Its role changes on this goroutine only.
func (a *applier) tell(s *stream, en *edgestore.Entry, o *outcome) {
	switch t := en.Token.(type) {
	case nil, counted:
	case *pending:
		t.outcome = *o
		close(t.done)
	case *ackAnswers:
		if p := a.pubs.of(t.m.s.acct); p != nil && !o.unknown {
			for _, reply := range t.to {
				a.msg = wire.Msg{Subject: reply}
				p.Publish(&a.msg)
			}
		}
	case origins.Waiter:
		t.Told(broughtSeq(en), origins.Outcome{Seq: o.seq, Known: o.dup, Err: o.err})
	case wire.Receipt:
		switch {
		case o.unknown:
			t.Stored(a.nameOf(s), 0, false, wire.ErrUnknown)
		case o.err != nil:
			t.Stored(a.nameOf(s), 0, false, o.err)
		default:
			t.Stored(a.nameOf(s), o.seq, o.dup, nil)
		}
	}
	if s == nil || en.Kind != opPublish && en.Kind != opIngest && en.Kind != opMarker {
		return
	}
	v := s.view.Load()
	if len(en.Side) > 0 && !o.unknown {
		if p := a.pubs.of(s.acct); p != nil {
			if o.err != nil {
				a.buf = api.AppendNack(a.buf[:0], v.cfg.Name, o.err)
			} else {
				a.buf = api.AppendAck(a.buf[:0], v.ackPrefix, o.seq, o.dup)
			}
			a.msg = wire.Msg{Subject: en.Side, Body: a.buf}
			p.Publish(&a.msg)
		}
	}
	if v.republish != nil && s.role == leader && o.err == nil && !o.dup && !o.passed {
		a.republish(s, v, en, o)
	}
}

func (a *applier) nameOf(s *stream) string {
	if s == nil {
		return ""
	}
	return s.name
}

// republish sends a stored message on to where the stream's configuration
// says. It has no promise: nobody waits for it and it is not repeated.
func (a *applier) republish(s *stream, v *streamView, en *edgestore.Entry, o *outcome) {
	blob := en.Data
	at := s.line.wall(en.Stamp.Wall)
	switch en.Kind {
	case opMarker:
		var err error
		if _, _, blob, err = readMarker(en.Data); err != nil {
			return
		}
	case opIngest:
		from, _, rest, err := readOrigin(en.Data)
		if err != nil {
			return
		}
		if blob = rest; from.source == "" {
			at = from.at
		}
	default:
		if len(blob) == 0 {
			return // its answer was held when nothing was republished yet
		}
		blob = blob[1:]
	}
	subj, header, body, err := edgestore.ParseBlob(blob)
	if err != nil {
		return
	}
	to, ok := v.republish.Append(nil, subj, a.e.random)
	if !ok || len(to) == 0 || consumer.ReservedTarget(to) {
		return
	}
	h := appendOrigin(a.hdr[:0], header, s.name, string(subj), o.seq, at)
	h = wire.AppendHeader(h, hdrLastSequence, strconv.FormatUint(o.prev, 10))
	if v.cfg.Republish.HeadersOnly {
		h = wire.AppendHeader(h, hdrMsgSize, strconv.Itoa(len(body)))
		body = nil
	}
	h = append(h, crlf...)
	a.hdr = h
	if p := a.pubs.of(s.acct); p != nil {
		a.msg = wire.Msg{Subject: to, Header: h, Body: body}
		p.Publish(&a.msg)
	}
}

// appendOrigin begins a header block with what stands in header and where the
// message is stored. The block is left open.
func appendOrigin(b, header []byte, stream, subject string, seq uint64, at int64) []byte {
	if len(header) >= len(hdrPlain)+2 {
		b = append(b, header[:len(header)-2]...)
	} else {
		b = append(b, hdrPlain...)
	}
	b = wire.AppendHeader(b, hdrStream, stream)
	b = wire.AppendHeader(b, hdrSubject, subject)
	b = wire.AppendHeader(b, hdrSequence, strconv.FormatUint(seq, 10))
	return wire.AppendHeader(b, hdrTimeStamp, time.Unix(0, at).UTC().Format(time.RFC3339Nano))
}
