package main

import (
	"errors"
	"net"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/leaf"
	"github.com/frondmq/frond/mqtt"
)

// listening is a module with a port.
type listening interface {
	core.Module
	Addr() net.Addr
}

// A module is one server's. The other hears so, and its end is not that of the
// module.
func TestModules_areOfOneServer(t *testing.T) {
	for _, of := range []struct {
		name string
		make func() listening
		set  func(o *config.Options)
	}{
		{"leafnodes", func() listening { return leaf.New() }, func(o *config.Options) { o.Leaf.Host, o.Leaf.Port, o.Leaf.Set = "127.0.0.1", -1, true }},
		{"mqtt", func() listening { return mqtt.New() }, func(o *config.Options) { o.MQTT.Host, o.MQTT.Port, o.MQTT.Set = "127.0.0.1", -1, true }},
	} {
		t.Run(of.name, func(t *testing.T) { oneServer(t, of.make, of.set) })
	}
}

func oneServer(t *testing.T, make func() listening, set func(o *config.Options)) {
	m := make()
	with := func() []servertest.Option {
		return []servertest.Option{servertest.JetStream(t), servertest.With(set), servertest.Modules(m)}
	}
	other, err := servertest.New(t, with()...) // nobody has it yet
	if err != nil {
		t.Fatal(err)
	}
	servertest.Start(t, with()...)
	addr := m.Addr().String()
	if err := other.Start(); !errors.Is(err, core.ErrModuleTaken) {
		t.Errorf("a second server starts with it: %v", err)
	}
	servertest.Stop(t, other)
	if c, err := net.Dial("tcp", addr); err != nil {
		t.Errorf("behind the end of the second: %v", err)
	} else {
		c.Close()
	}
	if _, err := servertest.New(t, with()...); !errors.Is(err, core.ErrModuleTaken) {
		t.Errorf("a third is made with it: %v", err)
	}
	if now := m.Addr().String(); now != addr {
		t.Errorf("it listens on %s, and was on %s", now, addr)
	}
	// A server that never came as far as its modules leaves them alone.
	none, err := servertest.New(t, servertest.Modules(make()))
	if err != nil {
		t.Fatal(err)
	}
	servertest.Stop(t, none)
}
