package core_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
)

func mustGet[T any](t *testing.T, s *core.Server, path string) (v T) {
	t.Helper()
	// A transport of its own, so that nothing of it is left running.
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + s.MonitorAddr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s, %v", path, r.Status, b, err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

func TestMonitoring(t *testing.T) {
	s := servertest.Start(t, servertest.With(func(o *config.Options) {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", -1
		o.Auth.Users = []config.User{{User: "ann", Password: "x"}}
	}))
	before := s.Varz().Subscriptions // of the server itself
	c := connect(t, s, `,"user":"ann","pass":"x","name":"sensor","lang":"test","version":"1"`)
	c.send("SUB a.* q 7\r\nPUB a.b 3\r\nabc\r\n")
	c.expect("MSG a.b 7 3")
	c.expect("abc")
	gone := connect(t, s, `,"user":"ann","pass":"x"`)
	gone.Close()
	servertest.Eventually(t, "one has gone", func() bool { return len(s.ClosedReasons()) == 1 })

	v := mustGet[monitor.Varz](t, s, "/varz")
	if v.Connections != 1 || v.TotalConnections != 2 || v.InMsgs != 1 || v.OutMsgs != 1 || v.InBytes != 3 || v.OutClientBytes != 3 ||
		v.Subscriptions != before+1 || !v.AuthRequired || v.Mem <= 0 || v.ID != s.ServerID() {
		t.Errorf("varz %+v", v)
	}
	z := mustGet[monitor.Connz](t, s, "/connz?auth=1&subs=detail")
	if len(z.Conns) != 1 {
		t.Fatalf("connz %+v", z)
	}
	i := z.Conns[0]
	if i.Name != "sensor" || i.AuthorizedUser != "ann" || i.InMsgs != 1 || i.OutBytes != 3 || i.NumSubs != 1 || i.Reason != "" ||
		len(i.SubsDetail) != 1 || i.SubsDetail[0].Subject != "a.*" || i.SubsDetail[0].Queue != "q" || i.SubsDetail[0].Msgs != 1 {
		t.Errorf("connz entry %+v", i)
	}
	z = mustGet[monitor.Connz](t, s, "/connz?state=closed")
	if len(z.Conns) != 1 || z.Conns[0].Reason != "Client Closed" || z.Conns[0].AuthorizedUser != "" {
		t.Errorf("closed %+v", z)
	}
	if h := mustGet[monitor.Healthz](t, s, "/healthz"); h.Status != "ok" {
		t.Errorf("healthz %+v", h)
	}
}
