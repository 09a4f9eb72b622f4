package api

import (
	"log/slog"
	"testing"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// named is an account of which only the name is asked.
type named struct{ Account }

func (named) Name() string { return "A" }

// Nobody reads these requests: what waits is bounded by its size.
func TestServer_requestsThatWaitAreBounded(t *testing.T) {
	s := New(Options{Logger: slog.New(slog.DiscardHandler), Now: func() int64 { return 0 }})
	m := &wire.Msg{Subject: []byte("$JS.API.STREAM.CREATE.S"), Body: make([]byte, 1<<20)}
	for range 100 {
		s.Request(named{}, m)
	}
	if n := len(s.queue); n < 8 || n > 32 {
		t.Errorf("%d requests of a megabyte wait", n)
	}
}

// one is an account with one stream.
type one struct {
	Account
	s *asked
}

func (one) Answers(string) bool { return true }

func (a one) Stream(string) (Stream, *apierror.Error) { return a.s, nil }

// asked is a stream that notes what it was asked to do.
type asked struct {
	Stream
	cfg asset.StreamConfig
	did string
}

func (s *asked) Config() *asset.StreamConfig { return &s.cfg }

func (s *asked) Purge(string, uint64, uint64) (uint64, *apierror.Error) {
	s.did = "purge"
	return 1, nil
}

func (s *asked) DeleteMsg(uint64) *apierror.Error {
	s.did = "delete"
	return nil
}

func (s *asked) Get(*GetRequest) (edgestore.Msg, *apierror.Error) {
	s.did = "get"
	return edgestore.Msg{Seq: 1, Header: []byte("NATS/1.0\r\n\r\n")}, nil
}

// What a stream denies, and what excludes each other in a request, it is not asked.
func TestServer_asksNothingThatIsDenied(t *testing.T) {
	s := New(Options{Level: 2, Logger: slog.New(slog.DiscardHandler)})
	sealed, noPurge, noDelete := asset.StreamConfig{Sealed: true}, asset.StreamConfig{DenyPurge: true}, asset.StreamConfig{DenyDelete: true}
	for _, x := range []struct {
		cfg              asset.StreamConfig
		rest, body, want string
	}{
		{asset.StreamConfig{}, "STREAM.PURGE.S", "", "purge"},
		{noDelete, "STREAM.PURGE.S", `{"seq":2}`, "purge"},
		{noPurge, "STREAM.PURGE.S", "", ""},
		{sealed, "STREAM.PURGE.S", "", ""},
		{asset.StreamConfig{}, "STREAM.PURGE.S", `{"seq":2,"keep":1}`, ""},
		{asset.StreamConfig{}, "STREAM.MSG.DELETE.S", `{"seq":1}`, "delete"},
		{noPurge, "STREAM.MSG.DELETE.S", `{"seq":1}`, "delete"},
		{noDelete, "STREAM.MSG.DELETE.S", `{"seq":1}`, ""},
		{sealed, "STREAM.MSG.DELETE.S", `{"seq":1}`, ""},
		{sealed, "STREAM.MSG.GET.S", `{"seq":1}`, "get"},
		{sealed, "STREAM.MSG.GET.S", `{"seq":1,"next_by_subj":"a"}`, "get"},
		{sealed, "STREAM.MSG.GET.S", `{"seq":1,"last_by_subj":"a"}`, ""},
		{sealed, "STREAM.MSG.GET.S", `{"last_by_subj":"a","next_by_subj":"a"}`, ""},
		{sealed, "STREAM.MSG.GET.S", `{"seq":1,"start_time":"2026-01-01T00:00:00Z"}`, ""},
		{sealed, "STREAM.MSG.GET.S", `{"seq":1,"batch":2}`, ""},
		{sealed, "STREAM.MSG.GET.S", `{"seq":1,"max_bytes":2}`, ""},
		{sealed, "STREAM.MSG.GET.S", `{}`, ""},
	} {
		a := one{s: &asked{cfg: x.cfg}}
		_, failed := s.handle(&Request{Account: a, Rest: x.rest, Body: []byte(x.body)})
		if a.s.did != x.want || failed != (x.want == "") {
			t.Errorf("%s %s: asked to %q, not %q; an error: %v", x.rest, x.body, a.s.did, x.want, failed)
		}
	}
}

// A message comes without its header to whoever wants none.
func TestServer_leavesHeadersOut(t *testing.T) {
	s := New(Options{Level: 2})
	for body, want := range map[string]bool{`{"seq":1}`: true, `{"seq":1,"no_hdr":true}`: false} {
		v, _ := s.handle(&Request{Account: one{s: new(asked)}, Rest: "STREAM.MSG.GET.S", Body: []byte(body)})
		if got := v.(msgGetResponse).Message; (len(got.Header) > 0) != want {
			t.Errorf("%s: %+v", body, got)
		}
	}
}
