package mqtt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/subject"
)

// told reads what a client is told of $SYS until it is answered, by topic, with an
// 'R' in front of what has the flag RETAIN.
func (c *client) told() map[string]string {
	c.t.Helper()
	c.send([]byte{packets.Pingreq << 4, 0})
	got := make(map[string]string)
	for {
		pk, err := c.next()
		if err != nil {
			c.t.Fatal(err)
		}
		if pk.FixedHeader.Type == packets.Pingresp {
			return got
		}
		v := string(pk.Payload)
		if pk.FixedHeader.Retain {
			v = "R" + v
		}
		if pk.FixedHeader.Qos != 0 {
			v += " with QoS"
		}
		got[strings.TrimPrefix(pk.TopicName, sysPrefix)] = v
	}
}

func wantTold(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
}

func TestSysTopics_numbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		all := b.capture(">")
		s := b.pipeConnected(v311, "watcher", nil)
		p := b.pipeConnected(v5, "dev", nil)
		for range 3 {
			p.publish("a", "1234", 0, 0)
		}
		p.fence()
		before := len(all.got())
		if code := s.subscribe("$SYS/#", 1); code != 1 {
			t.Fatalf("SUBACK %#x", code)
		}
		got := s.told()
		if want := new(counted).values(); len(got) != len(want) {
			t.Errorf("%d topics of %d: %v", len(got), len(want), slices.Sorted(maps.Keys(got)))
		}
		wantTold(t, got, map[string]string{
			"clients/total": "R2", "clients/connected": "R2", "clients/active": "R2", "clients/maximum": "R2", "clients/disconnected": "R0",
			"publish/messages/received": "R3", "publish/bytes/received": "R12", "publish/messages/sent": "R0",
			"messages/received": "R7", "messages/sent": "R3", // CONNECT, SUBSCRIBE; CONNECT, 3 PUBLISH, PINGREQ
			"retained messages/count": "R0", "subscriptions/count": "R0", "load/publish/received/1min": "R0.00", "uptime": "R0 seconds",
		})
		if v := got["version"]; !strings.HasPrefix(v, "Rfrond version ") {
			t.Errorf("version %q", v)
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		got = s.told()
		// 3 in 10 s are 18 a minute; exp(-1/6), exp(-1/30), exp(-1/90)
		wantTold(t, got, map[string]string{
			"load/publish/received/1min": "2.76", "load/publish/received/5min": "0.59", "load/publish/received/15min": "0.20",
			"load/connections/1min": "1.84", "uptime": "10 seconds", "subscriptions/count": "1",
			"publish/messages/received": "", "clients/connected": "", "version": "", // as they were
		})
		if n := len(all.got()) - before; n != 0 {
			t.Errorf("%d messages on subjects", n)
		}
		// An empty interval is not told, but for what goes on.
		<-time.After(10 * time.Second)
		synctest.Wait()
		if got = s.told(); got["publish/messages/received"] != "" || got["uptime"] != "20 seconds" {
			t.Errorf("told %v", got)
		}
		s.c.Close()
		p.c.Close()
		b.stop()
	})
}

// Who does not ask hears nothing, and nothing runs when nobody does.
func TestSysTopics_who(t *testing.T) {
	for _, tt := range []struct {
		filter string
		want   int // topics
	}{
		{"#", 0}, {"+/broker/uptime", 0}, {"$SYS/broker", 0}, {"$SYS/REQ/#", 0}, {"$share/g/$SYS/#", 0},
		{"$SYS/broker/uptime", 1}, {"$SYS/+/version", 1}, {"$SYS/broker/retained messages/count", 1},
		{"$SYS/broker/load/+/received/+", 9}, {"$SYS/broker/clients/#", 6},
	} {
		t.Run(tt.filter, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				c := b.pipeConnected(v5, "c", nil)
				if code := c.subscribe(tt.filter, 0); code != 0 {
					t.Fatalf("SUBACK %#x", code)
				}
				if got := c.told(); len(got) != tt.want {
					t.Errorf("told %v", got)
				}
				<-time.After(11 * time.Second)
				if got := c.told(); tt.want == 0 && len(got) > 0 {
					t.Errorf("told %v later", got)
				}
				unsub := &packets.Packet{ProtocolVersion: v5, PacketID: 9, Filters: packets.Subscriptions{{Filter: tt.filter}}}
				unsub.FixedHeader = packets.FixedHeader{Type: packets.Unsubscribe, Qos: 1}
				c.send(c.encoded(unsub.UnsubscribeEncode))
				c.expect(packets.Unsuback)
				<-time.After(11 * time.Second)
				b.m.mu.Lock()
				for _, s := range b.m.mu.sys {
					s.mu.Lock()
					if s.mu.running || len(s.mu.watchers) > 0 {
						t.Error("it runs for nobody")
					}
					s.mu.Unlock()
				}
				b.m.mu.Unlock()
				c.c.Close()
				b.stop()
			})
		})
	}
}

// Who subscribes while nothing is told hears all of it when a reload has it told.
func TestSysTopics_turnedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := makeBroker(t)
		b.Opts.MQTT.SysInterval = 0
		b.m = New()
		b.Run(b.m) // without a port
		c := b.pipeConnected(v5, "c", nil)
		c.subscribe("$SYS/broker/#", 0)
		<-time.After(time.Minute)
		if got := c.told(); len(got) > 0 {
			t.Errorf("told %v", got)
		}
		if err := b.Reload(func(o *config.Options) { o.MQTT.SysInterval = time.Second }); err != nil {
			t.Fatal(err)
		}
		<-time.After(sysIdle)
		synctest.Wait()
		if got := c.told(); len(got) != len(new(counted).values()) {
			t.Errorf("told %v", got)
		}
		c.c.Close()
	})
}

// A device can't tell others what the server tells, but a bridge its state.
func TestSysTopics_nobodyElse(t *testing.T) {
	b := startBroker(t, nil)
	s := b.capture("$SYS.broker.>")
	c := b.connect(v5, "c")
	for i, topic := range []string{"uptime", "retained messages/count", "connection/far/state"} {
		c.publish(sysPrefix+topic, "1", 1, uint16(i+1))
	}
	for _, id := range []byte{1, 2} {
		if pk := c.expect(packets.Puback); pk.ReasonCode != packets.ErrNotAuthorized.Code {
			t.Errorf("%d: PUBACK %#x", id, pk.ReasonCode)
		}
	}
	c.fence()
	if got := s.got(); len(got) != 1 || !strings.HasPrefix(got[0], "$SYS.broker.connection.far.state ") {
		t.Errorf("got %q", got)
	}
}

func TestSysTopics_permissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Auth = func(*auth.Request) (*auth.Grant, error) {
			p, err := subject.NewPermissions(nil, &subject.Rules{Allow: []string{"$SYS.>", "$SYS"}, Deny: []string{"$SYS.broker.load.>", "$SYS.broker.uptime"}}, nil)
			return &auth.Grant{User: "u", Account: b.Acc.Name(), Permissions: p}, err
		}
		c := b.pipeConnected(v5, "c", nil)
		if code := c.subscribe("$SYS/broker/uptime", 0); code != packets.ErrNotAuthorized.Code {
			t.Errorf("SUBACK %#x", code)
		}
		if code := c.subscribe("$SYS/#", 0); code != 0 {
			t.Fatalf("SUBACK %#x", code)
		}
		got := c.told()
		for k := range got {
			if k == "uptime" || strings.HasPrefix(k, "load/") {
				t.Errorf("told %s", k)
			}
		}
		if got["version"] == "" {
			t.Errorf("told %v", got)
		}
		c.c.Close()
		b.stop()
	})
}

// Means are those of an exponential decay, however far apart they are looked at.
func TestMeans_advance(t *testing.T) {
	var often, once means
	for range 600 {
		often.advance(2, time.Second)
	}
	once.advance(1200, 10*time.Minute)
	for i := range often {
		if a, b := fmt.Sprintf("%.6f", often[i]), fmt.Sprintf("%.6f", once[i]); a != b {
			t.Errorf("%s: %s and %s", spans[i].name, a, b)
		}
	}
}
