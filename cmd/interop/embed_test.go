package interop

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// nats.go in the process of the server, without a socket.
func TestEmbedded_clientInTheProcess(t *testing.T) {
	o := config.Defaults()
	o.Host, o.Port = "127.0.0.1", -1
	o.JetStream.Enabled, o.JetStream.StoreDir = true, t.TempDir()
	s, err := core.New(o, nil, nil)
	ok(t, err)
	ok(t, s.Start())
	defer func() { ok(t, s.Shutdown(context.Background())) }()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	ok(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	ok(t, err)
	ctx := within(t, step)
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "rooms"})
	ok(t, err)
	big := make([]byte, 500_000) // far more than a pipe takes at once
	_, err = kv.Put(ctx, "kitchen", big)
	ok(t, err)
	e, err := kv.Get(ctx, "kitchen")
	ok(t, err)
	if len(e.Value()) != len(big) {
		t.Errorf("%d bytes came back", len(e.Value()))
	}
	answer, err := s.Request(ctx, "$JS.API.STREAM.NAMES", nil)
	ok(t, err)
	if !strings.Contains(string(answer), `"KV_rooms"`) {
		t.Errorf("streams: %s", answer)
	}
}
