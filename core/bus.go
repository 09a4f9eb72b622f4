package core

import (
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/wire"
)

// bus is an account as JetStream sees it.
type bus struct{ a *account.Account }

var _ jetstream.Bus = bus{}

func (b bus) Account() string { return b.a.Name() }

func (b bus) Publisher() jetstream.Publisher {
	return &busPublisher{b.a, account.NewOrigin(nil, account.RoleInternal, ""), true}
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
	a   *account.Account
	o   *account.Origin
	own bool // see wire.Msg
}

func (p *busPublisher) Publish(m *wire.Msg) int {
	m.Own = p.own
	return p.a.Route(p.o, m)
}

func (p *busPublisher) Flush() { p.o.Flush() }

// clientBus is an account as the rooms that use streams see it: what they publish
// counts as a program's, which a stream may hold up.
type clientBus struct{ bus }

func (b clientBus) Publisher() jetstream.Publisher {
	return &busPublisher{b.a, account.NewOrigin(nil, account.RoleInternal, ""), false}
}

// NewStreamClient is JetStream in an account, for who has no Services: their
// StreamClient knows whether the engine is in this process.
func NewStreamClient(a *account.Account, o jsclient.Options) (*jsclient.Client, error) {
	return jsclient.New(clientBus{bus{a}}, o)
}
