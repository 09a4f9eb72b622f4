package interop

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
)

// probes are what a connection sends, one packet behind the other. Each is compared
// with what mosquitto answers.
var probes = map[string][]string{
	"3.1":                          {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61"},
	"3.1, no client identifier":    {"10 0e 00 06 4d 51 49 73 64 70 03 02 00 3c 00 00"},
	"3.1, a kept session of none":  {"10 0e 00 06 4d 51 49 73 64 70 03 00 00 3c 00 00"},
	"3.1, 24 characters":           {"10 26 00 06 4d 51 49 73 64 70 03 02 00 3c 00 18 616161616161616161616161616161616161616161616161"},
	"3.1 at level 4":               {"10 0f 00 06 4d 51 49 73 64 70 04 02 00 3c 00 01 61"},
	"3.1.1 at level 3":             {"10 0d 00 04 4d 51 54 54 03 02 00 3c 00 01 61"},
	"3.1.1 at level 6":             {"10 0d 00 04 4d 51 54 54 06 02 00 3c 00 01 61"},
	"3.1, a flag reserved later":   {"10 0f 00 06 4d 51 49 73 64 70 03 03 00 3c 00 01 61"},
	"3.1, the QoS of no will":      {"10 0f 00 06 4d 51 49 73 64 70 03 0a 00 3c 00 01 61"},
	"3.1, a user that is missing":  {"10 0f 00 06 4d 51 49 73 64 70 03 82 00 3c 00 01 61"},
	"3.1, a password alone":        {"10 12 00 06 4d 51 49 73 64 70 03 42 00 3c 00 01 61 00 01 70"},
	"3.1, a will that is missing":  {"10 0f 00 06 4d 51 49 73 64 70 03 06 00 3c 00 01 61"},
	"3.1, bytes behind the end":    {"10 11 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61 78 78"},
	"another name":                 {"10 0f 00 06 4d 51 49 73 64 71 03 02 00 3c 00 01 61"},
	"a bridge of 3.1":              {"10 0f 00 06 4d 51 49 73 64 70 83 02 00 3c 00 01 61"},
	"a bridge of 3.1.1":            {"10 0d 00 04 4d 51 54 54 84 02 00 3c 00 01 61"},
	"a bridge of 3.1, unnamed":     {"10 0e 00 06 4d 51 49 73 64 70 83 02 00 3c 00 00"},
	"a bridge of 3.1.1, unnamed":   {"10 0c 00 04 4d 51 54 54 84 02 00 3c 00 00"},
	"a bridge of the wrong level":  {"10 0d 00 04 4d 51 54 54 83 02 00 3c 00 01 61"},
	"3.1, SUBSCRIBE with DUP":      {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "8a 06 00 01 00 01 61 01"},
	"3.1, UNSUBSCRIBE with DUP":    {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "aa 05 00 01 00 01 61"},
	"3.1, PUBREL with DUP":         {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "6a 02 00 01"},
	"3.1.1, SUBSCRIBE with DUP":    {"10 0d 00 04 4d 51 54 54 04 02 00 3c 00 01 61", "8a 06 00 01 00 01 61 01"},
	"3.1, QoS 1":                   {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "32 06 00 01 61 00 01 78"},
	"3.1, QoS 2":                   {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "34 06 00 01 61 00 01 78", "62 02 00 01"},
	"3.1, its own message":         {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "82 06 00 01 00 01 61 00", "30 04 00 01 61 78"},
	"a bridge, its own message":    {"10 0d 00 04 4d 51 54 54 84 02 00 3c 00 01 61", "82 06 00 01 00 01 61 00", "30 04 00 01 61 78"},
	"a bridge, its own, 3.1":       {"10 0f 00 06 4d 51 49 73 64 70 83 02 00 3c 00 01 61", "82 06 00 01 00 01 61 00", "30 04 00 01 61 78"},
	"a bridge, its own, shared":    {"10 0d 00 04 4d 51 54 54 84 02 00 3c 00 01 61", "82 0f 00 01 00 0a 247368617265 2f67 2f61 00", "30 04 00 01 61 78"},
	"3.1, PINGREQ":                 {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "c0 00"},
	"3.1, DISCONNECT with a body":  {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "e0 01 00"},
	"3.1, a wildcard in a PUBLISH": {"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", "30 06 00 03 61 2f 2b 78"},
}

// TestMQTT_older: MQTT 3.1, and the bit that says that a client is a bridge, have no
// standard of their own: frond answers what mosquitto answers, byte by byte.
func TestMQTT_older(t *testing.T) {
	mosquittoTool(t, "mosquitto")
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), ""))
	t.Cleanup(m.Kill)
	s := frondOnly(t)
	for name, packets := range probes {
		t.Run(name, func(t *testing.T) { // one behind the other: they have one client identifier
			want, got := probe(t, m.Addr, packets), probe(t, s.MQTTAddr(), packets)
			if want != got {
				t.Errorf("mosquitto: %s\nfrond:     %s", want, got)
			}
		})
	}
}

// probe sends packets, and reads up to the answer of a PINGREQ behind them, which may
// be among them too, or the end.
func probe(t *testing.T, addr string, packets []string) string {
	t.Helper()
	c := must[net.Conn](t)(net.Dial("tcp", addr))
	defer c.Close()
	ok(t, c.SetDeadline(time.Now().Add(step)))
	const pingreq, pingresp = "c0 00", "\xd0\x00"
	pings := 0
	for _, p := range append(slices.Clone(packets), pingreq) {
		if p == pingreq {
			pings++
		}
		_, _ = c.Write(must[[]byte](t)(hex.DecodeString(strings.ReplaceAll(p, " ", "")))) // it may be closed
	}
	var all []byte
	for b := make([]byte, 1024); ; {
		n, err := c.Read(b)
		all = append(all, b[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("no end behind %x", all)
		case err != nil:
			return fmt.Sprintf("%x and the end", all)
		case strings.HasSuffix(string(all), pingresp) && strings.Count(string(all), pingresp) >= pings:
			return fmt.Sprintf("%x", all)
		}
	}
}

// TestMosquitto_bridge_defaults: a mosquitto with a bridge of its defaults (MQTT
// 3.1.1 with the bit, a kept session, its state told), both ways, to a mosquitto and
// to frond: with the same result.
func TestMosquitto_bridge_defaults(t *testing.T) {
	mosquittoTool(t, "mosquitto")
	results := map[string]string{}
	for _, name := range []string{"mosquitto", "frond"} {
		var remote string
		if name == "frond" {
			remote = start(t, peers.FrondKind, mqttServer).MQTTAddr()
		} else {
			m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), ""))
			t.Cleanup(m.Kill)
			remote = m.Addr
		}
		results[name] = bridged(t, remote)
	}
	if results["mosquitto"] != results["frond"] {
		t.Errorf("mosquitto as the remote:\n%s\nfrond as the remote:\n%s", results["mosquitto"], results["frond"])
	}
}

// bridged are the steps; its result is what was seen.
func bridged(t *testing.T, remote string) string {
	t.Helper()
	var told strings.Builder
	far := client3(t, remote, nil)
	tell := func(what string, got <-chan string, n int) {
		t.Helper()
		fmt.Fprintf(&told, "%s\n  %s\n", what, strings.Join(gathered(t, far, got, n), "\n  "))
	}
	states := retainedInbox(t, far, "$SYS/broker/connection/#", 1)
	seen := retainedInbox(t, far, "plant/#", 1)
	line := link(t, remote)
	gateway := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(),
		"connection up\naddress "+line.Addr()+"\nrestart_timeout 1\nremote_clientid gateway-1\ntopic plant/# both 1\n"))
	t.Cleanup(gateway.Kill)
	tell("the bridge says that it is there", states, 1)
	near := client3(t, gateway.Addr, nil)
	home := retainedInbox(t, near, "plant/#", 1)
	token(t, near.Publish("plant/retained up", 1, true, "1"))
	token(t, near.Publish("plant/up", 1, false, "2"))
	tell("up, at the remote", seen, 2)
	tell("up, at the gateway", home, 2)
	token(t, far.Publish("plant/retained-down", 1, true, "3"))
	token(t, far.Publish("plant/down", 1, false, "4"))
	tell("down, at the gateway", home, 2)
	tell("down, at the remote", seen, 2)
	tell("retained at the remote", retainedInbox(t, client3(t, remote, nil), "plant/#", 1), 2)
	tell("retained at the gateway", retainedInbox(t, client3(t, gateway.Addr, nil), "plant/#", 1), 2)
	line.Set(proxy.Refuse)
	line.Cut()
	tell("the bridge's will", states, 1)
	for i := range 3 {
		token(t, far.Publish("plant/meanwhile", 1, i == 2, fmt.Sprint("down ", i)))
		token(t, near.Publish("plant/meanwhile", 1, false, fmt.Sprint("up ", i)))
	}
	tell("meanwhile, at the remote", seen, 3)
	tell("meanwhile, at the gateway", home, 3)
	line.Set(proxy.Pass)
	tell("the bridge is back", states, 1)

	token(t, far.Publish("plant/fence", 1, false, "down"))
	token(t, near.Publish("plant/fence", 1, false, "up"))
	fmt.Fprintf(&told, "what was kept\n  %s\n  %s\n", keptUntil(t, home, "plant/fence 1 false down"), keptUntil(t, seen, "plant/fence 1 false up"))
	tell("retained at the gateway", retainedInbox(t, client3(t, gateway.Addr, nil), "plant/meanwhile", 1), 1)
	if testing.Verbose() {
		t.Log(told.String())
	}
	return told.String()
}

// keptUntil are the different messages of plant/meanwhile in front of a fence. A
// bridge that comes back subscribes anew, and sends its own retained messages anew:
// what of that comes when is not compared. (mosquitto sends a bridge its own
// retained messages back, frond does not.)
func keptUntil(t *testing.T, got <-chan string, fence string) []string {
	t.Helper()
	var list []string
	for {
		select {
		case m := <-got:
			if m == fence {
				slices.Sort(list)
				return slices.Compact(list)
			}
			if strings.HasPrefix(m, "plant/meanwhile") {
				list = append(list, m)
			}
		case <-time.After(step):
			t.Fatalf("no %s behind %q", fence, list)
		}
	}
}
