package origins

import (
	"log/slog"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// Stream is a stream that fetches, as the engine has it. Its methods are called
// by several goroutines, by those that route messages too. Those that append to
// its log do not wait for the disk, and an error means that nothing was appended.
// A source of "" is the mirror.
type Stream interface {
	Name() string
	Account() string
	Config() *asset.StreamConfig // which must not be changed
	// Position is where a source stands; for a mirror the sequence is the
	// stream's own last. fresh says that nothing was ever taken.
	Position(source string) (at Position, fresh bool)
	// Take appends a message. One at or below the position is known: what is
	// brought twice does no harm. One behind a message that was refused is refused
	// too, so nothing is left out. m is borrowed; w may be nil.
	Take(m *Message, w Waiter) error
	// PassOver books a message of the origin as lost that can't come, and why.
	// after is as in Message.
	PassOver(source string, seq, after uint64, why string, w Waiter) error
	// Skip says that the mirrored stream has nothing up to last, so that the mirror
	// has a gap there. Nobody waits for it.
	Skip(last uint64) error
	// NoteOrigin writes down which stream is fetched from, in the order of the
	// messages; w may be nil.
	NoteOrigin(source string, o *sourcing.Origin, w Waiter) error
	// StartOver puts an empty stream in the place of a mirror, some time later.
	StartOver()
	// Looped counts a message that came round too often, and tells it.
	Looped(origin string)
}

// Position is where the fetching from one source stands.
type Position struct {
	Seq      uint64 // newest sequence that was taken
	Identity string // of the stream it was taken from, "" for not known
	Lost     api.LostInfo
}

// Message is one message of an origin. A mirror keeps Seq and At; else the
// message gets the stream's next sequence and the time of now, and Seq is
// remembered as the source's position. The stream's subject transform is not
// applied yet.
type Message struct {
	Source  string
	Seq     uint64
	At      int64  // nanoseconds since 1970
	After   uint64 // sequence of the message that was brought before it
	Subject []byte
	Header  []byte // as it is to be stored
	Body    []byte
	// Loop: it came round too often, and is only to be counted as taken.
	Loop bool
}

// Waiter is told, once, what became of what was brought: when it is durable and
// applied, or it is unknown whether it will be. seq is the message's at its
// origin, 0 where there is none. Told is called on the goroutine that applies, in
// the order of the appends, and must not block.
type Waiter interface {
	Told(seq uint64, o Outcome)
}

// Outcome is what became of it.
type Outcome struct {
	Seq   uint64 // stored as, or of the message that is there already
	Known bool   // it was there already
	Err   *apierror.Error
}

// Bus is an account, as far as fetching needs it: see jetstream.Bus.
type Bus interface {
	SubscribeFrom(domain, subject string, h func(m *wire.Msg)) (unsubscribe func(), err error)
	WatchInterest(subject string, f func(present bool)) (cancel func())
	HalfReadAt() time.Time
}

// Outlet is one goroutine's way of sending into accounts.
type Outlet interface {
	// Into gives a way into the stream's account, nil while it has no bus.
	Into(s Stream) Publisher
	// Flush wakes whoever was sent something to since the last Flush.
	Flush()
}

// Publisher sends a message, which is borrowed, and tells how many took it.
type Publisher interface{ Publish(m *wire.Msg) int }

// Options are what the engine gives. They never change.
type Options struct {
	Domain string // of this server, "" for none
	// Now is the time of deadlines, in nanoseconds, and Clock what the readings of
	// Bus.HalfReadAt are of.
	Now    func() int64
	Clock  func() time.Time
	Random func(n int) int    // a number in [0, n)
	Token  func(n int) string // a random name of n characters
	Outlet func() Outlet      // for the goroutine that asks
	Logger *slog.Logger
}
