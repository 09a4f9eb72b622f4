package jetstream

import (
	"bytes"
	"errors"
	"time"

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
			s.refuse(v, m, refusal)
			return
		}
		err := error(edgestore.ErrBusy)
		if m.Own || !s.e.nearLimit(s.memory) {
			err = s.append(v, m, header, flags)
		}
		if err == nil {
			return
		}
		if m.Own || !errors.Is(err, edgestore.ErrBusy) || !s.e.room.wait(&since, s.e) {
			s.refuse(v, m, appendError(err))
			return
		}
	}
}

// admit checks the message against what only an update of the stream changes.
// It returns the header as it is stored.
func (s *stream) admit(v *streamView, m *wire.Msg) (header []byte, flags uint8, err *APIError) {
	header = m.Header
	size := len(header) + len(m.Body)
	switch {
	case v.cfg.Sealed:
		return nil, 0, errStreamSealed
	case v.maxMsg >= 0 && size > v.maxMsg:
		return nil, 0, errMessageTooLarge
	case !s.memory && size > maxRecordBytes:
		return nil, 0, errStoreFailed.with("message too large")
	case len(header) > maxHeaderBytes:
		return nil, 0, errHeaderTooLarge
	case s.e.overLimit(s.memory):
		s.e.tellLimit(s.memory)
		return nil, 0, errInsufficientResources
	}
	if len(header) > 0 {
		if header, flags, err = admitHeader(v.cfg, header); err != nil {
			return nil, 0, err
		}
	}
	if flags&flagRepublished != 0 || len(m.Reply) > len(ackReply) && m.Reply[0] == '$' {
		header, err = s.hop(m, header, flags&flagRepublished != 0)
	}
	return header, flags &^ flagRepublished, err
}

// admitHeader looks at the headers that mean something to a stream. Almost no
// message has one, so they are searched in one pass by their common prefix.
func admitHeader(cfg *StreamConfig, header []byte) (stored []byte, flags uint8, err *APIError) {
	stored = header
	strip := false
	var lives []byte
	hasTTL := false
	for rest := header; ; {
		i := bytes.Index(rest, natsHeader)
		if i < 0 {
			break
		}
		line := rest[i+2:]
		rest = line
		key, value, ok := cutHeader(line)
		if !ok {
			continue
		}
		switch string(key) {
		case hdrMsgID:
			if len(value) > 0 {
				flags |= flagMsgID
			}
		case hdrExpectedStream:
			if string(value) != cfg.Name {
				return nil, 0, errStreamNotMatch
			}
		case hdrExpectedLastSeq, hdrExpectedLastSubjSeq, hdrExpectedLastSubjSeqSubj, hdrExpectedLastMsgID:
			flags |= flagExpect
		case hdrRollup:
			flags |= flagRollup
		case hdrLastSequence:
			flags |= flagRepublished
		case hdrTTL:
			lives, hasTTL = value, true
		case hdrIncr:
			return nil, 0, errCounterDisabled
		case hdrBatchID:
			return nil, 0, errAtomicDisabled
		case hdrSchedule:
			return nil, 0, errSchedulesDisabled
		case hdrRequestInfo:
			strip = true
		}
	}
	if hasTTL {
		var f uint8
		if stored, f, err = admitTTL(cfg, stored, lives); err != nil {
			return nil, 0, err
		}
		flags |= f
	}
	if strip {
		stored = wire.HeaderDelete(nil, stored, hdrRequestInfo)
	}
	if len(stored) > len(hdrPlain) && !bytes.HasPrefix(stored, hdrPlain) {
		// A status of the publisher's is not the stored message's.
		if i := bytes.Index(stored, crlf); i > 0 {
			stored = append(append([]byte(nil), hdrPlain...), stored[i+2:]...)
		}
	}
	return stored, flags, nil
}

var (
	crlf       = []byte("\r\n")
	natsHeader = []byte("\r\nNats-")
	hdrPlain   = []byte("NATS/1.0\r\n")
)

// The headers of the JetStream protocol.
const (
	hdrMsgID                   = "Nats-Msg-Id"
	hdrExpectedStream          = "Nats-Expected-Stream"
	hdrExpectedLastSeq         = "Nats-Expected-Last-Sequence"
	hdrExpectedLastSubjSeq     = "Nats-Expected-Last-Subject-Sequence"
	hdrExpectedLastSubjSeqSubj = "Nats-Expected-Last-Subject-Sequence-Subject"
	hdrExpectedLastMsgID       = "Nats-Expected-Last-Msg-Id"
	hdrRollup                  = "Nats-Rollup"
	hdrTTL                     = "Nats-TTL"
	hdrMarkerReason            = "Nats-Marker-Reason"
	hdrKVOperation             = "KV-Operation"
	hdrIncr                    = "Nats-Incr"
	hdrBatchID                 = "Nats-Batch-Id"
	hdrSchedule                = "Nats-Schedule"
	hdrRequestInfo             = "Nats-Request-Info"
	hdrRequiredLevel           = "Nats-Required-Api-Level"
	hdrStream                  = "Nats-Stream"
	hdrSubject                 = "Nats-Subject"
	hdrSequence                = "Nats-Sequence"
	hdrTimeStamp               = "Nats-Time-Stamp"
	hdrLastSequence            = "Nats-Last-Sequence"
	hdrNumPending              = "Nats-Num-Pending"
	hdrUpToSequence            = "Nats-UpTo-Sequence"
	hdrMsgSize                 = "Nats-Msg-Size"
)

// cutHeader splits the header line that line begins with.
func cutHeader(line []byte) (key, value []byte, ok bool) {
	if i := bytes.IndexByte(line, '\r'); i >= 0 {
		line = line[:i]
	}
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil, nil, false
	}
	return line[:i], bytes.TrimSpace(line[i+1:]), true
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
	var token any
	if m.Receipt != nil {
		token = m.Receipt
	}
	if v.cfg.NoAck || token != nil {
		side = nil
	}
	size := int64(len(p.head) + len(subj) + len(header) + len(m.Body))
	coming := &s.e.coming[usageIndex(s.memory)]
	coming.Add(size)
	err := s.e.append(s.log, false, &p.rec, side, token, p.parts[:]...)
	if err != nil {
		coming.Add(-size)
	}
	p.parts = [4][]byte{}
	s.e.scratch.Put(p)
	return err
}

// refuse answers a message that was not appended.
func (s *stream) refuse(v *streamView, m *wire.Msg, err *APIError) {
	if m.Receipt != nil {
		m.Receipt.Stored(s.name, 0, err)
		return
	}
	if len(m.Reply) == 0 || v.cfg.NoAck {
		return
	}
	var header []byte
	if err == errTooManyRequests {
		header = wire.AppendStatus(nil, 429, "Too Many Requests")
	}
	s.e.out.send(s.acct, string(m.Reply), header, appendNack(nil, v, err))
}
