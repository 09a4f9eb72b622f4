package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/testkit"
)

// Connections of all kinds fall silent somewhere in a message, or in a TLS record,
// and are at rest. Then the options are reloaded, and of each five one speaks on,
// one closes its half, one is reset, one is ended by an operator, and one stays
// until the server stops. Whoever speaks on is understood, the counts are right at
// each step, nobody comes in above max_connections, and nothing is left. The long
// form is for soak.
func TestRest_inTheMiddle(t *testing.T) {
	each := 70 // of each kind
	if os.Getenv("FROND_SOAK") != "" {
		each = 1000
	}
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS=%v", secure), func(t *testing.T) { restInTheMiddle(t, each, secure) })
	}
}

func restInTheMiddle(t *testing.T, each int, secure bool) {
	g0, f0 := runtime.NumGoroutine(), descriptors(t)
	h := restServer(t, secure)
	heard := &bodies{n: make(map[string]int)}
	witness, err := h.s.Subscribe("half.>", "", func(m *core.Message) { heard.add(string(m.Data)) })
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	var all []*halfway
	for _, d := range h.doors {
		for i := range each {
			all = append(all, h.open(t, d, i))
		}
	}
	n := len(all)
	clients := n
	for _, c := range all {
		if c.door.kind == "leafnodes" {
			clients--
		}
	}
	if err := h.reload(func(o *config.Options) { o.MaxConns = clients }); err != nil {
		t.Fatal(err)
	}
	h.awaitRest(t, all)
	h.counts(t, n, 0)
	if err := h.reload(func(o *config.Options) { o.MaxSubs = 1000 }); err != nil {
		t.Fatal(err)
	}
	h.refused(t)
	var ids []uint64
	for i, c := range all {
		var err error
		switch i % 5 {
		case 0:
			err = c.wire.release()
		case 1:
			err = c.wire.TCPConn.CloseWrite()
		case 2:
			err = errors.Join(c.wire.TCPConn.SetLinger(0), c.wire.TCPConn.Close())
		case 3:
			ids = append(ids, h.idOf(t, c))
			err = core.KickConnection(h.dir, ids[len(ids)-1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	stay := 0
	want := map[string]bool{}
	for i, c := range all {
		switch i % 5 {
		case 0:
			want[c.body] = true
			stay++
		case 1, 3:
			c.ended(t)
		case 4:
			stay++
		}
	}
	h.counts(t, stay, n-stay+2) // who was refused at either port, too
	heard.are(t, want)
	// Those who are there are heard and hear, be they at rest again or not.
	for i, c := range all {
		switch i % 5 {
		case 0:
			if err := h.s.Publish(c.subject, []byte("you")); err != nil {
				t.Fatal(err)
			}
			c.hears(t, "you")
		case 4:
			if err := h.s.Publish(c.subject, []byte("rest")); err != nil {
				t.Fatal(err)
			}
			c.hears(t, "rest")
			if err := c.wire.release(); err != nil {
				t.Fatal(err)
			}
			want[c.body] = true
		}
	}
	heard.are(t, want)
	h.counts(t, stay, n-stay+2)
	for i, c := range all {
		if i%5 == 4 {
			c.speakHalf(t, i)
		}
	}
	h.awaitRest(t, all)
	h.stop(t)
	for i, c := range all {
		if i%5 == 0 || i%5 == 4 {
			c.ended(t)
		}
		c.wire.TCPConn.Close()
	}
	heard.are(t, want)
	testkit.Eventually(t, "goroutines and descriptors to be as before", func() bool {
		return runtime.NumGoroutine() <= g0 && descriptors(t) <= f0
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// bodies are what a witness hears.
type bodies struct {
	sync.Mutex
	n map[string]int
}

func (b *bodies) add(body string) {
	b.Lock()
	defer b.Unlock()
	b.n[body]++
}

// are waits until there are as many as are wanted, and checks each.
func (b *bodies) are(t *testing.T, want map[string]bool) {
	t.Helper()
	testkit.Eventually(t, "all messages", func() bool {
		b.Lock()
		defer b.Unlock()
		return len(b.n) >= len(want)
	})
	b.Lock()
	defer b.Unlock()
	for body, n := range b.n {
		if n != 1 || !want[body] {
			t.Errorf("%q came %d times", body, n)
		}
	}
}

// wire holds back what is behind a number of bytes, until release.
type wire struct {
	*net.TCPConn
	pass int // bytes that go out; below 0: all
	kept []byte
}

func (w *wire) Write(b []byte) (int, error) {
	if w.pass < 0 {
		return w.TCPConn.Write(b)
	}
	n := min(len(b), w.pass)
	w.pass -= n
	w.kept = append(w.kept, b[n:]...)
	if _, err := w.TCPConn.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (w *wire) release() error {
	_, err := w.TCPConn.Write(w.kept)
	w.pass, w.kept = -1, nil
	return err
}

// halfway is a connection in the middle of a message.
type halfway struct {
	door          *door
	wire          *wire
	name          string   // by nameOf
	on            net.Conn // wire, or TLS on it
	in            *bufio.Reader
	subject, body string // what it listens to, and what it says
	between       bool   // it has said nothing of that
}

// hears reads until a message with that body.
func (c *halfway) hears(t *testing.T, body string) {
	t.Helper()
	_ = c.on.SetReadDeadline(time.Now().Add(time.Minute))
	var got []byte
	for !bytes.Contains(got, []byte(body)) {
		b, err := c.in.ReadByte()
		if err != nil {
			t.Fatalf("%s: %v behind %q, %q was expected", c.door.kind, err, got, body)
		}
		got = append(got, b)
	}
}

// ended reads to the end.
func (c *halfway) ended(t *testing.T) {
	t.Helper()
	_ = c.on.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, c.in); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: it does not end", c.door.kind)
	}
}

// speakHalf says the i-th part of its message, which may be nothing.
func (c *halfway) speakHalf(t *testing.T, i int) {
	t.Helper()
	op := fmt.Sprintf("PUB half.%s %d\r\n%s\r\n", c.subject, len(c.body), c.body)
	switch c.door.kind {
	case "mqtt":
		topic := "half/" + strings.ReplaceAll(c.subject, ".", "/")
		op = fmt.Sprintf("\x30%c\x00%c%s%s", rune(2+len(topic)+len(c.body)), rune(len(topic)), topic, c.body)
	case "leafnodes":
		op = fmt.Sprintf("LMSG half.%s %d\r\n%s\r\n", c.subject, len(c.body), c.body)
	}
	size := len(op)
	if c.on != net.Conn(c.wire) {
		size += 22 // of a TLS 1.3 record
	}
	c.wire.pass = i % size
	c.between = c.wire.pass == 0
	if _, err := io.WriteString(c.on, op); err != nil {
		t.Fatal(err)
	}
}

// restHouse is the server that they are connected to.
type restHouse struct {
	s     *core.Server
	o     *config.Options
	dir   string
	doors []*door
	tls   *tls.Config // nil: none
	over  bool
}

func restServer(t *testing.T, secure bool) *restHouse {
	h := &restHouse{dir: t.TempDir()}
	o := config.Defaults()
	o.Host, o.Port, o.PingInterval = "127.0.0.1", -1, time.Hour
	o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore = true, h.dir, 1<<30 // for the control socket
	o.MQTT.Set, o.MQTT.Host, o.MQTT.Port = true, "127.0.0.1", -1
	o.Leaf.Set, o.Leaf.Host, o.Leaf.Port, o.Leaf.PingInterval = true, "127.0.0.1", -1, time.Hour
	if secure {
		cert, key := writeCertificate(t, t.TempDir())
		set := func() *config.TLS {
			return &config.TLS{CertFile: cert, KeyFile: key, Timeout: time.Minute, HandshakeFirst: true}
		}
		o.TLS, o.MQTT.TLS, o.Leaf.TLS = set(), set(), set()
		o.MQTT.TLS.HandshakeFirst = false // it has no choice
		pem, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		h.tls = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
		h.tls.RootCAs.AppendCertsFromPEM(pem)
	}
	mods := modules()
	s, err := core.New(o, mods, nil)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	h.s, h.o = s, o
	t.Cleanup(func() { h.stop(t) })
	h.doors = []*door{{kind: "NATS", addr: s.ClientAddr().String(), hears: "PONG", says: func(i int) string {
		return fmt.Sprintf("CONNECT {\"verbose\":false}\r\nSUB NATS.%04d 1\r\nPING\r\n", i)
	}}}
	for _, m := range mods {
		d := &door{kind: m.Name(), addr: m.(interface{ Addr() net.Addr }).Addr().String()}
		switch d.kind {
		case "mqtt":
			d.hears = "\x90\x03\x00\x01\x00"
			d.says = func(i int) string {
				return fmt.Sprintf("\x10\x15\x00\x04MQTT\x04\x02\x00\x00\x00\x09rest-%04d\x82\x0e\x00\x01\x00\x09mqtt/%04d\x00", i, i)
			}
		case "leafnodes":
			d.hears = "PONG"
			d.says = func(i int) string {
				return fmt.Sprintf("CONNECT {\"version\":\"2.12.0\",\"name\":\"rest-%d\",\"server_id\":\"rest-%d\",\"headers\":true,\"isolate\":true,\"remote_account\":\"$G\"}\r\n"+
					"LS+ leafnodes.%04d\r\nPING\r\n", i, i, i)
			}
		}
		h.doors = append(h.doors, d)
	}
	return h
}

func (h *restHouse) stop(t *testing.T) {
	if h.over {
		return
	}
	h.over = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func (h *restHouse) reload(change func(*config.Options)) error {
	to := *h.o
	change(&to)
	h.o = &to
	_, err := h.s.Reload(&to)
	return err
}

// open logs the i-th connection of a kind in, and has it begin to say something.
func (h *restHouse) open(t *testing.T, d *door, i int) *halfway {
	t.Helper()
	raw, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &halfway{door: d, wire: &wire{TCPConn: raw.(*net.TCPConn), pass: -1}, subject: fmt.Sprintf("%s.%04d", d.kind, i)}
	c.name = fmt.Sprintf("%s %d", d.kind, raw.LocalAddr().(*net.TCPAddr).Port)
	t.Cleanup(func() { raw.Close() })
	c.on = c.wire
	if h.tls != nil {
		c.on = tls.Client(c.wire, h.tls)
	}
	c.body = "from " + c.subject
	c.in = bufio.NewReader(c.on)
	if _, err := io.WriteString(c.on, d.says(i)); err != nil {
		t.Fatal(err)
	}
	c.hears(t, d.hears)
	c.speakHalf(t, i)
	return c
}

// awaitRest waits until readers have begun anew behind a silence: those of NATS
// wherever they are, those of MQTT between two packets.
func (h *restHouse) awaitRest(t *testing.T, all []*halfway) {
	t.Helper()
	z, err := h.s.Connz(&monitor.ConnzOptions{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	open := make(map[string]bool)
	for _, c := range z.Conns {
		open[nameOf(c)] = true
	}
	nats, mqtt := 0, 0
	for _, c := range all {
		switch {
		case !open[c.name]:
		case c.door.kind == "NATS":
			nats++
		case c.door.kind == "mqtt" && c.between:
			mqtt++
		}
	}
	ok := testkit.Within(time.Minute, func() bool {
		var b bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
		stacks := b.String()
		return strings.Count(stacks, "core.(*client).resume(") >= nats && strings.Count(stacks, "mqtt.(*conn).resume(") >= mqtt
	})
	if !ok {
		t.Fatalf("%d of NATS and %d of MQTT do not rest", nats, mqtt)
	}
}

// counts waits until so many are open and so many were closed, in all places
// where they are told.
func (h *restHouse) counts(t *testing.T, open, closed int) {
	t.Helper()
	var v *monitor.Varz
	var o, c *monitor.Connz
	ok := testkit.Within(time.Minute, func() bool {
		var err, errClosed error
		v = h.s.Varz()
		o, err = h.s.Connz(&monitor.ConnzOptions{Limit: 1 << 20})
		c, errClosed = h.s.Connz(&monitor.ConnzOptions{Limit: 1 << 20, State: monitor.ConnClosed})
		if err := errors.Join(err, errClosed); err != nil {
			t.Fatal(err)
		}
		return v.Connections+int(v.Leafs) == open && o.Total == open && len(o.Conns) == open && len(c.Conns) == closed
	})
	if !ok {
		t.Fatalf("varz has %d and %d, connz %d of %d, closed %d; expected %d, %d closed", v.Connections, v.Leafs, len(o.Conns), o.Total, len(c.Conns), open, closed)
	}
}

// refused dials where no room is left.
func (h *restHouse) refused(t *testing.T) {
	t.Helper()
	for _, d := range h.doors {
		if d.kind == "leafnodes" {
			continue // they do not count
		}
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if h.tls != nil {
			c = tls.Client(c, h.tls)
		}
		if b, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) || d.kind == "NATS" && !strings.Contains(string(b), "maximum connections exceeded") {
			t.Errorf("%s: one too many reads %q, %v", d.kind, b, err)
		}
		c.Close()
	}
}

// nameOf tells connections by their kind and their port.
func nameOf(i *monitor.ConnInfo) string {
	kind := "NATS"
	switch {
	case i.Kind == monitor.KindLeaf:
		kind = "leafnodes"
	case i.Type != monitor.TypeNATS:
		kind = "mqtt"
	}
	return fmt.Sprintf("%s %d", kind, i.Port)
}

// idOf is the id of a connection.
func (h *restHouse) idOf(t *testing.T, c *halfway) uint64 {
	t.Helper()
	z, err := h.s.Connz(&monitor.ConnzOptions{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range z.Conns {
		if nameOf(i) == c.name {
			return i.Cid
		}
	}
	t.Fatalf("%s: it is not listed", c.door.kind)
	return 0
}
