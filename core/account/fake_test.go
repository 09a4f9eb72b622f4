package account

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// fakeSink remembers what it was given, as "subject>shown queues".
type fakeSink struct {
	role    Role
	cluster string
	refuse  bool

	mu      sync.Mutex
	got     []string
	flushes int
}

func (f *fakeSink) Role() Role      { return f.role }
func (f *fakeSink) Cluster() string { return f.cluster }

func (f *fakeSink) Deliver(s *Sub, m *wire.Msg) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse {
		return false
	}
	line := fmt.Sprintf("%s>%s", s.Subject, m.VisibleSubject())
	if f.role.IsLink() && len(m.Queues) > 0 {
		var q []string
		for _, b := range m.Queues {
			q = append(q, string(b))
		}
		line += " " + strings.Join(q, ",")
	}
	f.got = append(f.got, line)
	return true
}

func (f *fakeSink) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushes++
}

// take returns and forgets what was delivered.
func (f *fakeSink) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.got, "; ")
	f.got = nil
	return s
}

func mustSubscribe(t testing.TB, a *Account, sink Sink, subject, queue string) *Sub {
	t.Helper()
	s := &Sub{Subject: subject, Queue: queue, Sink: sink}
	if err := a.Subscribe(s); err != nil {
		t.Fatalf("subscribe %q: %v", subject, err)
	}
	return s
}

func publish(a *Account, o *Origin, subject string, queues ...string) int {
	m := &wire.Msg{Subject: []byte(subject), Body: []byte("x")}
	for _, q := range queues {
		m.Queues = append(m.Queues, []byte(q))
	}
	n := a.Route(o, m)
	o.Flush()
	return n
}

func seeded(sink Sink, r Role, cluster string) *Origin {
	o := NewOrigin(sink, r, cluster)
	o.Seed(7)
	return o
}

// AddMapping maps all messages on src to dest.
func (a *Account) AddMapping(src, dest string) error {
	return a.AddWeightedMapping(src, "", []Destination{{Subject: dest, Weight: 100}})
}

// AddWeightedMapping is Mappings.Add for one more of the account.
func (a *Account) AddWeightedMapping(src, cluster string, dests []Destination) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	set := &Mappings{}
	if old := a.mappings.Load(); old != nil {
		set.list = slices.Clone(old.list)
	}
	if err := set.Add(src, cluster, dests); err != nil {
		return err
	}
	a.mappings.Store(set)
	return nil
}

func (a *Account) AddDomainMappings(domain string) error {
	set := &Mappings{}
	if err := set.AddDomain(domain); err != nil {
		return err
	}
	a.SetMappings(set)
	return nil
}
