package jetstream

import (
	"encoding/json"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// Whatever stands in an operation, applying it says what is wrong and goes on.
func FuzzApply(f *testing.F) {
	blob := edgestore.AppendBlob(nil, []byte("s.a"), []byte(header("Nats-Msg-Id", "1", "Nats-Rollup", "sub")), []byte("x"))
	f.Add(opPublish, append([]byte{flagMsgID | flagRollup | flagExpect}, blob...))
	o := origin{"src", 7, 8, 0}
	f.Add(opIngest, append(o.append(nil, flagMsgID), blob...))
	p := purge{"s.>", 3, 1}
	f.Add(opPurge, p.append(nil))
	f.Add(opConfig, msgp.AppendBytes(nil, []byte(jsonOf(f, "name=S subjects=[s.>] storage=memory max_msgs=1"))))
	f.Add(opMsgDelete, appendUint(nil, 1))
	f.Add(opExpire, msgp.AppendInt64(nil, 1e18))
	x := expiry{1 << 60, 5, 2, 1 << 40, 10}
	f.Add(opExpire, x.append(nil))
	f.Add(opMarker, append(appendUint(appendUint(nil, uint64(flagTTL|flagRollup)), 1), blob...))
	f.Add(opSkip, msgp.AppendInt64(appendUint(nil, 9), 1))
	w := passedOver{"src", 7, 0, "too long"}
	f.Add(opPassedOver, w.append(nil))
	f.Add(opRelease, appendUint(appendUint(nil, 1), 1))
	c := consumerCreate{"c", 1, []byte(jsonOf(f, "ack_policy=explicit")), 0}
	f.Add(opConsumerCreate, c.append(nil))
	f.Add(opClockMove, msgp.AppendInt64(msgp.AppendInt64(msgp.AppendInt64(msgp.AppendInt64(nil, 9), 1), 1<<60), 1<<40))
	f.Add(opConsumerDelete, msgp.AppendString(nil, "c"))
	f.Add(opConsumerDelta, msgp.AppendBytes(appendUint(appendUint(nil, 1), 1), []byte{1, 1, 1}))
	f.Add(uint8(99), []byte{})
	conf := testConfig(f)
	conf.Logger = nil // a log of the whole fuzzing is not to be had
	e, err := New(conf)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	cfg := asset.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Storage: asset.MemoryStorage, AllowRollup: true}
	if err := cfg.Check(e.cfg.Limits.MaxDuplicateWindow, false); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		s, err := newStream(e, e.account("A"), streamCreate{incarnation: 1, config: asset.Encode(&cfg)}, &cfg, edgestore.NewMemoryStore(0), nil)
		if err != nil {
			t.Fatal(err)
		}
		run := make([]edgestore.Entry, 3)
		run[0].Kind, run[0].Data = opConsumerCreate, c.append(nil)
		run[1].Kind, run[1].Data = kind, data
		run[2].Kind, run[2].Data = opPublish, append([]byte{0}, blob...)
		for i := range run {
			run[i].LSN = edgestore.LSN(i + 1)
		}
		var fx effects
		fx.begin(s, run)
		s.applyRun(run, &fx)
		if s.failed != nil {
			t.Skip("the store refused")
		}
	})
}

// What a request asks for never brings the server down, and what it accepts
// can be written and read again.
func FuzzStreamConfig(f *testing.F) {
	f.Add([]byte(jsonOf(f, `name=S subjects=[s.>] republish={dest="x.{{wildcard(1)}}"} metadata={a=b}`)))
	f.Add([]byte(jsonOf(f, "name=S subject_transform={src=a.* dest=b.$1} discard=NEW")))
	f.Add([]byte(jsonOf(f, "name=S placement={} mirror={name=x} storage=memory")))
	f.Fuzz(func(t *testing.T, body []byte) {
		var req asset.StreamConfigRequest
		if json.Unmarshal(body, &req) != nil || req.Check(0, req.Pedantic) != nil {
			return
		}
		again, err := asset.Decode(asset.Encode(&req.StreamConfig))
		if err != nil {
			t.Fatal(err)
		}
		if !asset.Equal(again, &req.StreamConfig) {
			t.Errorf("%s became %s", asset.Encode(&req.StreamConfig), asset.Encode(again))
		}
		if _, err := newStreamView(again, ""); err != nil {
			t.Errorf("accepted, but: %v", err)
		}
	})
}
