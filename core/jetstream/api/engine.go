package api

import (
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// Account is one tenant's streams, as the engine has them. All that is here of
// an engine may be called by several goroutines at once; what changes something
// returns when that is durable.
type Account interface {
	Name() string
	Counts() *Counts
	Usage() Usage
	// HasInterest reports whether anybody would get an event on the subject.
	HasInterest(subject string) bool
	// Event publishes something that happened; it does not wait.
	Event(subject string, body []byte)
	// Answers reports whether this server answers requests about the stream of a
	// name, or about the account if there is none: who leads does.
	Answers(stream string) bool
	// Streams lists, by name, the streams that capture something of the subject;
	// "" is all. Offline are those that could not be opened, with the reasons.
	Streams(subject string) []Stream
	Offline(subject string) map[string]string
	// Stream finds the one of that name; the error says why there is none.
	Stream(name string) (Stream, *apierror.Error)
	// CreateStream makes a stream, or finds the one that is exactly that. cfg is
	// as it came: the engine checks a copy.
	CreateStream(cfg *asset.StreamConfig, pedantic bool) (Stream, *apierror.Error)
	// UpdateStream gives a stream another configuration, which was checked.
	UpdateStream(cfg *asset.StreamConfig) (Stream, *apierror.Error)
	DeleteStream(name string) *apierror.Error
}

// Usage is what an account has, and what it may have: 0 is no limit.
type Usage struct {
	Memory, Storage                 uint64 // bytes of messages
	ReservedMemory, ReservedStorage uint64 // bytes that streams may grow to
	Streams, Consumers              int
	MaxMemory, MaxStorage           int64 // -1 for no limit
	MaxStreams, MaxConsumers        int   // same
}

// Stream is a stream at work.
type Stream interface {
	Name() string
	Config() *asset.StreamConfig // which must not be changed
	// Settle lets the consumers' acknowledgements that are on their way take
	// effect.
	Settle()
	// Unsettled reports whether Settle would wait for the disk: there are some.
	Unsettled() bool
	// Info is without the domain and the server, which the API knows.
	Info() *StreamInfo
	// Deleted lists at most limit sequences that are missing between others.
	Deleted(limit int) []uint64
	// Subjects goes through one page of the subjects that match, and returns how
	// many match.
	Subjects(filter string, offset, limit int, f func(subject string, msgs uint64)) int
	// Identity tells the stream from another one of its name.
	Identity() string
	Purge(filter string, seq, keep uint64) (purged uint64, err *apierror.Error)
	DeleteMsg(seq uint64) *apierror.Error
	// Get loads the one message that a request selects. Its time is the one that
	// is shown.
	Get(g *GetRequest) (edgestore.Msg, *apierror.Error)
	Consumers() []Consumer // by name
	Consumer(name string) (Consumer, *apierror.Error)
	// UpsertConsumer creates or updates a consumer, or finds that it is there just
	// so. The engine checks a copy of the configuration.
	UpsertConsumer(req *ConsumerCreate) (Consumer, *apierror.Error)
}

// Consumer is a consumer at work.
type Consumer interface {
	Name() string
	// Info lets the consumer take over what came in, and tells where it stands.
	Info() *ConsumerInfo
	Delete() *apierror.Error
	// Pause stops it until then, and says how long that is; the zero time lets it
	// go on.
	Pause(until time.Time) (left time.Duration, err *apierror.Error)
	// Unpin lets another client of a pinned consumer have its turn.
	Unpin(group string) *apierror.Error
}

// Outlet is one goroutine's way of sending into accounts.
type Outlet interface {
	// Send publishes m into an account, if it has JetStream still. m is borrowed,
	// and says afterwards whether it was unfit.
	Send(a Account, m *wire.Msg)
	// Flush wakes whoever was sent something to since the last Flush.
	Flush()
}

// ConsumerCreate is a request for a consumer.
type ConsumerCreate struct {
	Config   *consumer.Config
	Action   Action
	Pedantic bool
}
