package core_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

func TestTrace(t *testing.T) {
	trace := func(change func(o *config.Options)) string {
		log := new(testkit.Log)
		o := config.Log{Trace: true}
		s := servertest.Start(t, servertest.Logger(slog.New(core.NewLog(log, &o))), servertest.With(func(o *config.Options) {
			o.Log.Trace = true
			o.Auth.User, o.Auth.Password = "ann", "secret"
			if change != nil {
				change(o)
			}
		}))
		c := connect(t, s, `,"user":"ann","pass":"secret","headers":true,"no_responders":true`)
		c.send("SUB a.* q 7\r\nPUB a.b 5\r\nhello\r\nHPUB a.c in 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nworld\r\nUNSUB 7 9\r\nPING\r\n")
		for c.line() != "PONG" {
		}
		servertest.Stop(t, s)
		if strings.Contains(log.String(), "secret") {
			t.Error("the password is in the log")
		}
		return log.String()
	}
	check := func(name string, log string, want, never []string) {
		t.Run(name, func(t *testing.T) {
			for _, w := range want {
				if !strings.Contains(log, "[TRC] "+w) {
					t.Errorf("no line %s", w)
				}
			}
			for _, n := range never {
				if strings.Contains(log, n) {
					t.Errorf("%s should not be there", n)
				}
			}
			if t.Failed() {
				t.Logf("log:\n%s", log)
			}
		})
	}
	check("everything", trace(nil), []string{
		"->> [INFO {", `<<- [CONNECT {"verbose":false,`, "<<- [PING] kind=client conn=", "->> [PONG]", "<<- [SUB a.* q 7]", "<<- [UNSUB 7 9]",
		"<<- [PUB a.b 5]", `<<- MSG_PAYLOAD: ["hello"]`, "->> [MSG a.b 7 5]", `->> MSG_PAYLOAD: ["hello"]`,
		"<<- [HPUB a.c in 18 23]", "->> [HMSG a.c 7 in 18 23]", `->> MSG_PAYLOAD: ["NATS/1.0\r\nA: b\r\n\r\nworld"]`,
	}, []string{"[DBG]"})
	check("headers only", trace(func(o *config.Options) { o.Log.TraceHeaders = true }),
		[]string{"<<- [PUB a.b 5]", `->> MSG_PAYLOAD: ["NATS/1.0\r\nA: b"]`}, []string{"hello", "world"})
	check("cut short", trace(func(o *config.Options) { o.MaxTracedMsgLen = 3 }),
		[]string{`<<- MSG_PAYLOAD: ["hel"...]`}, []string{"hello", "world"})
	check("off", trace(func(o *config.Options) { o.Log.Trace = false }), nil, []string{"[TRC]"})
}
