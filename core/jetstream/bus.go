package jetstream

import (
	"time"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// Bus is one account as JetStream sees it. The server adapts its accounts to
// it; tests have a small one of their own.
type Bus interface {
	Account() string
	// Publisher gives a way to publish for one goroutine. Several goroutines
	// take several publishers.
	Publisher() Publisher
	// Subscribe adds interest. h runs on whichever goroutine routes the
	// message and must not block, except that a stream holds up a publisher
	// other than the server while its disk is behind. m is borrowed. A
	// non-empty queue joins that queue group. The returned function takes the interest away; h may still
	// run once while it does.
	Subscribe(subject, queue string, h func(m *wire.Msg)) (unsubscribe func(), err error)
	// SubscribeFrom is Subscribe to what comes from the server of a JetStream
	// domain only, "" for anywhere.
	SubscribeFrom(domain, subject string, h func(m *wire.Msg)) (unsubscribe func(), err error)
	// HasInterest reports whether a message on the literal subject would reach
	// anyone now, over links too.
	HasInterest(subject string) bool
	// WatchInterest calls f when interest in the literal subject appears
	// (true) and when the last of it goes (false), and once at the start with
	// the present state. f must not block nor call back.
	WatchInterest(subject string, f func(present bool)) (cancel func())
	// HalfReadAt is when bytes last came over a link of the account of a
	// message that takes long and is not whole yet; zero for never. What waits
	// for something behind that message has no reason to give up.
	HalfReadAt() time.Time
}

// Publisher sends messages into an account. It is not safe for use by two
// goroutines at once.
type Publisher interface {
	// Publish routes m and returns how many sinks took it. m is borrowed.
	Publish(m *wire.Msg) int
	// Flush wakes the writers of everyone published to since the last Flush.
	Flush()
}

// Log makes operations durable, in order. The journal is one; memory streams
// use one that applies at once; a replicated group will be a third. The engine
// does not know which.
//
// An operation that Append took comes back exactly once, with its token. It comes
// to apply when it is in the log for good, in the order of the log; what applying
// decides is the outcome, a refusal too. When nobody here will know whether it
// is, since the log was closed or another server leads now, it comes to lost
// (applier.lost): whoever waits is told that. Both are called by one goroutine.
type Log interface {
	// Append adds one operation, the concatenation of data, and returns its
	// position. The slices are copied. side and token come back with the
	// entry, from memory only. It does not wait for the disk; errors are
	// edgestore.ErrBusy, ErrDiskFull or ErrClosed, and mean that nothing was
	// appended.
	Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error)
	// Kick starts a commit of what was appended, if none is under way.
	Kick()
}
