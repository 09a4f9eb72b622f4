package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

// A probe that asks for its path only is neither delivered nor stored; what only
// looks like one is. Compared with the stock server 2.15.3.
func TestServer_probesGoNowhere(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) { o.EdgeStore = []string{"s"} }))
	c := connect(t, s, `,"headers":true`)
	c.send("SUB s 1\r\n")
	const dest = "Nats-Trace-Dest: d\r\n"
	stored := 0
	for _, x := range []struct {
		fields string
		probe  bool
	}{
		{dest + "Nats-Trace-Only: true\r\n", true},
		{dest + "Nats-Trace-Only: TRUE\r\n", true},
		{dest + "Nats-Trace-Only: 1\r\n", true},
		{dest + "Nats-Trace-Only: on\r\n", true},
		{dest + "Nats-Trace-Only: yes\r\n", false},
		{dest + "Nats-Trace-Only: false\r\n", false},
		{dest, false},
		{"Nats-Trace-Only: true\r\n", false},
	} {
		h := "NATS/1.0\r\n" + x.fields + "\r\n"
		c.send(fmt.Sprintf("HPUB s %d %d\r\n%s\r\nPING\r\n", len(h), len(h), h))
		delivered := false
		for l := c.line(); l != "PONG"; l = c.line() {
			delivered = delivered || strings.HasPrefix(l, "HMSG s 1 ")
		}
		if delivered == x.probe {
			t.Errorf("%q: delivered %v", x.fields, delivered)
		}
		if !x.probe {
			stored++
		}
	}
	c.send("UNSUB 1\r\nSUB in 2\r\nPUB s in 0\r\n\r\n")
	c.line()
	if got, want := c.line(), fmt.Sprintf(`{"stream":"EDGE","seq":%d}`, stored+1); got != want {
		t.Errorf("the next message: %s, want %s", got, want)
	}
}
