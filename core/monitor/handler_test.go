package monitor

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeSource answers with a few connections.
type fakeSource struct{ health Healthz }

func (f *fakeSource) Varz() *Varz { return &Varz{ID: "N<1>", Now: testNow, Start: testNow} }

func (f *fakeSource) Connz(o *ConnzOptions) (*Connz, error) {
	return NewConnz("N1", testNow, o, someConns())
}

func (f *fakeSource) Leafz(o *LeafzOptions) *Leafz {
	d := &Description{Leafs: []*LeafInfo{{ID: 5, Name: "E1", Account: "$G"}, {ID: 6, Name: "E2", Account: "A", Spoke: true}},
		LeafConflicts: []LeafConflict{{Outcome: LeafRefused, Name: "E3", Account: "A"}}}
	if o.Subscriptions {
		d.Leafs[0].Subs = []string{"a.>"}
	}
	return NewLeafz("N1", testNow, o, d)
}

func (f *fakeSource) Healthz(o *HealthzOptions) *Healthz {
	h := f.health
	if o.Details {
		h.Errors = []HealthError{{Type: HealthStream, Account: o.Account, Stream: o.Stream, Error: "x"}}
	}
	return &h
}

func someConns() []*ConnInfo {
	at := func(s int) time.Time { return testNow.Add(-time.Duration(s) * time.Second) }
	stop := at(1)
	return []*ConnInfo{
		{Cid: 3, Kind: KindClient, Type: TypeNATS, Start: at(30), LastActivity: at(3), NumSubs: 1, OutMsgs: 5, RoundTrip: time.Millisecond, AuthorizedUser: "u", AccountName: "$G", Subs: []string{"a.>"}, SubsDetail: []SubDetail{{Subject: "a.>", SID: "1", Cid: 3}}},
		{Cid: 1, Kind: KindClient, Type: TypeMQTT, Start: at(10), LastActivity: at(9), NumSubs: 7, InBytes: 9, MQTTClient: "m", AccountName: "A", Account: "A"},
		{Cid: 2, Kind: KindLeaf, Start: at(20), LastActivity: at(1), Pending: 4, AccountName: "$G"},
		{Cid: 4, Kind: KindClient, Type: TypeNATS, Start: at(40), LastActivity: at(2), Stop: &stop, Reason: "Client Closed", AccountName: "$G"},
	}
}

func get(h *Handler, address string) Answered {
	u, err := url.ParseRequestURI(address)
	if err != nil {
		panic(err)
	}
	return h.Answer(u)
}

func TestHandler_answers(t *testing.T) {
	for _, c := range []struct {
		base, path string
		health     Healthz
		code       int
		ctype      string
		body       string // a part of it
	}{
		{"", "/varz", Healthz{}, 200, "application/json", "{\n  \"server_id\": \"N\\u003c1\\u003e\",\n  \"server_name\": \"\","},
		{"", "/connz?cid=1", Healthz{}, 200, "application/json", "\"limit\": 1,\n  \"connections\": [\n    {\n      \"cid\": 1,"},
		{"", "/connz?cid=9", Healthz{}, 200, "application/json", "\"connections\": []\n}"},
		{"", "/connz?limit=x", Healthz{}, 400, "text/plain; charset=utf-8", `Error decoding int for 'limit': strconv.Atoi: parsing "x": invalid syntax`},
		{"", "/connz?subs=x", Healthz{}, 400, "text/plain; charset=utf-8", `Error decoding boolean for 'subs': strconv.ParseBool: parsing "x": invalid syntax`},
		{"", "/connz?cid=x", Healthz{}, 400, "text/plain; charset=utf-8", `Error decoding uint64 for 'cid': strconv.ParseUint: parsing "x": invalid syntax`},
		{"", "/connz?state=zz", Healthz{}, 400, "text/plain; charset=utf-8", "Error decoding state for zz"},
		{"", "/connz?sort=foo", Healthz{}, 400, "text/plain; charset=utf-8", "invalid sorting option: foo"},
		{"", "/connz?sort=stop&state=all", Healthz{}, 400, "text/plain; charset=utf-8", "sort by stop only valid on closed connections"},
		{"", "/connz?sort=reason", Healthz{}, 400, "text/plain; charset=utf-8", "sort by reason only valid on closed connections"},
		{"", "/leafz", Healthz{}, 200, "application/json", "\"leafnodes\": 2,\n  \"leafs\": [\n    {\n      \"id\": 5,"},
		{"", "/leafz?acc=A", Healthz{}, 200, "application/json", "\"leafnodes\": 1,\n  \"leafs\": [\n    {\n      \"id\": 6,"},
		{"", "/leafz?acc=A", Healthz{}, 200, "application/json", `"outcome": "refused"`},
		{"", "/leafz?acc=B&subs=1", Healthz{}, 200, "application/json", "\"leafs\": []\n}"},
		{"", "/leafz?subs=1", Healthz{}, 200, "application/json", "\"subscriptions_list\": [\n        \"a.\\u003e\"\n      ]"},
		{"", "/leafz?subs=detail", Healthz{}, 400, "text/plain; charset=utf-8", `Error decoding boolean for 'subs': strconv.ParseBool: parsing "detail": invalid syntax`},
		{"", "/healthz", Healthz{Status: "ok", StatusCode: 200}, 200, "application/json", `{"status":"ok"}`},
		{"", "/healthz", Healthz{Status: "unavailable", StatusCode: 503, Error: "x"}, 503, "application/json", `{"status":"unavailable","error":"x"}`},
		{"", "/healthz?details=1&account=A&stream=S", Healthz{Status: "error", StatusCode: 404}, 404, "application/json", `{"status":"error","errors":[{"type":"STREAM","account":"A","stream":"S","error":"x"}]}`},
		{"", "/healthz?js-enabled-only=x", Healthz{}, 400, "text/plain; charset=utf-8", "Error decoding boolean for 'js-enabled-only'"},
		{"", "/", Healthz{}, 200, "text/html; charset=utf-8", `<a href="./varz">`},
		{"", "/nope", Healthz{}, 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"", "/varz/", Healthz{}, 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"", "/jszz", Healthz{}, 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"a/b/", "/a/b", Healthz{}, 200, "text/html; charset=utf-8", `<a href="b/varz">`},
		{"a/b/", "/a/b/varz", Healthz{}, 200, "application/json", `"server_id"`},
		{"a/b/", "/varz", Healthz{}, 404, "text/plain; charset=utf-8", "404 page not found"},
		{"a/b/", "/a/bvarz", Healthz{}, 404, "text/plain; charset=utf-8", "404 page not found"},
	} {
		t.Run(c.base+" "+strings.ReplaceAll(c.path, "/", "|"), func(t *testing.T) {
			a := get(NewHandler(&fakeSource{health: c.health}, c.base), c.path)
			if a.Code != c.code || a.Type != c.ctype || !strings.Contains(string(a.Body), c.body) {
				t.Errorf("got %d %s\n%s", a.Code, a.Type, a.Body)
			}
		})
	}
}

func TestHandler_countsRequests(t *testing.T) {
	h := NewHandler(&fakeSource{}, "/x")
	get(h, "/x/connz")
	get(h, "/x/varz")
	get(h, "/x/nope")
	var v Varz
	if err := json.Unmarshal(get(h, "/x/varz").Body, &v); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(v.HTTPReqStats); got != "map[/connz:1 /varz:2]" {
		t.Errorf("got %s", got)
	}
}

func TestNewConnz_sortsFiltersAndPages(t *testing.T) {
	for _, c := range []struct {
		o    ConnzOptions
		want string // cids, then total
	}{
		{ConnzOptions{}, "[1 2 3] 3"},
		{ConnzOptions{State: ConnAll}, "[1 2 3 4] 4"},
		{ConnzOptions{State: ConnClosed}, "[4] 1"},
		{ConnzOptions{State: ConnClosed, Sort: "stop"}, "[4] 1"},
		{ConnzOptions{State: ConnClosed, Sort: "reason"}, "[4] 1"},
		{ConnzOptions{Sort: "start"}, "[3 2 1] 3"},
		{ConnzOptions{Sort: "uptime"}, "[3 2 1] 3"},
		{ConnzOptions{Sort: "subs"}, "[1 3 2] 3"},
		{ConnzOptions{Sort: "pending"}, "[2 1 3] 3"},
		{ConnzOptions{Sort: "msgs_to"}, "[3 1 2] 3"},
		{ConnzOptions{Sort: "msgs_from"}, "[1 2 3] 3"},
		{ConnzOptions{Sort: "bytes_to"}, "[1 2 3] 3"},
		{ConnzOptions{Sort: "bytes_from"}, "[1 2 3] 3"},
		{ConnzOptions{Sort: "last"}, "[2 3 1] 3"},
		{ConnzOptions{Sort: "idle"}, "[1 3 2] 3"},
		{ConnzOptions{Sort: "rtt"}, "[3 1 2] 3"},
		{ConnzOptions{CID: 2}, "[2] 1"},
		{ConnzOptions{User: "u"}, "[3] 1"},
		{ConnzOptions{Account: "A"}, "[1] 1"},
		{ConnzOptions{MQTTClient: "m"}, "[1] 1"},
		{ConnzOptions{Limit: 2}, "[1 2] 3"},
		{ConnzOptions{Limit: 2, Offset: 2}, "[3] 3"},
		{ConnzOptions{Limit: 2, Offset: 100}, "[] 3"},
		{ConnzOptions{Limit: -1, Offset: -1}, "[1 2 3] 3"},
	} {
		z, err := NewConnz("N1", testNow, &c.o, someConns())
		if err != nil {
			t.Fatalf("%+v: %v", c.o, err)
		}
		cids := []uint64{}
		for _, x := range z.Conns {
			cids = append(cids, x.Cid)
		}
		if got := fmt.Sprint(cids, " ", z.Total); strings.ReplaceAll(got, "]  ", "] ") != c.want || z.NumConns != len(cids) {
			t.Errorf("%+v: got %s, want %s", c.o, got, c.want)
		}
	}
}

func TestNewConnz_showsWhatWasAskedFor(t *testing.T) {
	show := func(o ConnzOptions) string {
		o.CID = 3
		z, err := NewConnz("N1", testNow, &o, someConns())
		if err != nil {
			t.Fatal(err)
		}
		c := z.Conns[0]
		if c.Uptime != "30s" || c.Idle != "3s" || c.RTT != "1ms" {
			t.Errorf("got uptime %s, idle %s, rtt %s", c.Uptime, c.Idle, c.RTT)
		}
		return fmt.Sprint(c.AuthorizedUser, len(c.Subs), len(c.SubsDetail))
	}
	for o, want := range map[ConnzOptions]string{
		{}:                                      "0 0",
		{Auth: true}:                            "u0 0",
		{Subscriptions: true}:                   "1 0",
		{Subscriptions: true, SubsDetail: true}: "0 1",
	} {
		if got := show(o); got != want {
			t.Errorf("%+v: got %s, want %s", o, got, want)
		}
	}
}

func TestUptime_isWrittenInWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                            "0s",
		3500 * time.Millisecond:                 "3s",
		125 * time.Second:                       "2m5s",
		time.Hour + 3*time.Second:               "1h0m3s",
		51*time.Hour + 245*time.Second:          "2d3h4m5s",
		(365*24+51)*time.Hour + 245*time.Second: "1y2d3h4m5s",
	} {
		if got := Uptime(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
