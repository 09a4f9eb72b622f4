package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// body is the payload of every message: 128 bytes, as a small reading.
func body() []byte { return make([]byte, 128) }

func perSecond(n int, took time.Duration) sample {
	return sample{value: float64(n) / took.Seconds(), messages: n, took: took}
}

// publish is one connection that publishes and flushes once at the end.
func publish(ctx context.Context, c *contender, n int) (sample, error) {
	nc, err := nats.Connect(c.nats)
	if err != nil {
		return sample{}, err
	}
	defer nc.Close()
	data := body()
	begin := time.Now()
	for range n {
		if err := nc.Publish("bench.pub", data); err != nil {
			return sample{}, err
		}
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return sample{}, err
	}
	return perSecond(n, time.Since(begin)), nil
}

// pubsub ends when the subscriber has everything.
func pubsub(ctx context.Context, c *contender, n int) (sample, error) {
	from, err := nats.Connect(c.nats)
	if err != nil {
		return sample{}, err
	}
	defer from.Close()
	to, err := nats.Connect(c.nats)
	if err != nil {
		return sample{}, err
	}
	defer to.Close()
	var got atomic.Int64
	done := make(chan struct{})
	sub, err := to.Subscribe("bench.sub", func(*nats.Msg) {
		if got.Add(1) == int64(n) {
			close(done)
		}
	})
	if err != nil {
		return sample{}, err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return sample{}, err
	}
	if err := to.Flush(); err != nil {
		return sample{}, err
	}
	data := body()
	begin := time.Now()
	for range n {
		if err := from.Publish("bench.sub", data); err != nil {
			return sample{}, err
		}
	}
	if err := from.Flush(); err != nil {
		return sample{}, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		return sample{}, fmt.Errorf("%d of %d arrived: %w", got.Load(), n, ctx.Err())
	}
	return perSecond(n, time.Since(begin)), nil
}

// request is the median of n round trips, one after another, in microseconds.
func request(ctx context.Context, c *contender, n int) (sample, error) {
	from, err := nats.Connect(c.nats)
	if err != nil {
		return sample{}, err
	}
	defer from.Close()
	to, err := nats.Connect(c.nats)
	if err != nil {
		return sample{}, err
	}
	defer to.Close()
	if _, err := to.Subscribe("bench.svc", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		return sample{}, err
	}
	if err := to.Flush(); err != nil {
		return sample{}, err
	}
	data := body()
	var us []float64
	begin := time.Now()
	for range n {
		at := time.Now()
		if _, err := from.RequestWithContext(ctx, "bench.svc", data); err != nil {
			return sample{}, err
		}
		us = append(us, float64(time.Since(at).Nanoseconds())/1000)
	}
	return sample{value: median(us), messages: n, took: time.Since(begin)}, nil
}

// withJetStream has f use a connection.
func withJetStream(c *contender, f func(nc *nats.Conn, js jetstream.JetStream) (sample, error)) (sample, error) {
	nc, err := nats.Connect(c.nats)
	if err != nil {
		return sample{}, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(512))
	if err != nil {
		return sample{}, err
	}
	return f(nc, js)
}

// withStream has f use an empty file stream.
func withStream(ctx context.Context, c *contender, f func(nc *nats.Conn, js jetstream.JetStream) (sample, error)) (sample, error) {
	return withJetStream(c, func(nc *nats.Conn, js jetstream.JetStream) (sample, error) {
		_ = js.DeleteStream(ctx, "BENCH")
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"js.>"}}); err != nil {
			return sample{}, err
		}
		defer func() { _ = js.DeleteStream(ctx, "BENCH") }()
		return f(nc, js)
	})
}

// jsSync has publishers that each wait for every ack.
func jsSync(publishers int) func(context.Context, *contender, int) (sample, error) {
	return func(ctx context.Context, c *contender, n int) (sample, error) {
		return withStream(ctx, c, func(*nats.Conn, jetstream.JetStream) (sample, error) {
			data := body()
			return each(c, publishers, n, func(js jetstream.JetStream, client, _ int) error {
				_, err := js.Publish(ctx, fmt.Sprintf("js.%d", client), data)
				return err
			})
		})
	}
}

// kvKeys is how many keys each client of a bucket has.
const kvKeys = 100

// kvPut has clients that each wait for every put into a bucket in files, which
// keeps the newest value of a key.
func kvPut(clients int) func(context.Context, *contender, int) (sample, error) {
	return func(ctx context.Context, c *contender, n int) (sample, error) {
		return withJetStream(c, func(_ *nats.Conn, js jetstream.JetStream) (sample, error) {
			const bucket = "BENCH"
			_ = js.DeleteKeyValue(ctx, bucket)
			if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket}); err != nil {
				return sample{}, err
			}
			defer func() { _ = js.DeleteKeyValue(ctx, bucket) }()
			buckets := make([]jetstream.KeyValue, clients)
			data := body()
			return each(c, clients, n, func(js jetstream.JetStream, client, i int) error {
				if buckets[client] == nil {
					var err error
					if buckets[client], err = js.KeyValue(ctx, bucket); err != nil {
						return err
					}
				}
				_, err := buckets[client].Put(ctx, fmt.Sprintf("sensor.%d.%d", client, i%kvKeys), data)
				return err
			})
		})
	}
}

// each has clients, with a connection of their own, do n things together, and
// takes the time.
func each(c *contender, clients, n int, do func(js jetstream.JetStream, client, i int) error) (sample, error) {
	conns := make([]jetstream.JetStream, clients)
	for i := range conns {
		nc, err := nats.Connect(c.nats)
		if err != nil {
			return sample{}, err
		}
		defer nc.Close()
		if conns[i], err = jetstream.New(nc); err != nil {
			return sample{}, err
		}
	}
	return together(clients, n, func(client, i int) error { return do(conns[client], client, i) })
}

// together has clients do n things at the same time, each one behind the other, and
// takes the time. Who gets an error ends.
func together(clients, n int, do func(client, i int) error) (sample, error) {
	errs := make([]error, clients)
	var wg sync.WaitGroup
	begin := time.Now()
	for client := range clients {
		wg.Go(func() {
			for i := 0; i < n/clients && errs[client] == nil; i++ {
				errs[client] = do(client, i)
			}
		})
	}
	wg.Wait()
	return perSecond(n/clients*clients, time.Since(begin)), errors.Join(errs...)
}

// createStreams has clients that each make one file stream after another, on one
// connection. They are deleted again outside the time.
func createStreams(clients int) func(context.Context, *contender, int) (sample, error) {
	return func(ctx context.Context, c *contender, n int) (sample, error) {
		return withJetStream(c, func(_ *nats.Conn, js jetstream.JetStream) (sample, error) {
			name := func(client, i int) string { return fmt.Sprintf("CREATE_%d_%d", client, i) }
			s, err := together(clients, n, func(client, i int) error {
				s := name(client, i)
				_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: s, Subjects: []string{"create." + s}})
				return err
			})
			for client := range clients {
				for i := range n / clients {
					_ = js.DeleteStream(ctx, name(client, i))
				}
			}
			return s, err
		})
	}
}

func fill(ctx context.Context, js jetstream.JetStream, n int) error {
	data := body()
	for range n {
		if _, err := js.PublishAsync("js.a", data, jetstream.WithStallWait(30*time.Second)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d acks are missing: %w", js.PublishAsyncPending(), ctx.Err())
	}
}

// jsAsync keeps 512 publications in flight.
func jsAsync(ctx context.Context, c *contender, n int) (sample, error) {
	return withStream(ctx, c, func(_ *nats.Conn, js jetstream.JetStream) (sample, error) {
		begin := time.Now()
		if err := fill(ctx, js, n); err != nil {
			return sample{}, err
		}
		return perSecond(n, time.Since(begin)), nil
	})
}

// consume reads a filled stream through a pull consumer, acknowledging each.
// The CPU time of filling is in its column.
func consume(ctx context.Context, c *contender, n int) (sample, error) {
	return withStream(ctx, c, func(_ *nats.Conn, js jetstream.JetStream) (sample, error) {
		if err := fill(ctx, js, n); err != nil {
			return sample{}, err
		}
		cons, err := js.CreateConsumer(ctx, "BENCH", jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 5000})
		if err != nil {
			return sample{}, err
		}
		got, done := 0, make(chan struct{})
		begin := time.Now()
		cc, err := cons.Consume(func(m jetstream.Msg) {
			_ = m.Ack()
			if got++; got == n {
				close(done)
			}
		}, jetstream.PullMaxMessages(2000))
		if err != nil {
			return sample{}, err
		}
		defer cc.Stop()
		select {
		case <-done:
		case <-ctx.Done():
			return sample{}, fmt.Errorf("consume: %w", ctx.Err())
		}
		return perSecond(n, time.Since(begin)), nil
	})
}

// settleFor is how long a server has for what it does behind the last request.
const settleFor = 5 * time.Second

// streamsAtRest is the resident memory, in MB, of a server with n streams in files,
// each with a durable consumer and a message.
func streamsAtRest(clients int) func(context.Context, *contender, int) (sample, error) {
	return func(ctx context.Context, c *contender, n int) (sample, error) {
		s, err := each(c, clients, n, func(js jetstream.JetStream, client, i int) error {
			name := fmt.Sprintf("MANY_%d_%d", client, i)
			if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{"many." + name}}); err != nil {
				return err
			}
			if _, err := js.CreateConsumer(ctx, name, jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
				return err
			}
			_, err := js.Publish(ctx, "many."+name, body())
			return err
		})
		if err == nil {
			err = pause(ctx, settleFor)
		}
		if err != nil {
			return s, err
		}
		return idle(ctx, c, 0)
	}
}

// idle is the resident memory, in MB, of a server that does nothing, once it has
// not changed for half a second.
func idle(ctx context.Context, c *contender, _ int) (sample, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last int64
	for same := 0; same < 5; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sample{}, ctx.Err()
		}
		now, err := rss(c.pid)
		if err != nil {
			return sample{}, err
		}
		if same++; now != last {
			same, last = 0, now
		}
	}
	return sample{value: float64(last) / (1 << 20)}, nil
}
