package leaf_test

import (
	"errors"
	"net"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/leaf"
)

// A module is one server's. The other hears so, and its end is not that of the
// module.
func TestModule_oneServer(t *testing.T) {
	m := leaf.New()
	set := func() servertest.Option {
		return servertest.With(func(o *config.Options) { o.Leaf.Host, o.Leaf.Port, o.Leaf.Set = "127.0.0.1", -1, true })
	}
	other, err := servertest.New(t, servertest.JetStream(t), set(), servertest.Modules(m)) // nobody has it yet
	if err != nil {
		t.Fatal(err)
	}
	servertest.Start(t, servertest.JetStream(t), set(), servertest.Modules(m))
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
	if _, err := servertest.New(t, servertest.JetStream(t), set(), servertest.Modules(m)); !errors.Is(err, core.ErrModuleTaken) {
		t.Errorf("a third is made with it: %v", err)
	}
	if now := m.Addr().String(); now != addr {
		t.Errorf("it listens on %s, and was on %s", now, addr)
	}
	// A server that never came as far as its modules leaves them alone.
	none, err := servertest.New(t, servertest.Modules(leaf.New()))
	if err != nil {
		t.Fatal(err)
	}
	servertest.Stop(t, none)
}
