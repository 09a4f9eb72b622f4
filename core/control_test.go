package core_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

// Whoever connects to the control socket and asks nothing does not hold up the
// end of the server, and who comes when there are too many is told so.
func TestControl_is_not_held_up_by_who_asks_nothing(t *testing.T) {
	dir := t.TempDir()
	s := servertest.Start(t, servertest.With(func(o *config.Options) {
		o.JetStream.Enabled = true
		o.JetStream.StoreDir = dir
		o.JetStream.MaxStore = 1 << 30
	}))
	for range 8 {
		c, err := net.Dial("unix", filepath.Join(dir, "jetstream", "control.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, err := core.ListDamage(dir, false); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("one too many is told %v", err)
	}
	began := time.Now()
	servertest.Stop(t, s)
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("the server waited %v for requests", d)
	}
}
