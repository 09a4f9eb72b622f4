package mqtt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/servertest/powercut"
)

// TestPowerCut takes the power at one write or sync of the disk after the other, of a
// start and of what follows, while clients with QoS 2 and 1 that keep their state go on. At
// the end each message with QoS 2 has come once, in order; each with QoS 1 has come, in
// order but for what came again; and nothing is left of any packet identifier.
func TestPowerCut(t *testing.T) {
	seeds, cuts := []uint64{1}, 60
	if os.Getenv("FROND_SOAK") != "" {
		seeds, cuts = []uint64{1, 2, 3, 4, 5, 6}, 300
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newPowered(t, seed).run(cuts, min(cuts/2, 60)) })
		})
	}
}

// powered is a broker on a disk that loses what was not synced when the power is cut.
type powered struct {
	*servertest.Services
	t    *testing.T
	rnd  *rand.Rand
	disk *powercut.Disk

	// Of this run of the broker.
	m     *Module
	dark  atomic.Bool // the power is off: nothing that is said comes out
	alive sync.WaitGroup
}

func newPowered(t *testing.T, seed uint64) *powered {
	rnd := rand.New(rand.NewPCG(seed, 1))
	return &powered{t: t, rnd: rnd, disk: powercut.New(t, rnd)}
}

// start begins a run whose power is cut at the nth write or sync since the disk is armed;
// never by 0.
func (p *powered) start(nth int64) {
	p.dark.Store(false)
	p.Services = servertest.NewServices(p.t, "B")
	p.Services.Streams = true
	p.disk.Start(p.Acc, nth, func() { p.dark.Store(true) })
	p.m = New()
	p.m.services, p.m.log = p, p.Logger()
	p.m.ctx, p.m.stop = context.WithCancel(context.Background())
	p.m.openStores(p.Opts)
}

// StreamClient is part of core.Services.
func (p *powered) StreamClient(a *account.Account, _ string) (*jsclient.Client, error) {
	return p.disk.Client(a)
}

// stop ends the run; what was the disk at the cut is the disk of the next one.
func (p *powered) stop() {
	p.t.Helper()
	p.dark.Store(true)
	p.disk.Save()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := p.m.Stop(ctx); err != nil {
		p.t.Error(err)
	}
	p.Stop()
	p.disk.Stop()
	p.alive.Wait()
}

// poweredLine is a connection that the power cut ends as well.
type poweredLine struct {
	net.Conn
	p *powered
}

func (l poweredLine) Write(b []byte) (int, error) {
	if l.p.dark.Load() {
		return 0, net.ErrClosed
	}
	return l.Conn.Write(b)
}

// dial is a line to the broker of this run.
func (p *powered) dial() net.Conn {
	here, there := net.Pipe()
	p.m.work.Add(1)
	p.alive.Go(func() {
		done := make(chan struct{})
		p.m.serve(poweredLine{here, p}, nil, nil, func() { p.m.work.Done(); close(done) })
		<-done
	})
	return there
}

// run cuts the power so often, at each of the first points in turn.
func (p *powered) run(cuts, points int) {
	devices := p.devices()
	p.start(0)
	for _, d := range devices {
		if d.filter != "" { // before anything is published
			d.connect(p.dial())
		}
	}
	<-time.After(time.Second)
	for _, d := range devices {
		if d.filter != "" && !d.has() {
			p.t.Fatalf("%s has not subscribed", d.id)
		}
		d.leave()
	}
	p.stop()
	for n := range cuts {
		p.disk.Arm(n%2 == 0) // else when the devices are there
		p.start(int64(1 + n/2%points))
		p.life(devices, n)
		p.stop()
		for _, d := range devices {
			d.leave()
		}
		if n%10 == 9 {
			p.calm(devices)
		}
	}
	p.start(0)
	for _, d := range devices {
		d.quiet.Store(true)
		d.connect(p.dial())
	}
	<-time.After(time.Minute)
	p.settled(devices)
	p.stop()
	for _, d := range devices {
		d.leave()
	}
	p.check(devices, cuts)
}

// calm is a run that ends as a server does, with all on disk: else each one would begin
// with all that came before, of which no row says that it was acknowledged.
func (p *powered) calm(devices []*powerDevice) {
	p.start(0)
	for _, d := range devices {
		d.connect(p.dial())
	}
	<-time.After(2 * time.Second)
	for _, d := range devices {
		d.leave()
	}
	p.stop()
}

// life is one run up to its end. Devices come, go and come back.
func (p *powered) life(devices []*powerDevice, n int) {
	for i, d := range devices {
		if i == len(devices)-1 && n%3 == 0 {
			continue // what it waits for is kept
		}
		d.connect(p.dial())
	}
	<-time.After(time.Duration(p.rnd.IntN(200)) * time.Millisecond)
	p.disk.Arm(true)
	for {
		wait := time.Duration(1+p.rnd.IntN(3000)) * time.Millisecond
		select {
		case <-p.disk.Cut():
			return
		case <-time.After(wait):
		}
		d := devices[p.rnd.IntN(len(devices))]
		d.leave()
		d.connect(p.dial())
	}
}

// settled is the look at the end: no identifier is in use, and nobody waits for anything.
func (p *powered) settled(devices []*powerDevice) {
	for _, d := range devices {
		if d.failed() {
			continue
		}
		if n := d.waiting(); n != 0 {
			p.t.Errorf("%s: %d messages are not completed", d.id, n)
		}
		p.m.mu.Lock()
		c := p.m.mu.clients[config.GlobalAccount+" "+d.id]
		p.m.mu.Unlock()
		if c == nil {
			p.t.Errorf("%s is not connected", d.id)
			continue
		}
		x := c.kept.session
		msgs, _ := x.Pending()
		c.out.Lock()
		if len(x.Unacked()) > 0 || len(x.Open()) > 0 || len(x.Received()) > 0 || msgs > 0 || len(c.window.inUse) > 0 {
			p.t.Errorf("%s: unacknowledged %v, open %v, received %v, waits for %d, in use %v", d.id, x.Unacked(), x.Open(), x.Received(), msgs, c.window.inUse)
		}
		c.out.Unlock()
	}
	c, err := p.StreamClient(p.Acc, "")
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	i, err := c.Info(context.Background(), "$MQTT_msgs")
	if err != nil || i.State.Msgs != 0 {
		p.t.Errorf("%d messages are left, %v", i.State.Msgs, err)
	}
}

func (p *powered) devices() []*powerDevice {
	list := []*powerDevice{
		{id: "pub2", version: v311, publishes: "plant", qos: 2},
		{id: "pub2five", version: v5, publishes: "five", qos: 2},
		{id: "pub1", version: v311, publishes: "bulk", qos: 1},
		{id: "sub1", version: v311, filter: "bulk/#", qos: 1},
		{id: "sub2", version: v311, filter: "plant/#", qos: 2},
		{id: "sub2five", version: v5, filter: "five/#", qos: 2},
		{id: "away", version: v5, filter: "plant/#", qos: 2},
	}
	for _, d := range list {
		d.rnd = rand.New(rand.NewPCG(p.rnd.Uint64(), 3))
		d.sent, d.held, d.resent = make(map[uint16]*powerSent), make(map[uint16]string), make(map[string]bool)
		d.stats = make(map[string]int)
	}
	return list
}

// check compares what was published with what came, and what had to happen for the test
// to mean something.
func (p *powered) check(devices []*powerDevice, cuts int) {
	by, stats := make(map[string]*powerDevice), make(map[string]int)
	for _, d := range devices {
		by[d.id] = d
		for _, f := range d.faults {
			p.t.Errorf("%s: %s", d.id, f)
		}
		for what, n := range d.stats {
			stats[what] += n
		}
	}
	for sub, pub := range map[string]string{"sub2": "pub2", "away": "pub2", "sub2five": "pub2five"} {
		by[sub].exactly(p.t, by[pub].next)
	}
	by["sub1"].atLeast(p.t, by["pub1"])
	for op, n := range p.disk.Cuts() {
		stats["cut at "+op] = n
		stats["cuts"] += n
	}
	p.t.Logf("%v, published %d %d %d", stats, by["pub2"].next, by["pub2five"].next, by["pub1"].next)
	for what, least := range map[string]int{
		"cuts": cuts, "cut at write": cuts / 4, "cut at sync": cuts / 8,
		"PUBLISH again": cuts / 2, "PUBREL again": cuts / 2, "came again, QoS 1": cuts / 10,
		"came again, QoS 2": cuts / 30, "PUBREL came again": cuts / 30,
	} {
		if stats[what] < least {
			p.t.Errorf("%s: %d, want %d at least", what, stats[what], least)
		}
	}
	for _, id := range []string{"pub2", "pub2five", "pub1"} {
		if by[id].next < cuts {
			p.t.Errorf("%s has published %d in %d runs", id, by[id].next, cuts)
		}
	}
}
