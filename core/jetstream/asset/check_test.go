package asset

import (
	"strings"
	"testing"
	"time"
)

// What Check refuses, each beside what is allowed still.
func TestCheck_refuses(t *testing.T) {
	long := strings.Repeat("m", maxMetadataBytes-1)
	external := func(api, deliver string) *StreamSource {
		return &StreamSource{Name: "O", External: &ExternalStream{APIPrefix: api, DeliverPrefix: deliver}}
	}
	transforms := func(a, b string) *StreamSource {
		return &StreamSource{Name: "O", SubjectTransforms: []SubjectTransform{{a, ""}, {b, ""}}}
	}
	republish := func(to string) *Republish { return &Republish{Source: "s.*", Destination: to} }
	for what, c := range map[string]struct{ good, bad StreamConfig }{
		"metadata":             {StreamConfig{Metadata: map[string]string{"k": long}}, StreamConfig{Metadata: map[string]string{"kk": long}}},
		"first sequence":       {StreamConfig{FirstSeq: MaxSeq}, StreamConfig{FirstSeq: MaxSeq + 1}},
		"replicas":             {StreamConfig{Replicas: 1}, StreamConfig{Replicas: 2}},
		"duplicates above age": {StreamConfig{MaxAge: time.Second, Duplicates: time.Second}, StreamConfig{MaxAge: time.Second, Duplicates: time.Second + 1}},
		"duplicates of server": {StreamConfig{Duplicates: time.Minute}, StreamConfig{Duplicates: time.Minute + 1}},
		"external API":         {StreamConfig{Sources: []*StreamSource{external("$JS.hub.API", "")}}, StreamConfig{Sources: []*StreamSource{external("$JS.API.x", "")}}},
		"external deliveries": {StreamConfig{Subjects: []string{"s.>"}, Sources: []*StreamSource{external("$JS.hub.API", "d.")}},
			StreamConfig{Subjects: []string{"s.>"}, Sources: []*StreamSource{external("$JS.hub.API", "s.d.")}}},
		"filters of one source": {StreamConfig{Sources: []*StreamSource{transforms("a.*", "b.*")}}, StreamConfig{Sources: []*StreamSource{transforms("a.*", "a.b")}}},
		"republish in a circle": {StreamConfig{Subjects: []string{"s.*"}, Republish: republish("t.$1")}, StreamConfig{Subjects: []string{"s.*", "r.b"}, Republish: republish("r.$1")}},
		"markers of a mirror":   {StreamConfig{SubjectDeleteMarkerTTL: time.Second}, StreamConfig{SubjectDeleteMarkerTTL: time.Second, Mirror: &StreamSource{Name: "O"}}},
	} {
		c.good.Name, c.bad.Name = "S", "S"
		if err := c.good.Check(time.Minute, false); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := c.bad.Check(time.Minute, false); err == nil {
			t.Errorf("%s: %+v is taken", what, c.bad)
		}
	}
}

// A window that nobody has asked for is no longer than the server allows.
func TestCheck_windowOfTheServer(t *testing.T) {
	for most, want := range map[time.Duration]time.Duration{0: defaultDuplicates, time.Minute: time.Minute, time.Hour: defaultDuplicates} {
		c := StreamConfig{Name: "S"}
		if err := c.Check(most, false); err != nil || c.Duplicates != want {
			t.Errorf("of a server that allows %v: %v, %v", most, c.Duplicates, err)
		}
	}
}

// What a stream has promised for good no update takes back, and a sealed one keeps
// all that it has.
func TestCheckUpdate_keepsPromises(t *testing.T) {
	with := func(change func(c *StreamConfig)) *StreamConfig {
		c := &StreamConfig{Name: "S"}
		change(c)
		if err := c.Check(0, false); err != nil {
			t.Fatal(err)
		}
		return c
	}
	plain := func(*StreamConfig) {}
	for what, change := range map[string]func(c *StreamConfig){
		"deny_delete":   func(c *StreamConfig) { c.DenyDelete = true },
		"deny_purge":    func(c *StreamConfig) { c.DenyPurge = true },
		"allow_msg_ttl": func(c *StreamConfig) { c.AllowMsgTTL = true },
		"sealed":        func(c *StreamConfig) { c.Sealed = true },
	} {
		if err := with(change).CheckUpdate(with(plain)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if with(plain).CheckUpdate(with(change)) == nil {
			t.Errorf("%s is taken back", what)
		}
	}
	c := with(func(c *StreamConfig) { c.Sealed, c.MaxAge, c.AllowRollup = true, time.Hour, true })
	if err := c.CheckUpdate(with(plain)); err != nil || c.MaxAge != 0 || c.AllowRollup || c.Discard != DiscardNew || !c.DenyDelete || !c.DenyPurge {
		t.Errorf("sealed: %+v, %v", c, err)
	}
}
