package core

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/transport"
)

// peerLines is a log in memory without times, as a server has it.
func peerLines(o config.Log) (*slog.Logger, *peerLog, func() []string) {
	var b bytes.Buffer
	l := NewLog(&b, &o)
	front := newPeerLog(l)
	return slog.New(front), front, func() []string {
		l.out.mu.Lock()
		defer l.out.mu.Unlock()
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		for i, l := range lines {
			_, lines[i], _ = strings.Cut(l, "] ")
		}
		b.Reset()
		return lines
	}
}

func at(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: port} }

func TestPeerLog_cuts_what_peers_say(t *testing.T) {
	log, front, lines := peerLines(config.Log{})
	defer front.lines.stop()
	long := strings.Repeat("x", 60_000)
	PeerLogger(log, "client", 7, at(1)).With("user", long).Error("refused", "err", errors.New("a "+long), "topic", long, "n", 3)
	got := lines()
	if len(got) != 1 || len(got[0]) > 1024 {
		t.Fatalf("%d lines, the first of %d bytes", len(got), len(got[0]))
	}
	cut := strings.Repeat("x", 256) + "... (60000 bytes)"
	want := `[ERR] refused kind=client conn=7 remote=10.0.0.5:1 user="` + cut + `" err="a ` + cut[2:256] + `... (60002 bytes)" topic="` + cut + `" n=3`
	if got[0] != want {
		t.Errorf("got  %s\nwant %s", got[0], want)
	}
	log.Error("the server's own words", "path", long)
	if got := lines(); len(got[0]) < 60_000 {
		t.Errorf("cut: %.400s", got[0])
	}
}

func TestPeerLog_keeps_a_line_on_its_line(t *testing.T) {
	log, front, lines := peerLines(config.Log{})
	defer front.lines.stop()
	PeerLogger(log, "client", 7, at(1)).Error("odd\n[1] [INF] forged", "user", "a\n[1] [INF] forged", "bell", "\x1b[2J", "c1", "\u009b", "over", "\u202e", "bad", "\xff", "back", `\n`)
	want := `[ERR] odd\n[1] [INF] forged kind=client conn=7 remote=10.0.0.5:1 user="a\n[1] [INF] forged" bell="\x1b[2J" c1="\u009b" over="\u202e" bad="\xff" back="\\n"`
	if got := lines(); len(got) != 1 || got[0] != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPeerLog_counts_lines_that_repeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, front, lines := peerLines(config.Log{Debug: true})
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			got := lines()
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		// A device that comes back again and again: another port and another
		// connection each time.
		var first []string
		for i := range 817 {
			PeerLogger(log, "mqtt", uint64(i), at(1000+i)).With("user", "dev7", "client", "m").Error("refused", "err", i)
			if i < peerBurst {
				first = append(first, fmt.Sprintf("[ERR] refused kind=mqtt conn=%d remote=10.0.0.5:%d user=dev7 client=m err=%d", i, 1000+i, i))
			}
		}
		expect(first...)
		PeerLogger(log, "mqtt", 1, at(1)).With("user", "dev8").Error("refused")
		expect("[ERR] refused kind=mqtt conn=1 remote=10.0.0.5:1 user=dev8")
		<-time.After(61 * time.Second)
		expect("[ERR] refused (and 812 more in the last minute) kind=mqtt remote=10.0.0.5 user=dev7 client=m")

		// One that changes its name each time.
		for i := range 1000 {
			PeerLogger(log, "client", 1, at(1)).With("user", fmt.Sprint("u", i)).Error("refused")
		}
		synctest.Wait()
		if got := lines(); len(got) != hostBurst {
			t.Errorf("%d lines of one address", len(got))
		}
		<-time.After(61 * time.Second)
		expect("[ERR] refused (and 950 more in the last minute) kind=client remote=10.0.0.5")

		// Those who come do not use up the lines of those who do wrong, nor one
		// address with many names the lines of others.
		for i := range 2 * maxRepeats {
			PeerLogger(log, "mqtt", 1, &net.TCPAddr{IP: net.IPv4(10, 1, byte(i>>8), byte(i)), Port: 1}).Info("connected")
			PeerLogger(log, "client", 1, at(1)).With("user", fmt.Sprint("v", i)).Error("refused")
		}
		synctest.Wait()
		lines()
		PeerLogger(log, "mqtt", 9, at(9)).Error("refused")
		expect("[ERR] refused kind=mqtt conn=9 remote=10.0.0.5:9")
		<-time.After(61 * time.Second)
		synctest.Wait()
		lines()

		// Over a Unix socket each user of the system is an address.
		for uid := range uint32(2) {
			for range 2 * peerBurst {
				PeerLogger(log, "client", 1, &transport.Peer{Path: "/run/x", Known: true, UID: uid}).Error("refused")
			}
		}
		synctest.Wait()
		if got := lines(); len(got) != 2*peerBurst || got[0] != "[ERR] refused kind=client conn=1 remote=unix:/run/x uid=0" {
			t.Errorf("%d lines of two users, the first is %s", len(got), got[0])
		}
		<-time.After(61 * time.Second)
		synctest.Wait()
		if got := strings.Join(lines(), "\n"); !strings.Contains(got, `(and 5 more in the last minute) kind=client remote="unix:/run/x uid=1"`) {
			t.Errorf("got %s", got)
		}

		for range 100 {
			log.Warn("of the server itself")
			PeerLogger(log, "client", 1, at(1)).Debug("asked for")
		}
		synctest.Wait()
		if got := lines(); len(got) != 200 {
			t.Errorf("%d lines", len(got))
		}
		for range peerBurst + 2 {
			PeerLogger(log, "client", 1, at(1)).Info("x")
		}
		lines()
		front.lines.stop()
		expect("[INF] x (and 2 more in the last minute) kind=client remote=10.0.0.5")
	})
}

// badDoor fails to accept n times, then it is closed.
type badDoor struct {
	net.Listener
	left  int
	ended chan struct{}
}

func (d *badDoor) Addr() net.Addr { return at(4222) }
func (d *badDoor) Close() error   { return nil }
func (d *badDoor) Accept() (net.Conn, error) {
	if d.left--; d.left < 0 {
		close(d.ended)
		return nil, net.ErrClosed
	}
	return nil, errors.New("accept: too many open files")
}

func TestAccept_tells_that_it_can_not(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, front, lines := peerLines(config.Log{})
		start := time.Now()
		door := &badDoor{left: 50, ended: make(chan struct{})}
		l := transport.NewListener(door)
		l.Run(log, "client", func(net.Conn) { t.Error("accepted") })
		<-door.ended
		l.Close()
		if took := time.Since(start); took < 30*time.Second || took > 50*time.Second {
			t.Errorf("50 failures took %v", took)
		}
		got := lines()
		if len(got) != peerBurst || got[0] != `[ERR] Accept failed, trying again kind=client listen=10.0.0.5:4222 err="accept: too many open files"` {
			t.Errorf("logged %q", got)
		}
		front.lines.stop()
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "(and 45 more in the last minute)") {
			t.Errorf("logged %q", got)
		}
	})
}
