package jsclienttest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/jsclient"
)

func (h *harness) consumer(o jsclient.ConsumeOptions, change ...func(*jsclient.ConsumerConfig)) *jsclient.Consumer {
	h.Helper()
	cfg := &jsclient.ConsumerConfig{Durable: "worker", AckPolicy: consumer.AckExplicit}
	for _, f := range change {
		f(cfg)
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = beat
	}
	k, err := h.c.Consumer(h.name, cfg, o)
	h.ok(err)
	h.Cleanup(k.Close)
	return k
}

func (h *harness) next(k *jsclient.Consumer, body string, delivered uint64) *jsclient.Delivery {
	h.Helper()
	d, err := k.Next(h.ctx)
	h.ok(err)
	if string(d.Data) != body || d.Delivered != delivered {
		h.Errorf("got %q the time %d, want %q the time %d", d.Data, d.Delivered, body, delivered)
	}
	return d
}

// settled waits until the consumer has all acknowledgements up to a sequence.
func (h *harness) settled(seq uint64) {
	h.Helper()
	h.eventually("all is settled", func() error {
		i, err := h.c.ConsumerInfo(h.ctx, h.name, "worker")
		if err == nil && (i.NumAckPending > 0 || i.AckFloor.Stream < seq) {
			err = fmt.Errorf("%+v", i)
		}
		return err
	})
}

var consumerCases = []testCase{
	{name: "messages are delivered and settled", run: func(h *harness) {
		h.stream()
		b := h.base()
		h.fill(6, 1)
		k := h.consumer(jsclient.ConsumeOptions{})
		d := h.next(k, "0", 1)
		if d.Seq != b+1 || d.Subject != h.name+".0" || d.Pending != 5 {
			h.Errorf("the first: %+v", d)
		}
		h.ok(d.AckSync(h.ctx))
		h.is("again", d.AckSync(h.ctx), jsclient.ErrSettled)
		h.is("again", d.Nak(0), jsclient.ErrSettled)
		h.is("again", d.InProgress(), jsclient.ErrSettled)
		h.ok(h.next(k, "1", 1).Ack())
		h.ok(h.next(k, "2", 1).Term("no use"))
		h.ok(h.next(k, "3", 1).Nak(0))
		h.ok(h.next(k, "4", 1).Nak(200 * time.Millisecond))
		five := h.next(k, "5", 1)
		h.ok(five.InProgress())
		h.ok(h.next(k, "3", 2).Ack())
		h.ok(h.next(k, "4", 2).Ack())
		h.ok(five.Ack())
		h.settled(b + 6)
	}},
	{name: "what is not settled comes again", run: func(h *harness) {
		h.stream()
		b := h.base()
		h.fill(2, 1)
		k := h.consumer(jsclient.ConsumeOptions{}, func(c *jsclient.ConsumerConfig) { c.AckWait = 300 * time.Millisecond })
		_ = h.next(k, "0", 1)
		h.ok(h.next(k, "1", 1).AckSync(h.ctx))
		d := h.next(k, "0", 2)
		h.ok(d.AckSync(h.ctx))
		h.settled(b + 2)
		k.Close()
		_, err := k.Next(h.ctx)
		h.is("closed", err, jsclient.ErrClosed)
	}},
	{name: "no more is handed out than may be in work", run: func(h *harness) {
		h.stream()
		b := h.base()
		h.fill(10, 1)
		k := h.consumer(jsclient.ConsumeOptions{Max: 3})
		var work []*jsclient.Delivery
		for i := range 3 {
			work = append(work, h.next(k, fmt.Sprint(i), 1))
		}
		short, cancel := context.WithTimeout(h.ctx, 100*time.Millisecond)
		defer cancel()
		_, err := k.Next(short)
		h.is("a fourth", err, context.DeadlineExceeded)
		if i, err := h.c.ConsumerInfo(h.ctx, h.name, "worker"); err != nil || i.NumAckPending != 3 {
			h.Errorf("%+v, %v", i, err)
		}
		for i := 3; i < 10; i++ {
			h.ok(work[0].Ack())
			work = append(work[1:], h.next(k, fmt.Sprint(i), 1))
		}
		for _, d := range work {
			h.ok(d.Ack())
		}
		h.settled(b + 10)
	}},
	{name: "several take from one consumer", run: func(h *harness) {
		h.stream()
		b := h.base()
		const n = 300
		h.fill(n, 1)
		k := h.consumer(jsclient.ConsumeOptions{Max: 8})
		other := h.consumer(jsclient.ConsumeOptions{Max: 8})
		ctx, stop := context.WithCancel(h.ctx)
		defer stop()
		var work sync.WaitGroup
		var mu sync.Mutex
		seen := map[uint64]int{}
		for i := range 4 {
			work.Go(func() {
				from := k
				if i%2 == 1 {
					from = other
				}
				for {
					d, err := from.Next(ctx)
					if err != nil {
						return
					}
					mu.Lock()
					seen[d.Seq]++
					mu.Unlock()
					if err := d.Ack(); err != nil {
						h.Error(err)
					}
				}
			})
		}
		h.settled(b + n)
		stop()
		work.Wait()
		if len(seen) != n {
			h.Errorf("%d of %d came", len(seen), n)
		}
		for seq, times := range seen {
			if times != 1 {
				h.Errorf("message %d came %d times", seq, times)
			}
		}
	}},
	{name: "a consumer is made what is wanted", run: func(h *harness) {
		h.stream()
		h.put("a", "a")
		h.put("b", "b")
		k := h.consumer(jsclient.ConsumeOptions{}, func(c *jsclient.ConsumerConfig) { c.FilterSubject = h.name + ".a" })
		h.ok(h.next(k, "a", 1).AckSync(h.ctx))
		k.Close()
		k = h.consumer(jsclient.ConsumeOptions{}, func(c *jsclient.ConsumerConfig) { c.FilterSubjects = []string{h.name + ".a", h.name + ".b"} })
		h.put("a", "second")
		d, err := k.Next(h.ctx)
		h.ok(err)
		if s := string(d.Data); s != "b" && s != "second" {
			h.Errorf("got %q", s)
		}
		i, err := h.c.ConsumerInfo(h.ctx, h.name, "worker")
		h.ok(err)
		if len(i.Config.FilterSubjects) != 2 || i.Name != "worker" {
			h.Errorf("%+v", i)
		}
		bad := h.consumer(jsclient.ConsumeOptions{}, func(c *jsclient.ConsumerConfig) { c.AckPolicy = consumer.AckNone })
		if _, err := bad.Next(h.ctx); err == nil {
			h.Error("another policy is taken")
		}
		if _, err := h.c.Consumer(h.name, &jsclient.ConsumerConfig{}, jsclient.ConsumeOptions{}); err == nil {
			h.Error("a consumer without a name")
		}
		if _, err := h.c.Consumer(h.name, &jsclient.ConsumerConfig{Durable: "d", DeliverSubject: "x"}, jsclient.ConsumeOptions{}); err == nil {
			h.Error("a push consumer")
		}
		h.ok(h.c.DeleteConsumer(h.ctx, h.name, "worker"))
		if names := h.consumers(); len(names) > 0 {
			h.Errorf("left: %v", names)
		}
	}},
	{name: "a consumer without acknowledgements", run: func(h *harness) {
		h.stream()
		h.fill(20, 1)
		k := h.consumer(jsclient.ConsumeOptions{Max: 3}, func(c *jsclient.ConsumerConfig) { c.AckPolicy = consumer.AckNone })
		for i := range 20 {
			d := h.next(k, fmt.Sprint(i), 1)
			h.is("settled", d.Ack(), jsclient.ErrSettled)
		}
	}},
	{name: "a consumer that is deleted is made again", run: func(h *harness) {
		h.stream()
		h.fill(3, 1)
		k := h.consumer(jsclient.ConsumeOptions{Max: 2, Heartbeat: 200 * time.Millisecond})
		h.ok(h.next(k, "0", 1).AckSync(h.ctx))
		h.deleteConsumers()
		h.eventually("the last one comes", func() error {
			d, err := k.Next(h.ctx)
			if err == nil && string(d.Data) != "2" {
				_ = d.Ack()
				err = fmt.Errorf("got %q", d.Data)
			}
			return err
		})
		h.ok(h.c.Delete(h.ctx, h.name))
		h.eventually("it is told that the stream is gone", func() error {
			d, err := k.Next(h.ctx)
			if err == nil {
				return fmt.Errorf("got %q", d.Data)
			}
			h.is("gone", err, jsclient.ErrStreamNotFound)
			return nil
		})
	}},
}
