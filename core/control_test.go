package core_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
)

// Whoever may enter the data folder sees who is connected, and ends connections
// by id, by user and by account. A client is told nothing, as by nats-server.
func TestControl_connections(t *testing.T) {
	dir := t.TempDir()
	s := servertest.Start(t, servertest.With(func(o *config.Options) {
		o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore = true, dir, 1<<30
		o.Auth.Users = []config.User{{User: "ann", Password: "a"}, {User: "bob", Password: "b"}}
	}))
	ann := `,"user":"ann","pass":"a"`
	one, two, bob := connect(t, s, ann), connect(t, s, ann), connect(t, s, `,"user":"bob","pass":"b"`)
	list := func(user string) (ids []uint64) {
		z, err := core.ListConnections(dir, user, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range z.Conns {
			if user != "" && c.AuthorizedUser != user {
				t.Errorf("asked for %s: %+v", user, c)
			}
			ids = append(ids, c.Cid)
		}
		return ids
	}
	if all, anns := list(""), list("ann"); len(all) != 3 || len(anns) != 2 {
		t.Fatalf("all %v, of ann %v", all, anns)
	}
	id := list("bob")[0]
	if err := core.KickConnection(dir, id); err != nil {
		t.Fatal(err)
	}
	if rest := bob.rest(); rest != "" {
		t.Errorf("bob reads %q", rest)
	}
	servertest.Eventually(t, "bob is gone, and can't be ended again", func() bool {
		err := core.KickConnection(dir, id)
		return len(list("bob")) == 0 && err != nil && err.Error() == core.ErrNoConnection.Error()
	})
	one.barrier()
	if n, err := core.KickConnections(dir, "ann", "$G"); n != 2 || err != nil {
		t.Errorf("ann: %d, %v", n, err)
	}
	if got := one.rest() + two.rest(); got != "" {
		t.Errorf("ann reads %q", got)
	}
	if n, err := core.KickConnections(dir, "", ""); err == nil {
		t.Errorf("nobody in particular: %d", n)
	}
	servertest.Eventually(t, "all are gone, for that reason", func() bool {
		z, err := s.Connz(&monitor.ConnzOptions{State: monitor.ConnClosed})
		return err == nil && len(z.Conns) == 3 && z.Conns[0].Reason == "Kicked" && z.Conns[1].Reason == "Kicked" && z.Conns[2].Reason == "Kicked"
	})
}

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
