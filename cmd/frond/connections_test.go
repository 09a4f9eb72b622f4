package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

// frond connections shows who is connected, ends connections, and says clearly
// what is wrong with a call.
func TestConnections_command(t *testing.T) {
	dir := t.TempDir()
	expect := func(code int, want string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(append([]string{"connections"}, args...), &out, &errs); got != code || !strings.Contains(out.String()+errs.String(), want) {
			t.Errorf("connections %q: exit %d: %s%s, want %d with %q", args, got, out.String(), errs.String(), code, want)
		}
	}
	expect(0, "Usage: frond connections")
	expect(1, "no server runs on this folder; only one with JetStream can be asked", "ls", "--data", dir)
	s := servertest.Start(t, servertest.With(func(o *config.Options) {
		o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore = true, dir, 1<<30
	}))
	c := servertest.Dial(t, s)
	if _, err := c.Write([]byte("CONNECT {\"user\":\"ann\",\"name\":\"a\\u001bb\"}\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "the client is logged in", func() bool {
		z, err := s.Connz(nil)
		return err == nil && len(z.Conns) == 1 && z.Conns[0].Name != ""
	})
	expect(0, `nats      127.0.0.1:`, "ls", "--data", dir)
	expect(0, `"a\x1bb"`, "ls", "--data", dir)
	expect(0, `"authorized_user":"ann"`, "ls", "--json", "--user", "ann", "--data", dir)
	expect(0, `"account":"$G"`, "ls", "--json", "--user", "ann", "--data", dir)
	expect(1, `no such client or leafnode id`, "kick", "99", "--data", dir)
	expect(1, `"x" is no id of a connection`, "kick", "x", "--data", dir)
	expect(1, `kick takes one ID, or --user and --account`, "kick", "--data", dir)
	expect(1, `kick takes one ID, or --user and --account`, "kick", "1", "--user", "ann", "--data", dir)
	expect(1, `"end 1" is not known`, "end", "1", "--data", dir)
	expect(1, "did you mean --user?", "ls", "--usr", "x")
	expect(0, "ended: 0", "kick", "--user", "bob", "--data", dir)
	expect(0, "ended: 1", "kick", "--user", "ann", "--account", "$G", "--data", dir)
	servertest.Eventually(t, "nobody is there", func() bool { z, err := s.Connz(nil); return err == nil && len(z.Conns) == 0 })
}
