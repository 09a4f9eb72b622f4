package jetstream

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

var ackReply = []byte("$JS.ACK.")

// hop writes into the header of a message that the stream captures that it
// was taken over once more (sourcing.Hops), if it was: it is the delivery of a consumer, or
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
	n := sourcing.Hops(header)
	if n >= sourcing.MaxHops {
		s.e.loops.drop(s, from)
		return nil, errStoreFailed.With("the message was taken over from one stream by another %d times: they feed each other", sourcing.MaxHops)
	}
	if header = wire.HeaderSet(nil, header, sourcing.HdrHops, strconv.Itoa(n+1)); len(header) > maxHeaderBytes {
		return nil, errHeaderTooLarge
	}
	return header, nil
}

// Looped is part of origins.Stream.
func (s *stream) Looped(origin string) { s.e.loops.drop(s, origin) }

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
			"account", s.acct.name, "stream", s.name, "from", from, "times", sourcing.MaxHops, "dropped", n)
	}
}

const loopSilence = 10 * time.Second
