package core_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
)

// remotes is a module that has leaf remotes to tell of.
type remotes struct{ list []monitor.RemoteLeafVarz }

func (*remotes) Name() string                      { return "leafnodes" }
func (*remotes) Verify(_, _ *config.Options) error { return nil }
func (*remotes) Commit(_, _ *config.Options)       {}
func (*remotes) Start(core.Services) error         { return nil }
func (*remotes) Stop(context.Context) error        { return nil }
func (r *remotes) Describe(d *monitor.Description) { d.Leaf.Remotes = r.list }

// The answers are those of nats-server.
func TestHealthz_leafRemotes(t *testing.T) {
	m := &remotes{[]monitor.RemoteLeafVarz{
		{LocalAccount: "$G", URLs: []string{"nats-leaf://up:7422"}, Connected: true},
		{LocalAccount: "$G", URLs: []string{"nats-leaf://u:xxxxx@a:1", "nats-leaf://b:2"}},
	}}
	s := servertest.Start(t, servertest.Modules(m), servertest.With(func(o *config.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", -1 }))
	const down = `leafnode remote for account \"$G\" (urls=[\"nats-leaf://u:xxxxx@a:1\" \"nats-leaf://b:2\"]) is not connected`
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/healthz", 200, `{"status":"ok"}`},
		{"/healthz?leaf-remotes-connected=false", 200, `{"status":"ok"}`},
		{"/healthz?leaf-remotes-connected=true", 503, `{"status":"unavailable","error":"` + down + `"}`},
		{"/healthz?leaf-remotes-connected=1&details=true", 503, `{"status":"error","errors":[{"type":"CONNECTION","error":"` + down + `"}]}`},
		{"/healthz?leaf-remotes-connected=x", 400, `Error decoding boolean for 'leaf-remotes-connected': strconv.ParseBool: parsing "x": invalid syntax`},
	} {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := client.Get("http://" + s.MonitorAddr().String() + c.path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != c.code || string(b) != c.body {
			t.Errorf("%s: %d %s, want %d %s", c.path, r.StatusCode, b, c.code, c.body)
		}
	}
	if v := mustGet[monitor.Varz](t, s, "/varz"); v.Version != core.Level || v.FrondVersion != core.ProgramVersion() {
		t.Errorf("versions %q and %q", v.Version, v.FrondVersion)
	}
}
