package interop

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

func TestClient_core(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{})
		a, b := connect(t, s), connect(t, s)

		t.Run("headers and reply", func(t *testing.T) {
			sub := must[*nats.Subscription](t)(b.SubscribeSync("a.>"))
			ok(t, b.Flush())
			m := nats.NewMsg("a.b")
			m.Header.Add("K", "v1")
			m.Header.Add("K", "v2")
			m.Data, m.Reply = []byte("body"), "back"
			ok(t, a.PublishMsg(m))
			got := must[*nats.Msg](t)(sub.NextMsg(step))
			if got.Subject != "a.b" || got.Reply != "back" || string(got.Data) != "body" || !slices.Equal(got.Header["K"], []string{"v1", "v2"}) {
				t.Fatalf("got %+v", got)
			}
		})
		t.Run("request, reply and no responders", func(t *testing.T) {
			must[*nats.Subscription](t)(b.Subscribe("svc", func(m *nats.Msg) { _ = m.Respond(append([]byte("re: "), m.Data...)) }))
			ok(t, b.Flush())
			got := must[*nats.Msg](t)(a.Request("svc", []byte("x"), step))
			if string(got.Data) != "re: x" {
				t.Fatalf("got %q", got.Data)
			}
			if _, err := a.Request("nobody", nil, step); !errors.Is(err, nats.ErrNoResponders) {
				t.Fatalf("got %v, want no responders", err)
			}
		})
		t.Run("each queue group gets each message once", func(t *testing.T) {
			const n, members = 400, 4
			var count [2]atomic.Int64
			var each [members]atomic.Int64
			for i := range members {
				must[*nats.Subscription](t)(b.QueueSubscribe("work", "one", func(*nats.Msg) { count[0].Add(1); each[i].Add(1) }))
			}
			must[*nats.Subscription](t)(a.QueueSubscribe("work", "two", func(*nats.Msg) { count[1].Add(1) }))
			ok(t, b.Flush())
			ok(t, a.Flush())
			for range n {
				ok(t, a.Publish("work", nil))
			}
			ok(t, a.Flush())
			ok(t, b.Flush())
			eventually(t, step, func() error {
				if x, y := count[0].Load(), count[1].Load(); x != n || y != n {
					return fmt.Errorf("groups got %d and %d of %d", x, y, n)
				}
				return nil
			})
			for i := range each {
				if each[i].Load() == 0 {
					t.Errorf("member %d of %d got nothing of %d", i, members, n)
				}
			}
		})
		t.Run("order from one publisher", func(t *testing.T) {
			const n = 20_000
			sub := must[*nats.Subscription](t)(b.SubscribeSync("seq"))
			ok(t, sub.SetPendingLimits(-1, -1))
			ok(t, b.Flush())
			for i := range n {
				ok(t, a.Publish("seq", fmt.Appendf(nil, "%d", i)))
			}
			ok(t, a.Flush())
			for i := range n {
				if got := must[*nats.Msg](t)(sub.NextMsg(step)); string(got.Data) != fmt.Sprint(i) {
					t.Fatalf("message %d is %q", i, got.Data)
				}
			}
		})
		t.Run("a message of the largest size", func(t *testing.T) {
			sub := must[*nats.Subscription](t)(b.SubscribeSync("big"))
			ok(t, b.Flush())
			body := bytes.Repeat([]byte("x"), int(a.MaxPayload()))
			ok(t, a.Publish("big", body))
			if got := must[*nats.Msg](t)(sub.NextMsg(step)); !bytes.Equal(got.Data, body) {
				t.Fatalf("got %d bytes of %d", len(got.Data), len(body))
			}
		})
		t.Run("drain", func(t *testing.T) {
			c := connect(t, s)
			var n atomic.Int64
			must[*nats.Subscription](t)(c.Subscribe("drain", func(*nats.Msg) { n.Add(1) }))
			ok(t, c.Flush())
			for range 100 {
				ok(t, a.Publish("drain", nil))
			}
			ok(t, a.Flush())
			ok(t, c.Drain())
			eventually(t, step, func() error {
				if !c.IsClosed() || n.Load() != 100 {
					return fmt.Errorf("closed %v, %d of 100", c.IsClosed(), n.Load())
				}
				return nil
			})
		})
	})
}

func TestClient_password(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{Extra: `authorization { users: [
			{ user: up, password: secret, permissions: { publish: "t.>", subscribe: ["t.>", "_INBOX.>"] } }
		] }` + "\n"})
		if _, err := nats.Connect(s.URL()); !errors.Is(err, nats.ErrAuthorization) {
			t.Fatalf("without a user: %v, want an authorization error", err)
		}
		if _, err := nats.Connect(s.URL(), nats.UserInfo("up", "wrong")); !errors.Is(err, nats.ErrAuthorization) {
			t.Fatalf("with a wrong password: %v, want an authorization error", err)
		}
		denied := make(chan error, 10)
		nc := connect(t, s, nats.UserInfo("up", "secret"),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
		sub := must[*nats.Subscription](t)(nc.SubscribeSync("t.a"))
		ok(t, nc.Publish("t.a", []byte("ok")))
		must[*nats.Msg](t)(sub.NextMsg(step))
		ok(t, nc.Publish("other", nil))
		must[*nats.Subscription](t)(nc.SubscribeSync("other"))
		for range 2 {
			select {
			case err := <-denied:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Fatalf("got %v, want a permissions violation", err)
				}
			case <-time.After(step):
				t.Fatal("no permissions violation came")
			}
		}
	})
}

func TestClient_publish(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true})
		nc := connect(t, s)
		js := stream(t, nc)
		ctx := within(t, time.Minute)
		str := must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}))

		for i := range 50 {
			ack := must[*jetstream.PubAck](t)(js.Publish(ctx, "s.sync", nil))
			if ack.Sequence != uint64(i+1) || ack.Stream != "S" {
				t.Fatalf("ack %d: %+v", i, ack)
			}
		}
		// Asynchronously, with one duplicate of each: the ack tells.
		var acks []jetstream.PubAckFuture
		for i := range 1000 {
			for range 2 {
				acks = append(acks, must[jetstream.PubAckFuture](t)(js.PublishAsync("s.async", nil, jetstream.WithMsgID(fmt.Sprint("id", i)))))
			}
		}
		select {
		case <-js.PublishAsyncComplete():
		case <-time.After(step):
			t.Fatal("asynchronous acks did not come")
		}
		for i, f := range acks {
			select {
			case ack := <-f.Ok():
				if want := uint64(51 + i/2); ack.Sequence != want || ack.Duplicate != (i%2 == 1) {
					t.Fatalf("ack %d: %+v, want sequence %d, duplicate %v", i, ack, want, i%2 == 1)
				}
			case err := <-f.Err():
				t.Fatalf("ack %d: %v", i, err)
			}
		}
		if info := must[*jetstream.StreamInfo](t)(str.Info(ctx)); info.State.Msgs != 1050 || info.State.LastSeq != 1050 {
			t.Fatalf("state %+v", info.State)
		}
		_, err := js.Publish(ctx, "s.x", nil, jetstream.WithExpectLastSequence(7))
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
			t.Fatalf("got %v, want wrong last sequence", err)
		}
		if _, err := js.Publish(ctx, "not.a.stream", nil, jetstream.WithRetryAttempts(0)); !errors.Is(err, jetstream.ErrNoStreamResponse) {
			t.Fatalf("got %v, want no stream response", err)
		}
	})
}

func TestClient_consume(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true})
		nc := connect(t, s)
		js := stream(t, nc)
		ctx := within(t, time.Minute)
		str := must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}))
		const n = 3000
		for i := range n {
			must[jetstream.PubAckFuture](t)(js.PublishAsync(fmt.Sprintf("s.%d", i%3), fmt.Appendf(nil, "%d", i)))
		}
		<-js.PublishAsyncComplete()

		t.Run("pull with Consume", func(t *testing.T) {
			c := must[jetstream.Consumer](t)(str.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "PULL", AckPolicy: jetstream.AckExplicitPolicy}))
			got := collect(t, c, n)
			for i := range got {
				if got[i] != fmt.Sprint(i) {
					t.Fatalf("message %d is %q", i, got[i])
				}
			}
			eventually(t, step, func() error {
				info, err := c.Info(ctx)
				if err == nil && (info.NumAckPending != 0 || info.NumPending != 0 || info.AckFloor.Stream != n) {
					err = fmt.Errorf("consumer %+v", info)
				}
				return err
			})
		})
		t.Run("fetch, nak, redelivery and term", func(t *testing.T) {
			c := must[jetstream.Consumer](t)(str.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
				Durable: "NAK", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "s.1", AckWait: 500 * time.Millisecond}))
			// until acknowledges what comes until a message satisfies f. The
			// server may handle a pull before the nak that was sent first.
			seen := map[string]int{}
			until := func(f func(body string) bool) jetstream.Msg {
				t.Helper()
				for {
					m := fetch(t, c, 1)[0]
					seen[string(m.Data())]++
					if f(string(m.Data())) {
						return m
					}
					ok(t, m.Ack())
				}
			}
			twice := func(m jetstream.Msg) {
				t.Helper()
				if meta := must[*jetstream.MsgMetadata](t)(m.Metadata()); meta.NumDelivered != 2 {
					t.Errorf("%q says it was delivered %d times, want 2", m.Data(), meta.NumDelivered)
				}
			}
			first := fetch(t, c, 2)
			ok(t, first[0].Nak())
			again := until(func(body string) bool { return body == "1" })
			twice(again)
			ok(t, again.DoubleAck(ctx))
			ok(t, first[1].Term())
			ok(t, nc.Flush())
			// Not acknowledged: comes again after ack wait. The acknowledged
			// and the terminated one do not.
			clear(seen)
			late := string(fetch(t, c, 1)[0].Data())
			twice(until(func(body string) bool { return body == late }))
			if seen["1"]+seen["4"] > 0 {
				t.Errorf("acknowledged or terminated, and there again: %v", seen)
			}
		})
		t.Run("ordered", func(t *testing.T) {
			c := must[jetstream.Consumer](t)(str.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"s.0", "s.2"}}))
			got := collect(t, c, n/3*2)
			if got[0] != "0" || got[1] != "2" || got[2] != "3" {
				t.Fatalf("begins with %v", got[:3])
			}
		})
		t.Run("push with flow control and heartbeats", func(t *testing.T) {
			old := must[nats.JetStreamContext](t)(nc.JetStream())
			sub := must[*nats.Subscription](t)(old.SubscribeSync("s.>", nats.OrderedConsumer(), nats.IdleHeartbeat(time.Second)))
			for i := range n {
				if m := must[*nats.Msg](t)(sub.NextMsg(step)); string(m.Data) != fmt.Sprint(i) {
					t.Fatalf("message %d is %q", i, m.Data)
				}
			}
			ok(t, sub.Unsubscribe())
		})
		t.Run("last per subject", func(t *testing.T) {
			c := must[jetstream.Consumer](t)(str.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
				Name: "LAST", AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: "s.>"}))
			var got []string
			for _, m := range fetch(t, c, 3) {
				got = append(got, string(m.Data()))
			}
			if !slices.Equal(got, []string{"2997", "2998", "2999"}) {
				t.Fatalf("got %v", got)
			}
		})
		t.Run("two share one consumer", func(t *testing.T) {
			c := must[jetstream.Consumer](t)(str.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "SHARE", AckPolicy: jetstream.AckExplicitPolicy}))
			var mu sync.Mutex
			seen := map[string]int{}
			done := make(chan struct{})
			for range 2 {
				cc := must[jetstream.ConsumeContext](t)(c.Consume(func(m jetstream.Msg) {
					_ = m.Ack()
					mu.Lock()
					defer mu.Unlock()
					if seen[string(m.Data())]++; len(seen) == n && seen[string(m.Data())] == 1 {
						close(done)
					}
				}, jetstream.PullMaxMessages(50)))
				defer cc.Stop()
			}
			select {
			case <-done:
			case <-time.After(step):
				mu.Lock()
				defer mu.Unlock()
				t.Fatalf("%d of %d", len(seen), n)
			}
		})
		t.Run("a message arrives while a pull waits", func(t *testing.T) {
			c := must[jetstream.Consumer](t)(str.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
				Name: "NEW", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy}))
			got := make(chan string, 1)
			cc := must[jetstream.ConsumeContext](t)(c.Consume(func(m jetstream.Msg) { _ = m.Ack(); got <- string(m.Data()) }))
			defer cc.Stop()
			must[*jetstream.PubAck](t)(js.Publish(ctx, "s.new", []byte("fresh")))
			select {
			case m := <-got:
				if m != "fresh" {
					t.Fatalf("got %q", m)
				}
			case <-time.After(step):
				t.Fatal("nothing came")
			}
		})
	})
}

// collect consumes exactly n messages, acknowledging each, and checks that no
// more come at once.
func collect(t *testing.T, c jetstream.Consumer, n int) []string {
	t.Helper()
	out := make(chan string, n+100)
	cc := must[jetstream.ConsumeContext](t)(c.Consume(func(m jetstream.Msg) { _ = m.Ack(); out <- string(m.Data()) }))
	defer cc.Stop()
	var got []string
	deadline := time.After(step)
	for len(got) < n {
		select {
		case m := <-out:
			got = append(got, m)
		case <-deadline:
			t.Fatalf("got %d of %d", len(got), n)
		}
	}
	return got
}

// fetch waits for exactly n messages.
func fetch(t *testing.T, c jetstream.Consumer, n int) []jetstream.Msg {
	t.Helper()
	var got []jetstream.Msg
	for len(got) < n {
		batch := must[jetstream.MessageBatch](t)(c.Fetch(n-len(got), jetstream.FetchMaxWait(step)))
		before := len(got)
		for m := range batch.Messages() {
			got = append(got, m)
		}
		if err := batch.Error(); err != nil || len(got) == before {
			t.Fatalf("fetch: %v with %d of %d", err, len(got), n)
		}
	}
	return got
}

func TestClient_kv(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true})
		js := stream(t, connect(t, s))
		ctx := within(t, time.Minute)
		kv := must[jetstream.KeyValue](t)(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "B", History: 5}))
		w := must[jetstream.KeyWatcher](t)(kv.WatchAll(ctx))
		next := func() jetstream.KeyValueEntry {
			t.Helper()
			select {
			case e := <-w.Updates():
				return e
			case <-time.After(step):
				t.Fatal("the watcher is silent")
				return nil
			}
		}
		if e := next(); e != nil {
			t.Fatalf("an empty bucket begins with %v", e)
		}
		for i := 1; i <= 3; i++ {
			if rev := must[uint64](t)(kv.PutString(ctx, "k", fmt.Sprint(i))); rev != uint64(i) {
				t.Fatalf("revision %d, want %d", rev, i)
			}
			if e := next(); e.Key() != "k" || string(e.Value()) != fmt.Sprint(i) {
				t.Fatalf("watched %s=%s", e.Key(), e.Value())
			}
		}
		if _, err := kv.Create(ctx, "k", nil); !errors.Is(err, jetstream.ErrKeyExists) {
			t.Fatalf("create: %v, want key exists", err)
		}
		must[uint64](t)(kv.Update(ctx, "k", []byte("4"), 3))
		if _, err := kv.Update(ctx, "k", []byte("5"), 3); err == nil {
			t.Fatal("update with an old revision succeeded")
		}
		if h := must[[]jetstream.KeyValueEntry](t)(kv.History(ctx, "k")); len(h) != 4 {
			t.Fatalf("history has %d entries", len(h))
		}
		ok(t, kv.Delete(ctx, "k"))
		next()
		if e := next(); e.Operation() != jetstream.KeyValueDelete {
			t.Fatalf("watched %v", e.Operation())
		}
		if _, err := kv.Get(ctx, "k"); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Fatalf("get after delete: %v", err)
		}
		must[uint64](t)(kv.Create(ctx, "k", []byte("reborn")))
		ok(t, kv.Purge(ctx, "k"))
		must[uint64](t)(kv.PutString(ctx, "other.key", "v"))
		keys := must[[]string](t)(kv.Keys(ctx))
		if !slices.Equal(keys, []string{"other.key"}) {
			t.Fatalf("keys %v", keys)
		}
		ok(t, js.DeleteKeyValue(ctx, "B"))
	})
}

func TestClient_object(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true})
		js := stream(t, connect(t, s))
		ctx := within(t, time.Minute)
		obj := must[jetstream.ObjectStore](t)(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "O"}))
		body := bytes.Repeat([]byte("frond"), 1<<19) // 2.6 MB, 20 chunks
		info := must[*jetstream.ObjectInfo](t)(obj.PutBytes(ctx, "x/y", body))
		if info.Size != uint64(len(body)) || info.Chunks != 20 {
			t.Fatalf("info %+v", info)
		}
		if got := must[[]byte](t)(obj.GetBytes(ctx, "x/y")); sha256.Sum256(got) != sha256.Sum256(body) {
			t.Fatalf("got %d bytes, not the %d that were put", len(got), len(body))
		}
		// Again under the same name: the old chunks are purged.
		must[*jetstream.ObjectInfo](t)(obj.PutString(ctx, "x/y", "small"))
		if got := must[string](t)(obj.GetString(ctx, "x/y")); got != "small" {
			t.Fatalf("got %q", got)
		}
		if l := must[[]*jetstream.ObjectInfo](t)(obj.List(ctx)); len(l) != 1 {
			t.Fatalf("%d objects", len(l))
		}
		ok(t, obj.Delete(ctx, "x/y"))
		if _, err := obj.Get(ctx, "x/y"); !errors.Is(err, jetstream.ErrObjectNotFound) {
			t.Fatalf("get after delete: %v", err)
		}
		ok(t, js.DeleteObjectStore(ctx, "O"))
	})
}

// Keys that live for a while, and the markers that watchers see when they are
// gone.
func TestClient_kvTTL(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true})
		js := stream(t, connect(t, s))
		ctx := within(t, time.Minute)
		kv := must[jetstream.KeyValue](t)(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "T", LimitMarkerTTL: 2 * time.Second}))
		w := must[jetstream.KeyWatcher](t)(kv.WatchAll(ctx))
		next := func() jetstream.KeyValueEntry {
			t.Helper()
			select {
			case e := <-w.Updates():
				return e
			case <-time.After(step):
				t.Fatal("the watcher is silent")
				return nil
			}
		}
		if e := next(); e != nil {
			t.Fatalf("an empty bucket begins with %v", e)
		}
		must[uint64](t)(kv.Create(ctx, "short", []byte("v"), jetstream.KeyTTL(time.Second)))
		must[uint64](t)(kv.Create(ctx, "stays", []byte("v")))
		must[uint64](t)(kv.Create(ctx, "purged", []byte("v")))
		ok(t, kv.Purge(ctx, "purged", jetstream.PurgeTTL(time.Second)))
		for gone := false; !gone; { // what was overwritten quickly may not be seen
			e := next()
			gone = e.Key() == "short" && e.Operation() == jetstream.KeyValuePurge
		}
		if _, err := kv.Get(ctx, "short"); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Fatalf("get of a key that expired: %v", err)
		}
		eventually(t, step, func() error {
			status, err := kv.Status(ctx)
			if err != nil {
				return err
			}
			if n := status.Values(); n != 1 {
				return fmt.Errorf("%d values, the markers should go too", n)
			}
			return nil
		})
		if e := must[jetstream.KeyValueEntry](t)(kv.Get(ctx, "stays")); string(e.Value()) != "v" {
			t.Fatalf("got %q", e.Value())
		}
	})
}
