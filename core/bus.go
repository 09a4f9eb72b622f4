package core

import (
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/wire"
)

// bus is an account as JetStream sees it.
type bus struct{ a *account.Account }

var _ jetstream.Bus = bus{}

func (b bus) Account() string { return b.a.Name() }

func (b bus) Publisher() jetstream.Publisher {
	return &busPublisher{b.a, account.NewOrigin(nil, account.RoleInternal, "")}
}

func (b bus) Subscribe(subject, queue string, h func(m *wire.Msg)) (func(), error) {
	return b.subscribe(&account.Sub{Subject: subject, Queue: queue, Sink: &funcSink{h}})
}

func (b bus) SubscribeFrom(domain, subject string, h func(m *wire.Msg)) (func(), error) {
	return b.subscribe(&account.Sub{Subject: subject, Domain: domain, Sink: &funcSink{h}})
}

func (b bus) subscribe(s *account.Sub) (func(), error) {
	if err := b.a.Subscribe(s); err != nil {
		return nil, err
	}
	return s.End, nil
}

func (b bus) HasInterest(subject string) bool { return b.a.HasInterest(subject) }

func (b bus) WatchInterest(subject string, f func(present bool)) func() {
	return b.a.WatchSubject(subject, f)
}

func (b bus) HalfReadAt() time.Time { return b.a.HalfReadAt() }

type busPublisher struct {
	a *account.Account
	o *account.Origin
}

func (p *busPublisher) Publish(m *wire.Msg) int {
	m.Own = true
	return p.a.Route(p.o, m)
}

func (p *busPublisher) Flush() { p.o.Flush() }
