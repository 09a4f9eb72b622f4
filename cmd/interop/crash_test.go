package interop

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

var (
	killsFlag = flag.Int("kills", 4, "how often the crash tests kill the server")
	seedFlag  = flag.Uint64("seed", 0, "seed of the crash tests, 0 = by time")
)

// TestCrash_nothing_acknowledged_is_lost publishes with message ids, kills the
// server with -9 at random moments, restarts it, sends again whatever had no
// ack, and compares the log of acks with what the stream holds: each
// acknowledged message is there, once, at the sequence its ack told.
//
// The kill leaves the page cache alone, so this does not prove that an ack
// waits for the disk (the stock server passes with its syncs two minutes
// apart); the journal's crash tests do that.
func TestCrash_nothing_acknowledged_is_lost(t *testing.T) {
	eachCrashing(t, func(t *testing.T, kind peers.Kind) {
		seed := *seedFlag
		if seed == 0 {
			seed = uint64(time.Now().UnixNano())
		}
		t.Logf("-seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		s := start(t, kind, peers.Config{JetStream: true})
		js := stream(t, connect(t, s))
		ctx := within(t, 2*time.Minute)
		must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}))

		const writers = 4
		log := newAckLog(t)
		stop, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() { publishUntil(t, stop, s, w, log) })
		}
		for range *killsFlag {
			// Let it work for a while that is random in messages, not in time.
			log.wait(t, 50+rng.IntN(500))
			s.Kill()
			restart(t, s)
		}
		log.wait(t, 200)
		cancel()
		wg.Wait()

		js = stream(t, connect(t, s))
		str := must[jetstream.Stream](t)(js.Stream(ctx, "S"))
		held := readAll(t, str)
		for id, seq := range log.read(t) {
			switch got := held[id]; {
			case len(got) == 0:
				t.Errorf("%s was acknowledged as %d and is gone", id, seq)
			case len(got) > 1:
				t.Errorf("%s is there %d times: %v", id, len(got), got)
			case got[0] != seq:
				t.Errorf("%s was acknowledged as %d and is %d", id, seq, got[0])
			}
		}
		for id, seqs := range held {
			if len(seqs) > 1 {
				t.Errorf("%s is there %d times: %v", id, len(seqs), seqs)
			}
		}
		t.Logf("%d acknowledged, %d held, %d kills", log.count(), len(held), *killsFlag)
	})
}

// publishUntil publishes one message after another, each until it is
// acknowledged. Only the last one may be without an ack at the end.
func publishUntil(t *testing.T, ctx context.Context, s *peers.Server, writer int, log *ackLog) {
	js, err := jetstream.New(connect(t, s))
	if err != nil {
		t.Error(err)
		return
	}
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("%d-%06d", writer, i)
		for ctx.Err() == nil {
			try, cancel := context.WithTimeout(ctx, 2*time.Second)
			ack, err := js.Publish(try, fmt.Sprintf("s.%d", writer), []byte(id),
				jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
			cancel()
			if err == nil {
				log.add(t, id, ack.Sequence)
				break
			}
		}
	}
}

// ackLog is a file with one line an ack, as an outside witness would keep it.
type ackLog struct {
	mu struct {
		sync.Mutex
		f     *os.File
		n     int
		moved chan struct{} // closed and replaced with every line
	}
}

func newAckLog(t *testing.T) *ackLog {
	t.Helper()
	l := &ackLog{}
	f, err := os.Create(filepath.Join(t.TempDir(), "acks"))
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	l.mu.f, l.mu.moved = f, make(chan struct{})
	return l
}

func (l *ackLog) add(t *testing.T, id string, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := fmt.Fprintf(l.mu.f, "%s %d\n", id, seq); err != nil {
		t.Error(err)
	}
	l.mu.n++
	close(l.mu.moved)
	l.mu.moved = make(chan struct{})
}

func (l *ackLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.n
}

// wait returns when n more acks are in.
func (l *ackLog) wait(t *testing.T, n int) {
	t.Helper()
	goal := l.count() + n
	deadline := time.After(45 * time.Second)
	for {
		l.mu.Lock()
		have, moved := l.mu.n, l.mu.moved
		l.mu.Unlock()
		if have >= goal {
			return
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("only %d acks, waiting for %d: publishing does not go on", have, goal)
		}
	}
}

func (l *ackLog) read(t *testing.T) map[string]uint64 {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.mu.f.Seek(0, 0)
	ok(t, err)
	acks := map[string]uint64{}
	for {
		var id string
		var seq uint64
		if n, err := fmt.Fscanf(l.mu.f, "%s %d\n", &id, &seq); n != 2 || err != nil {
			return acks
		}
		if old, twice := acks[id]; twice {
			t.Errorf("%s acknowledged twice, as %d and %d", id, old, seq)
		}
		acks[id] = seq
	}
}

// readAll reads a whole stream: payload -> sequences.
func readAll(t *testing.T, str jetstream.Stream) map[string][]uint64 {
	t.Helper()
	ctx := within(t, time.Minute)
	info := must[*jetstream.StreamInfo](t)(str.Info(ctx))
	held := map[string][]uint64{}
	if info.State.Msgs == 0 {
		return held
	}
	c := must[jetstream.Consumer](t)(str.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{}))
	it := must[jetstream.MessagesContext](t)(c.Messages())
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		ok(t, err)
		meta := must[*jetstream.MsgMetadata](t)(m.Metadata())
		held[string(m.Data())] = append(held[string(m.Data())], meta.Sequence.Stream)
		if meta.NumPending == 0 {
			return held
		}
	}
}

// TestCrash_streams_and_consumers_survive checks what else must be there after
// kill -9: the streams as configured, the consumers, and how far they were.
func TestCrash_streams_and_consumers_survive(t *testing.T) {
	eachCrashing(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true})
		nc := connect(t, s)
		js := stream(t, nc)
		ctx := within(t, time.Minute)
		str := must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, MaxMsgsPerSubject: 7}))
		must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "GONE", Subjects: []string{"gone"}}))
		ok(t, js.DeleteStream(ctx, "GONE"))
		c := must[jetstream.Consumer](t)(str.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}))
		for i := range 20 {
			must[*jetstream.PubAck](t)(js.Publish(ctx, fmt.Sprintf("s.%d", i%2), fmt.Appendf(nil, "%d", i), jetstream.WithMsgID(fmt.Sprint(i))))
		}
		for _, m := range fetch(t, c, 5) {
			ok(t, m.DoubleAck(ctx))
		}
		ok(t, str.DeleteMsg(ctx, 15))

		s.Kill()
		restart(t, s)
		eventually(t, step, func() error { return nc.FlushTimeout(time.Second) })

		info := must[jetstream.Stream](t)(js.Stream(ctx, "S")).CachedInfo()
		st := info.State
		if info.Config.MaxMsgsPerSubject != 7 || st.Msgs != 13 || st.FirstSeq != 7 || st.LastSeq != 20 {
			t.Errorf("stream after the crash: %d per subject, state %+v", info.Config.MaxMsgsPerSubject, st)
		}
		if _, err := js.Stream(ctx, "GONE"); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("deleted stream after the crash: %v", err)
		}
		// The message ids are remembered.
		if ack := must[*jetstream.PubAck](t)(js.Publish(ctx, "s.1", nil, jetstream.WithMsgID("19"))); !ack.Duplicate {
			t.Errorf("message id is forgotten: %+v", ack)
		}
		// What was acknowledged with a double ack does not come again: the
		// first six are gone by the limit, then 6-10 were acknowledged.
		c = must[jetstream.Consumer](t)(js.Consumer(ctx, "S", "C"))
		got := fetch(t, c, 3)
		for i, want := range []string{"11", "12", "13"} {
			if string(got[i].Data()) != want {
				t.Errorf("message %d after the crash is %q, want %q", i, got[i].Data(), want)
			}
		}
	})
}

// TestCrash_clean_stop checks that SIGTERM ends with status 0 and that the
// folder can be used again, and that it cannot be used twice at the same time.
func TestCrash_clean_stop(t *testing.T) {
	eachCrashing(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true})
		js := stream(t, connect(t, s))
		ctx := within(t, time.Minute)
		must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))
		must[*jetstream.PubAck](t)(js.Publish(ctx, "s", []byte("kept")))
		if kind == peers.FrondKind { // the stock server lets two in
			second, err := peers.Start(ctx, kind, binary(t, kind), s.Dir, peers.Config{Name: "second", JetStream: true})
			if err == nil {
				second.Kill()
				t.Error("a second process on the same data folder started")
			}
		}
		ok(t, s.Stop())
		restart(t, s)
		js = stream(t, connect(t, s))
		m := must[*jetstream.RawStreamMsg](t)(must[jetstream.Stream](t)(js.Stream(ctx, "S")).GetMsg(ctx, 1))
		if string(m.Data) != "kept" {
			t.Fatalf("got %q", m.Data)
		}
	})
}
