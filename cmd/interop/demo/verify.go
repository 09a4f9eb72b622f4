package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// verify reads the stream ALL at the hub from its first message to its last
// and compares it with what was published.
func verify(ctx context.Context, url string, want int) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	str, err := js.Stream(ctx, "ALL")
	if err != nil {
		return err
	}
	c, err := str.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	it, err := c.Messages()
	if err != nil {
		return err
	}
	defer it.Stop()
	t := newTally("the hub", want)
	for t.count < int(str.CachedInfo().State.Msgs) {
		m, err := it.Next(jetstream.NextMaxWait(20 * time.Second))
		if err != nil {
			return fmt.Errorf("read the hub's stream after %d messages: %w", t.count, err)
		}
		var r reading
		if err := json.Unmarshal(m.Data(), &r); err != nil {
			return fmt.Errorf("message %d at the hub: %w", t.count+1, err)
		}
		if r.N < 0 || r.N >= want || r.ID != readingID(r.N) || m.Headers().Get("Nats-Msg-Id") != r.ID {
			return fmt.Errorf("message %d at the hub is no reading of ours: %s, headers %v", t.count+1, m.Data(), m.Headers())
		}
		t.add(r.N)
	}
	return t.verdict()
}

// tally counts numbered messages in the order in which somebody has them.
type tally struct {
	who             string
	seen            []int
	count, disorder int
	last            int
}

func newTally(who string, want int) *tally {
	return &tally{who: who, seen: make([]int, want), last: -1}
}

func (t *tally) add(n int) {
	if t.seen[n]++; n < t.last {
		t.disorder++
	}
	t.last = n
	t.count++
}

// verdict is nil when each was there once and in order.
func (t *tally) verdict() error {
	missing, twice := 0, 0
	for _, n := range t.seen {
		if n == 0 {
			missing++
		} else if n > 1 {
			twice++
		}
	}
	if missing+twice+t.disorder == 0 {
		return nil
	}
	want := len(t.seen)
	return fmt.Errorf("%s has %d of %d: %d missing, %d more than once, %d out of order",
		t.who, want-missing, want, missing, twice, t.disorder)
}
