package core_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/servertest"
)

// A connection whose reader rests hears and is heard as before, byte by byte too,
// and ends like others: by its client, by the server, and by a shutdown.
func TestClient_restsWhileItIsSilent(t *testing.T) {
	s := servertest.Start(t)
	conns := map[string]net.Conn{"socket": servertest.Dial(t, s), "pipe": nil, "bad": servertest.Dial(t, s), "gone": servertest.Dial(t, s)}
	var err error
	if conns["pipe"], err = s.InProcessConn(); err != nil {
		t.Fatal(err)
	}
	ins := map[string]*bufio.Reader{}
	say := func(name, text string) {
		t.Helper()
		if _, err := io.WriteString(conns[name], text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	hear := func(name, want string) {
		t.Helper()
		for {
			line, err := ins[name].ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v where %q was expected", name, err, want)
			}
			if strings.HasPrefix(line, want) {
				return
			}
		}
	}
	for name, c := range conns {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		ins[name] = bufio.NewReader(c)
		hear(name, "INFO")
		say(name, "CONNECT {\"verbose\":false}\r\nSUB "+name+" 1\r\nPING\r\n")
		hear(name, "PONG")
	}
	for round := range int64(2) {
		servertest.Eventually(t, "silence", func() bool { return s.Silent() >= (round+1)*int64(len(conns)) })
		say("pipe", "PUB socket 2\r\nhi\r\n")
		hear("socket", "MSG socket 1 2")
		say("socket", "PUB pipe 2\r\nhi\r\n")
		hear("pipe", "MSG pipe 1 2")
		say("bad", "P")
		say("bad", "ING\r\n")
		hear("bad", "PONG")
		say("gone", "PING\r\n")
		hear("gone", "PONG")
	}
	servertest.Eventually(t, "silence", func() bool { return s.Silent() >= 3*int64(len(conns)) })
	say("bad", "NONSENSE\r\n")
	hear("bad", "-ERR 'Unknown Protocol Operation'")
	conns["gone"].Close()
	servertest.Eventually(t, "two that have ended", func() bool { return len(s.ClosedReasons()) == 2 })
	servertest.Stop(t, s)
	for _, name := range []string{"socket", "pipe"} {
		if _, err := io.ReadAll(ins[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
