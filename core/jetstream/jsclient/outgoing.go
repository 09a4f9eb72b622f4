package jsclient

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// Outgoing is a message to publish. It is copied before Publish returns.
type Outgoing struct {
	Subject string
	Header  []byte // a block as it is on the wire ("NATS/1.0"), of the sender's own; nil without
	Data    []byte
	// MsgID, unless "", is by what a stream knows the message when it is sent
	// again, within its duplicate window. 1,024 bytes at most.
	MsgID string
	// TTL is how long the message lives, in whole seconds: what is between is
	// rounded up. The stream must allow it. 0 is as long as others.
	TTL time.Duration
	// Stream, unless "", is the only stream that may store it.
	Stream string
	// Last is the sequence that the stream must end with, LastOnSubject the one
	// that is the newest on the subject of the message.
	Last, LastOnSubject Expected
}

// Expected is a sequence that must be the newest one; the zero value is any.
type Expected struct {
	set bool
	seq uint64
}

// ExpectSeq expects a sequence; 0 is that there is none.
func ExpectSeq(seq uint64) Expected { return Expected{true, seq} }

const (
	hdrMsgID       = "Nats-Msg-Id"
	hdrTTL         = "Nats-TTL"
	hdrExpStream   = "Nats-Expected-Stream"
	hdrExpLast     = "Nats-Expected-Last-Sequence"
	hdrExpLastSubj = "Nats-Expected-Last-Subject-Sequence"
)

// check refuses what can't be sent. A request to a server is none to publish: the
// subject may come from anyone.
func (m *Outgoing) check() error {
	switch {
	case !subject.ValidLiteral(m.Subject):
		return fmt.Errorf("%w: subject %q", ErrBadMessage, m.Subject)
	case consumer.Reserved(m.Subject):
		return fmt.Errorf("%w: %q is a request to a server", ErrBadMessage, m.Subject)
	case m.Header != nil && !(bytes.HasPrefix(m.Header, []byte("NATS/1.0\r\n")) && bytes.HasSuffix(m.Header, []byte("\r\n\r\n"))):
		return fmt.Errorf("%w: its header is no block", ErrBadMessage)
	case strings.ContainsAny(m.MsgID, "\r\n") || strings.ContainsAny(m.Stream, "\r\n"):
		return fmt.Errorf("%w: a line break in a header", ErrBadMessage)
	case m.TTL < 0:
		return fmt.Errorf("%w: it lives for %v", ErrBadMessage, m.TTL)
	}
	return nil
}

// appendHeader appends the whole block; nothing when there is none.
func (m *Outgoing) appendHeader(b []byte) []byte {
	if m.MsgID == "" && m.TTL == 0 && m.Stream == "" && !m.Last.set && !m.LastOnSubject.set {
		return append(b, m.Header...)
	}
	if m.Header != nil {
		b = append(b, m.Header[:len(m.Header)-2]...)
	} else {
		b = append(b, "NATS/1.0\r\n"...)
	}
	if m.MsgID != "" {
		b = wire.AppendHeader(b, hdrMsgID, m.MsgID)
	}
	if m.Stream != "" {
		b = wire.AppendHeader(b, hdrExpStream, m.Stream)
	}
	if m.TTL > 0 {
		b = appendNumber(b, hdrTTL, uint64((m.TTL+time.Second-1)/time.Second), "s")
	}
	if m.Last.set {
		b = appendNumber(b, hdrExpLast, m.Last.seq, "")
	}
	if m.LastOnSubject.set {
		b = appendNumber(b, hdrExpLastSubj, m.LastOnSubject.seq, "")
	}
	return append(b, "\r\n"...)
}

func appendNumber(b []byte, name string, n uint64, unit string) []byte {
	b = append(append(b, name...), ": "...)
	b = append(strconv.AppendUint(b, n, 10), unit...)
	return append(b, "\r\n"...)
}
