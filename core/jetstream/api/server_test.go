package api

import (
	"log/slog"
	"testing"

	"github.com/frondmq/frond/core/wire"
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
