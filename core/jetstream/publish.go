package jetstream

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

const (
	maxHeaderBytes = 65535
	maxRecordBytes = 32 << 20 // of a message in a file
)

// publishScratch is what one publish needs while it is appended. Log is an
// interface, so everything given to it is on the heap: this is reused.
type publishScratch struct {
	rec   edgestore.Record
	head  []byte
	subj  []byte
	parts [4][]byte
}

// ingest is the way in of every message that a client publishes to the stream.
// It runs on the goroutine that routes the message: it only checks what
// operations in flight can not change, encodes, and appends. Everything else
// is decided when the operation is applied, and so is the answer. A publisher
// that is faster than the disk is held up here for a while.
func (s *stream) ingest(m *wire.Msg) {
	if m.Receipt != nil {
		m.Receipt.Expect()
	}
	for since := (time.Time{}); ; {
		v := s.view.Load()
		header, flags, refusal := s.admit(v, m)
		if refusal != nil {
			if refusal != errInsufficientResources || !s.answerKnown(v, m) {
				s.refuse(v, m, refusal)
			}
			return
		}
		err := error(edgestore.ErrBusy)
		switch {
		case flags&flagMsgID != 0 && s.idsFull.Load():
			err = errIDsFull
		case !m.Own && s.e.cfg.Short != nil && s.e.cfg.Short():
			err = errMemoryShort
		case m.Own || !s.acct.nearLimit(s.memory):
			err = s.append(v, m, header, flags)
		}
		if err == nil {
			return
		}
		room := &s.e.room
		if err == errIDsFull {
			room = &s.idRoom // other streams have a disk that takes theirs
		}
		if m.Own || !errors.Is(err, edgestore.ErrBusy) || !room.wait(&since, s.e) {
			if !s.leads() {
				s.refuseAsFollower(m)
				return
			}
			if !errors.Is(err, edgestore.ErrDiskFull) && err != errIDsFull || !s.answerKnown(v, m) {
				s.refuse(v, m, appendError(err))
			}
			return
		}
	}
}

// errIDsFull holds up and then refuses what comes with a message id.
var errIDsFull = fmt.Errorf("%w: memory holds as many message ids of the stream as it may, and the disk does not take them", edgestore.ErrBusy)

// errMemoryShort holds up and then refuses what comes while the process has no
// memory left.
var errMemoryShort = fmt.Errorf("%w: the server's memory is short", edgestore.ErrBusy)

// admit checks the message against what only an update of the stream changes.
// It returns the header as it is stored.
func (s *stream) admit(v *streamView, m *wire.Msg) (header []byte, flags uint8, err *apierror.Error) {
	if err := s.stopped.Load(); err != nil {
		return nil, 0, err
	}
	size := len(m.Header) + len(m.Body)
	switch {
	case v.cfg.Sealed:
		return nil, 0, apierror.ErrStreamSealed
	case v.maxMsg >= 0 && size > v.maxMsg:
		return nil, 0, apierror.ErrMessageTooLarge
	case !s.memory && size > maxRecordBytes:
		return nil, 0, errStoreFailed.With("message too large")
	}
	a := admitted{stored: m.Header}
	if len(m.Header) > 0 {
		if a, err = admitHeader(v.cfg, m.Header); err != nil {
			return nil, 0, err
		}
	}
	switch {
	case len(m.Header) > maxHeaderBytes:
		return nil, 0, errHeaderTooLarge
	case s.acct.overLimit(s.memory):
		return nil, 0, errInsufficientResources
	}
	header, flags = a.stored, a.flags
	if len(a.lives) > 0 {
		var f uint8
		if header, f, err = admitTTL(v.cfg, header, a.lives); err != nil {
			return nil, 0, err
		}
		flags |= f
	}
	// Where a message came from only streams say: of the server itself, or in
	// what was republished or delivered to this stream, on whichever server. (The
	// stock server takes none of these.)
	if a.sourced && !m.Own && flags&flagRepublished == 0 && !bytes.HasPrefix(m.Reply, ackReply) {
		return nil, 0, errSourceHeader
	}
	if flags&flagRepublished != 0 || len(m.Reply) > len(ackReply) && m.Reply[0] == '$' {
		header, err = s.hop(m, header, flags&flagRepublished != 0)
	}
	return header, flags &^ flagRepublished, err
}

// append encodes the publish operation and gives it to the log.
func (s *stream) append(v *streamView, m *wire.Msg, header []byte, flags uint8) error {
	p := s.e.scratch.Get().(*publishScratch)
	subj := m.Subject
	if v.transform != nil {
		if b, ok := v.transform.Append(p.subj[:0], subj, s.e.random); ok && len(b) > 0 {
			p.subj, subj = b, b
		}
	}
	p.rec = s.record(opPublish, true)
	p.head = append(p.head[:0], flags)
	p.head = edgestore.AppendBlobHead(p.head, len(subj), len(header))
	p.parts = [4][]byte{p.head, subj, header, m.Body}
	side := m.Reply
	token := any(counted{})
	if m.Receipt != nil {
		token = m.Receipt
	}
	if v.cfg.NoAck || m.Receipt != nil {
		side = nil
	}
	size := int64(len(p.head) + len(subj) + len(header) + len(m.Body))
	coming := &s.e.coming[usageIndex(s.memory)]
	coming.Add(size)
	err := s.e.append(s.log(), false, &p.rec, side, token, p.parts[:]...)
	if err != nil {
		coming.Add(-size)
	}
	p.parts = [4][]byte{}
	s.e.scratch.Put(p)
	return err
}

// answerKnown answers a message for which there is no room when it is stored
// already, and reports whether it did: it needs none, and whoever sends it again
// must not go on doing so until there is some. One whose first sending is still
// on its way is not known yet.
func (s *stream) answerKnown(v *streamView, m *wire.Msg) bool {
	a, refusal := admitHeader(v.cfg, m.Header)
	if refusal != nil || a.flags&(flagMsgID|flagExpect) != flagMsgID {
		return false
	}
	s.mu.RLock()
	id := wire.HeaderGet(m.Header, hdrMsgID)
	seq, known, older := s.dedup.recent(id)
	older.runs = slices.Clone(older.runs)
	s.mu.RUnlock()
	if !known {
		var err error
		if seq, known, err = older.find(id); err != nil || !known {
			return false
		}
	}
	switch {
	case m.Receipt != nil:
		m.Receipt.Stored(s.name, seq, true, nil)
	case len(m.Reply) > 0 && !v.cfg.NoAck:
		s.e.out.send(s.acct, string(m.Reply), nil, api.AppendAck(nil, v.ackPrefix, seq, true))
	}
	return true
}

// refuseAsFollower is for a message that came while the stream leaves the bus: the
// server that leads now answers whoever sent it, if it has it too.
func (s *stream) refuseAsFollower(m *wire.Msg) {
	if m.Receipt != nil {
		m.Receipt.Stored(s.name, 0, false, errNotAvailable)
	}
}

// refuse answers a message that was not appended.
func (s *stream) refuse(v *streamView, m *wire.Msg, err *apierror.Error) {
	if m.Receipt != nil {
		m.Receipt.Stored(s.name, 0, false, err)
		return
	}
	if len(m.Reply) == 0 || v.cfg.NoAck {
		return
	}
	var header []byte
	if err == errTooManyRequests {
		header = wire.AppendStatus(nil, 429, "Too Many Requests")
	}
	s.e.out.send(s.acct, string(m.Reply), header, api.AppendNack(nil, v.cfg.Name, err))
}
