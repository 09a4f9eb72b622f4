package jetstream

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

// A loop that no single server sees, such as two streams of two domains that
// source each other, is ended by a count in the message itself: how often a
// stream took it over from another one. It is written where a source stores a
// message that came by a source before, and where a stream captures what a
// consumer delivers or another stream republishes. Mirrors store what their
// origin has. Stock servers carry the header along.

const (
	hdrHops = "Frond-Hops"
	// maxHops is how often a message is taken over.
	maxHops = 16
)

// hopsOf is how often a message was taken over already.
func hopsOf(header []byte) int {
	if len(header) == 0 {
		return 0
	}
	if v := wire.HeaderGet(header, hdrHops); v != nil {
		n, err := strconv.Atoi(string(v))
		if err != nil || n < 0 || n > maxHops {
			return maxHops // what can't be read must not run for ever
		}
		return n
	}
	if wire.HeaderGet(header, hdrStreamSource) != nil {
		return 1 // the first time costs no header of its own
	}
	return 0
}

var ackReply = []byte("$JS.ACK.")

// hop writes into the header of a message that the stream captures that it
// was taken over once more, if it was: it is the delivery of a consumer, or
// another stream republished it.
func (s *stream) hop(m *wire.Msg, header []byte, republished bool) ([]byte, *apierror.Error) {
	from := ""
	switch {
	case bytes.HasPrefix(m.Reply, ackReply):
		a, ok := consumer.ParseAckSubject(m.Reply)
		if !ok {
			return header, nil
		}
		from = string(a.Stream)
	case republished:
		from = string(wire.HeaderGet(header, hdrStream))
	default:
		return header, nil
	}
	n := hopsOf(header)
	if n >= maxHops {
		s.e.loops.drop(s, from)
		return nil, errStoreFailed.With("the message was taken over from one stream by another %d times: they feed each other", maxHops)
	}
	if header = wire.HeaderSet(nil, header, hdrHops, strconv.Itoa(n+1)); len(header) > maxHeaderBytes {
		return nil, errHeaderTooLarge
	}
	return header, nil
}

// loops counts what was dropped because it came round too often.
type loops struct {
	dropped atomic.Uint64
	said    atomic.Int64
}

// drop counts one and tells it, once in a while.
func (l *loops) drop(s *stream, from string) {
	n := l.dropped.Add(1)
	now := s.e.now()
	if last := l.said.Load(); now-last > int64(loopSilence) && l.said.CompareAndSwap(last, now) {
		s.e.logger.Warn("message dropped: streams feed each other, it was taken over too often",
			"account", s.acct.name, "stream", s.name, "from", from, "times", maxHops, "dropped", n)
	}
}

const loopSilence = 10 * time.Second
