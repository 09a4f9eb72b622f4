package jetstream

import (
	"bytes"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
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
	hdrStream                  = "Nats-Stream"
	hdrSubject                 = "Nats-Subject"
	hdrSequence                = "Nats-Sequence"
	hdrTimeStamp               = "Nats-Time-Stamp"
	hdrLastSequence            = "Nats-Last-Sequence"
	hdrNumPending              = "Nats-Num-Pending"
	hdrUpToSequence            = "Nats-UpTo-Sequence"
	hdrMsgSize                 = "Nats-Msg-Size"
	hdrStreamSource            = sourcing.HdrSource
)

// headerKind is one that means something to a stream when it takes a message.
type headerKind uint8

const (
	headerNone headerKind = iota
	headerMsgID
	headerExpectedStream
	headerExpectedLastSeq
	headerExpectedLastSubjSeq
	headerExpectedLastSubjSeqSubj
	headerExpectedLastMsgID
	headerRollup
	headerLastSequence
	headerTTL
	headerIncr
	headerBatchID
	headerSchedule
	headerRequestInfo
	headerStreamSource
)

func headerNamed(name []byte) headerKind {
	switch string(name) {
	case hdrMsgID:
		return headerMsgID
	case hdrExpectedStream:
		return headerExpectedStream
	case hdrExpectedLastSeq:
		return headerExpectedLastSeq
	case hdrExpectedLastSubjSeq:
		return headerExpectedLastSubjSeq
	case hdrExpectedLastSubjSeqSubj:
		return headerExpectedLastSubjSeqSubj
	case hdrExpectedLastMsgID:
		return headerExpectedLastMsgID
	case hdrRollup:
		return headerRollup
	case hdrLastSequence:
		return headerLastSequence
	case hdrTTL:
		return headerTTL
	case hdrIncr:
		return headerIncr
	case hdrBatchID:
		return headerBatchID
	case hdrSchedule:
		return headerSchedule
	case hdrRequestInfo:
		return headerRequestInfo
	case hdrStreamSource:
		return headerStreamSource
	}
	return headerNone
}

// headers goes once through a header block for what means something to a
// stream. Almost no message has any, so they are searched by their common
// prefix. Of several with one name the first counts, as wherever a header is
// looked up (wire.HeaderGet); what has no value counts as if it were not there.
type headers struct {
	rest []byte
	seen uint32 // a bit for each header
}

func (h *headers) next() (which headerKind, value []byte) {
	for {
		i := bytes.Index(h.rest, natsHeader)
		if i < 0 {
			return headerNone, nil
		}
		h.rest = h.rest[i+2:]
		name, value, ok := cutHeader(h.rest)
		if !ok {
			continue
		}
		if which = headerNamed(name); which != headerNone && h.seen&(1<<which) == 0 {
			h.seen |= 1 << which
			return which, value
		}
	}
}

// cutHeader splits the header line that b begins with. Only spaces in front of
// a value do not belong to it.
func cutHeader(b []byte) (name, value []byte, ok bool) {
	if i := bytes.Index(b, crlf); i >= 0 {
		b = b[:i]
	}
	i := bytes.IndexByte(b, ':')
	if i < 0 {
		return nil, nil, false
	}
	return b[:i], bytes.TrimLeft(b[i+1:], " "), true
}

var (
	crlf       = []byte("\r\n")
	natsHeader = []byte("\r\nNats-")
	hdrPlain   = []byte("NATS/1.0\r\n")
)

// admitHeader looks at the headers that mean something to a stream: flags for
// what is decided when the message is applied, the TTL, and what has to be
// changed in the stored block.
func admitHeader(cfg *asset.StreamConfig, block []byte) (a admitted, err *apierror.Error) {
	a.stored = block
	var incr, stream, batch, schedule []byte
	strip, long := false, false
	for h := (headers{rest: block}); ; {
		which, value := h.next()
		if which == headerNone {
			break
		}
		switch which {
		case headerLastSequence:
			a.flags |= flagRepublished
			continue
		case headerRequestInfo:
			strip = true
			continue
		}
		if len(value) == 0 {
			continue
		}
		switch which {
		case headerMsgID:
			a.flags |= flagMsgID
			long = len(value) > maxMsgID
		case headerExpectedStream:
			stream = value
		case headerExpectedLastSeq, headerExpectedLastSubjSeq, headerExpectedLastSubjSeqSubj, headerExpectedLastMsgID:
			a.flags |= flagExpect
		case headerRollup:
			a.flags |= flagRollup
		case headerTTL:
			a.lives = value
		case headerIncr:
			incr = value
		case headerBatchID:
			batch = value
		case headerSchedule:
			schedule = value
		case headerStreamSource:
			a.sourced = true
		}
	}
	// Of several faults the one is told that the stock server tells.
	switch {
	case long: // nothing that a stock server refuses
		return a, errMsgIDTooLong
	case batch != nil:
		return a, errAtomicDisabled
	case incr != nil && !isInteger(incr):
		return a, errCounterInvalid
	case incr != nil:
		return a, errCounterDisabled
	case stream != nil && string(stream) != cfg.Name:
		return a, errStreamNotMatch
	case !cfg.AllowMsgTTL && isTTL(a.lives):
		return a, errTTLDisabled
	case schedule != nil:
		return a, errSchedulesDisabled
	}
	if strip {
		a.stored = wire.HeaderDelete(nil, a.stored, hdrRequestInfo)
	}
	a.stored = withoutStatus(a.stored)
	return a, nil
}

// admitted is what admitHeader found.
type admitted struct {
	stored []byte // the header block as it is stored
	flags  uint8
	lives  []byte // the value of Nats-TTL
	// sourced: the message says that a stream got it from another one.
	sourced bool
}

// withoutStatus is the header block without a status, which is the publisher's
// and not the stored message's. What is no header block stays as it is.
func withoutStatus(block []byte) []byte {
	line := hdrPlain[:len(hdrPlain)-len(crlf)]
	if !bytes.HasPrefix(block, line) || bytes.HasPrefix(block, hdrPlain) {
		return block
	}
	i := bytes.Index(block, crlf)
	if i < 0 {
		return block
	}
	rest := block[i+len(crlf):]
	if string(rest) == string(crlf) {
		return nil
	}
	return append(append(make([]byte, 0, len(hdrPlain)+len(rest)), hdrPlain...), rest...)
}

// isInteger reports whether v is a decimal number of any size.
func isInteger(v []byte) bool {
	if v[0] == '+' || v[0] == '-' {
		v = v[1:]
	}
	return len(v) > 0 && len(bytes.Trim(v, "0123456789")) == 0
}
