package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// mqttBody is the payload of MQTT messages.
func mqttBody() []byte { return make([]byte, 200) }

// group runs functions beside each other and keeps the first error. It ends the others
// by closing their connections.
type group struct {
	sync.WaitGroup
	all  []*rawMQTT
	once sync.Once
	err  error
	over chan struct{} // closed with the first error
}

func newGroup() *group { return &group{over: make(chan struct{})} }

// dial connects a client of the group.
func (g *group) dial(ctx context.Context, c *contender, id string, kept bool) (*rawMQTT, error) {
	err := fresh(ctx, c.mqtt, id)
	var r *rawMQTT
	if err == nil {
		r, err = dialMQTT(ctx, c.mqtt, id, kept)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	g.all = append(g.all, r)
	return r, nil
}

func (g *group) run(what string, f func() error) {
	g.Go(func() {
		if err := f(); err != nil {
			g.once.Do(func() {
				g.err = fmt.Errorf("%s: %w", what, err)
				close(g.over)
				for _, c := range g.all {
					c.conn.Close()
				}
			})
		}
	})
}

func (g *group) close() {
	for _, c := range g.all {
		c.close()
	}
}

// fan is a load of MQTT messages from some publishers to some subscribers: each publisher
// has a topic of its own, each subscriber gets all.
type fan struct {
	qos       byte
	from, to  int
	window    int  // of each publisher
	kept      bool // the subscribers' sessions outlive their connections, so what comes is stored
	latencies bool // the figure is the 99th percentile of the acknowledgements
}

// run ends when all have arrived and are acknowledged, to the end of each handshake. A
// message is one that arrives, or is published, whichever are more.
func (f fan) run(ctx context.Context, c *contender, n int) (sample, error) {
	g := newGroup()
	defer g.close()
	var subs, pubs []*rawMQTT
	for i := range f.to {
		s, err := g.dial(ctx, c, fmt.Sprintf("bench-sub%d", i), f.kept)
		if err == nil {
			err = s.subscribe("bench/#", f.qos)
		}
		if err != nil {
			return sample{}, err
		}
		subs = append(subs, s)
	}
	for i := range f.from {
		p, err := g.dial(ctx, c, fmt.Sprintf("bench-pub%d", i), false)
		if err != nil {
			return sample{}, err
		}
		pubs = append(pubs, p)
	}
	each := n / f.from
	acks := make([][]time.Duration, f.from)
	cpu, err := cpuTime(c.pid)
	if err != nil {
		return sample{}, err
	}
	begin := time.Now()
	f.start(g, subs, pubs, each, acks)
	g.Wait()
	if g.err != nil {
		return sample{}, g.err
	}
	s := perSecond(each*f.from*max(f.to, 1), time.Since(begin))
	after, err := cpuTime(c.pid)
	if s.cpu = after - cpu; f.latencies {
		s.value = float64(percentile(slices.Concat(acks...), 99).Microseconds())
	}
	return s, err
}

// start begins to read and to publish.
func (f fan) start(g *group, subs, pubs []*rawMQTT, each int, acks [][]time.Duration) {
	// With QoS 0 the slowest subscriber holds the publishers up: nothing else would,
	// and brokers drop what is too much.
	slots := make(chan struct{}, f.window*f.from)
	waits := int64(len(subs))
	var came atomic.Int64
	for _, s := range subs {
		g.run("subscriber", func() error {
			if f.qos > 0 {
				return s.take(each*f.from, nil)
			}
			return s.take(each*f.from, func() {
				if came.Add(1)%waits == 0 {
					<-slots
				}
			})
		})
	}
	for i, p := range pubs {
		topic := fmt.Sprintf("bench/line%d/value", i)
		g.run("publisher", func() error {
			if f.qos == 0 {
				return p.pour(topic, each, mqttBody(), slots, g.over)
			}
			var took func(time.Duration)
			if f.latencies {
				acks[i] = make([]time.Duration, 0, each)
				took = func(d time.Duration) { acks[i] = append(acks[i], d) }
			}
			return p.publish([]string{topic}, f.qos, each, f.window, mqttBody(), took)
		})
	}
}

// pour publishes n messages with QoS 0, as long as there are slots.
func (c *rawMQTT) pour(topic string, n int, data []byte, slots chan<- struct{}, over <-chan struct{}) error {
	packet, _ := publication(topic, 0, data)
	for range n {
		select {
		case slots <- struct{}{}:
		default:
			if err := c.out.Flush(); err != nil {
				return err
			}
			select {
			case slots <- struct{}{}:
			case <-over:
				return nil
			}
		}
		if _, err := c.out.Write(packet); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)*p/100]
}

// resume is a load of sessions that come back, 8 at a time, for what was published while
// they were away: 100 messages each, the same for all or, with own, each its own. It
// ends when all is acknowledged; what was before does not count.
type resume struct {
	sessions int
	own      bool
}

const resumeEach = 100

func (r resume) topic(i int) string {
	if r.own {
		return fmt.Sprintf("resume/own/line%d", i)
	}
	return "resume/all"
}

func (r resume) run(ctx context.Context, c *contender, _ int) (sample, error) {
	err := r.each(func(i int) error {
		id := fmt.Sprintf("resume%v%d", r.own, i)
		if err := fresh(ctx, c.mqtt, id); err != nil {
			return err
		}
		s, err := dialMQTT(ctx, c.mqtt, id, true)
		if err != nil {
			return err
		}
		defer s.close()
		return s.subscribe(r.topic(i), 1)
	})
	if err != nil {
		return sample{}, fmt.Errorf("first: %w", err)
	}
	p, err := dialMQTT(ctx, c.mqtt, "resume-pub", false)
	if err != nil {
		return sample{}, err
	}
	defer p.close()
	// Those with topics of their own find theirs among those of all others.
	topics := []string{r.topic(0)}
	for i := 1; r.own && i < r.sessions; i++ {
		topics = append(topics, r.topic(i))
	}
	if err := p.publish(topics, 1, len(topics)*resumeEach, 100, mqttBody(), nil); err != nil {
		return sample{}, err
	}
	cpu, err := cpuTime(c.pid)
	if err != nil {
		return sample{}, err
	}
	begin := time.Now()
	err = r.each(func(i int) error {
		s, err := dialMQTT(ctx, c.mqtt, fmt.Sprintf("resume%v%d", r.own, i), true)
		if err != nil {
			return err
		}
		defer s.close()
		return s.take(resumeEach, nil)
	})
	if err != nil {
		return sample{}, err
	}
	s := perSecond(r.sessions*resumeEach, time.Since(begin))
	after, err := cpuTime(c.pid)
	s.cpu = after - cpu
	return s, err
}

// each calls f for all sessions, 8 at a time.
func (r resume) each(f func(i int) error) error {
	var next atomic.Int64
	g := newGroup()
	for range 8 {
		g.run("session", func() error {
			for {
				i := int(next.Add(1) - 1)
				if i >= r.sessions {
					return nil
				}
				if err := f(i); err != nil {
					return fmt.Errorf("%d: %w", i, err)
				}
			}
		})
	}
	g.Wait()
	return g.err
}
