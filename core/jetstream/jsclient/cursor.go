package jsclient

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

// CursorOptions say which messages a Cursor walks along; the zero value is all of
// the stream. Of Seq, Time, New and LastPerSubject at most one is given.
type CursorOptions struct {
	Filters []string  // subjects or patterns; none is any
	Seq     uint64    // begins with this sequence
	Time    time.Time // begins with what was stored then or later
	// New begins with what is stored after the first call of Next.
	New bool
	// LastPerSubject begins with the newest message of each subject, in the order
	// of their sequences, and goes on with what comes. After a loss of the link it
	// may leave out messages that a newer one of the subject has followed.
	LastPerSubject bool
	// ToEnd ends the walk when nothing is left: Next gives io.EOF. Otherwise Next
	// waits for what comes.
	ToEnd       bool
	HeadersOnly bool
	// Max is how many messages are fetched ahead; 0 is 256. MaxBytes bounds how
	// large those of one request are together; 0 is 1 MB. Two requests may be on
	// their way; a larger message comes alone.
	Max, MaxBytes int
	// Heartbeat is how often the other side says that it is there; 0 is
	// DefaultHeartbeat.
	Heartbeat time.Duration
}

// Cursor walks along a stream in the order of the sequences and gives each message
// once. It resumes behind the last one by itself when the link was lost, the server
// restarted, or messages were lost on the way. Nothing is acknowledged and no state
// is kept at the other end but for a short time.
type Cursor struct {
	p      puller
	stream string
	o      CursorOptions

	// Guarded by the puller's turn.
	created time.Time // of the stream; zero before the first set-up
	from    uint64    // sequence to go on with, 0: as the options say
	last    uint64    // newest that was given
	gen     uint64    // of the consumer; 0: it is not used any more
	seen    uint64    // newest of the consumer's own sequences
	err     error     // for good

	mu struct {
		sync.Mutex
		name string // of the consumer, "" for none
	}
}

// Cursor begins a walk. It asks for nothing before Next. Errors: ErrClosed, and what
// is wrong with the options.
func (c *Client) Cursor(stream string, o CursorOptions) (*Cursor, error) {
	if err := checkName("stream", stream); err != nil {
		return nil, err
	}
	starts := 0
	for _, given := range []bool{o.Seq > 0, !o.Time.IsZero(), o.New, o.LastPerSubject} {
		if given {
			starts++
		}
	}
	if starts > 1 {
		return nil, errors.New("a cursor begins in one place only")
	}
	u := &Cursor{stream: stream, o: o}
	u.p.toEnd = o.ToEnd
	u.from = o.Seq
	if err := u.p.open(c, o.Max, o.MaxBytes, o.Heartbeat); err != nil {
		return nil, err
	}
	return u, nil
}

// Next gives the next message, waiting for it until ctx ends. After an error it may
// be called again, and goes on where it was. Errors: io.EOF at the end, with ToEnd;
// those of ctx; ErrClosed; ErrStreamNotFound; ErrStreamReplaced, and other answers of
// JetStream's that waiting does not mend.
func (u *Cursor) Next(ctx context.Context) (*Message, error) {
	if err := u.p.lock(ctx); err != nil {
		return nil, err
	}
	defer u.p.unlock()
	for u.err == nil {
		f, err := u.p.next(ctx, u.setUp, u.take)
		switch {
		case err == nil:
			u.p.done()
			return &f.Message, nil
		case errors.Is(err, errEnd):
			if u.complete(ctx) {
				u.err = io.EOF
			} else {
				u.p.again()
			}
		case errors.Is(err, ErrStreamReplaced):
			u.err = err
		default:
			return nil, err
		}
	}
	return nil, u.err
}

// take looks whether a message is the next one. The puller's lock is held.
func (u *Cursor) take(f *fetched) bool {
	if f.gen != u.gen {
		return false
	}
	if f.consumerSeq != u.seen+1 {
		// One was lost, and so is what is behind it: it comes again.
		u.p.resetLocked()
		u.gen = 0
		return false
	}
	u.seen++
	if f.seq <= u.last {
		return false // after a loss, with LastPerSubject
	}
	u.last, u.from = f.seq, f.seq+1
	return true
}

// complete reports whether all that the consumer delivered has come: behind what is
// lost at the very end nothing comes that would show it.
func (u *Cursor) complete(ctx context.Context) bool {
	i, err := u.p.c.ConsumerInfo(ctx, u.stream, u.name())
	return err == nil && i.Delivered.Consumer == u.seen
}

func (u *Cursor) name() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.name
}

// setUp makes a consumer that begins where the walk is.
func (u *Cursor) setUp(ctx context.Context) error {
	c := u.p.c
	i, err := c.Info(ctx, u.stream)
	if err != nil {
		return err
	}
	switch {
	case u.created.IsZero():
		u.created = i.Created
		if u.o.New {
			u.from = i.State.LastSeq + 1
		}
	case !u.created.Equal(i.Created):
		return ErrStreamReplaced
	}
	cfg := &consumer.Config{
		Name: "frond_" + rand.Text(), AckPolicy: consumer.AckNone, MemoryStorage: true, Replicas: 1,
		Inactive: max(2*expireBeats*u.p.beat, time.Minute), HeadersOnly: u.o.HeadersOnly,
	}
	filters := u.o.Filters
	switch {
	case u.o.LastPerSubject:
		cfg.DeliverPolicy = consumer.DeliverLastPerSubject
		if len(filters) == 0 {
			filters = []string{">"}
		}
	case u.from > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = consumer.DeliverByStartSequence, u.from
	case !u.o.Time.IsZero():
		at := u.o.Time.UTC()
		cfg.DeliverPolicy, cfg.OptStartTime = consumer.DeliverByStartTime, &at
	}
	setFilters(cfg, filters)
	u.forget(u.name())
	made, err := c.EnsureConsumer(ctx, u.stream, cfg)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.mu.name = cfg.Name
	u.mu.Unlock()
	u.seen = 0
	u.gen = u.p.begin(c.nextSubject(u.stream, cfg.Name), made.Config.MaxRequestBatch)
	return nil
}

// setFilters gives a consumer its filters as all servers know them.
func setFilters(cfg *consumer.Config, filters []string) {
	if len(filters) == 1 {
		cfg.FilterSubject = filters[0]
	} else {
		cfg.FilterSubjects = filters
	}
}

// forget deletes a consumer without waiting for the answer. What does not arrive
// goes away by itself when it was not used for a while.
func (u *Cursor) forget(name string) {
	if name != "" {
		_, _ = u.p.c.pub.publish(&wire.Msg{Subject: []byte(u.p.c.api + "CONSUMER.DELETE." + u.stream + "." + name)})
	}
}

// Close ends the walk; Next gives ErrClosed.
func (u *Cursor) Close() {
	u.p.close()
	u.forget(u.name())
}
