package jetstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/api"
)

// originAnswer is what tests read of the origins in a stream's info.
type originAnswer struct {
	Mirror  *api.SourceInfo   `json:"mirror"`
	Sources []*api.SourceInfo `json:"sources"`
	State   api.StreamState   `json:"state"`
}

func (b *testBus) origins(t testing.TB, stream string) (a originAnswer) {
	t.Helper()
	b.call(t, "STREAM.INFO."+stream, "", &a)
	return a
}

type gotMsg struct {
	Message struct {
		Subject string `json:"subject"`
		Seq     uint64 `json:"seq"`
		Header  []byte `json:"hdrs"`
		Data    []byte `json:"data"`
		Time    string `json:"time"`
	} `json:"message"`
}

func (b *testBus) msg(t testing.TB, stream string, seq uint64) gotMsg {
	t.Helper()
	var m gotMsg
	b.call(t, "STREAM.MSG.GET."+stream, fmt.Sprintf(`{"seq":%d}`, seq), &m)
	return m
}

func TestMirror(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"O","subjects":["o.>"],"storage":"memory"}`)
	for i := range 10 {
		b.publish(t, "o.a", fmt.Sprint(i), "Nats-Expected-Stream", "O", "K", "v")
	}
	b.call(t, "STREAM.MSG.DELETE.O", `{"seq":4}`, nil)
	b.call(t, "STREAM.PURGE.O", `{"seq":3}`, nil)
	mustStream(t, b, `{"name":"M","storage":"memory","mirror":{"name":"O"}}`)

	caughtUp := func(last, msgs uint64) func() bool {
		return func() bool { s := b.origins(t, "M").State; return s.LastSeq == last && s.Msgs == msgs }
	}
	eventually(t, caughtUp(10, 7))
	t.Run("keeps sequences, times and gaps", func(t *testing.T) {
		s := b.origins(t, "M").State
		if s.FirstSeq != 3 || s.NumDeleted != 1 {
			t.Errorf("state %+v", s)
		}
		o, m := b.msg(t, "O", 5), b.msg(t, "M", 5)
		if m.Message.Time != o.Message.Time || m.Message.Subject != "o.a" || string(m.Message.Data) != "4" {
			t.Errorf("origin %+v\nmirror %+v", o, m)
		}
		if h := string(m.Message.Header); !strings.Contains(h, "K: v") || strings.Contains(h, "Nats-Expected") {
			t.Errorf("header %q", h)
		}
	})
	t.Run("follows", func(t *testing.T) {
		b.publish(t, "o.b", "x")
		eventually(t, caughtUp(11, 8))
		if i := b.origins(t, "M").Mirror; i == nil || i.Name != "O" || i.Lag != 0 || i.Active < 0 || i.Error != nil {
			t.Errorf("mirror %+v", i)
		}
	})
	t.Run("promoted it takes messages of its own", func(t *testing.T) {
		b.call(t, "STREAM.UPDATE.M", `{"name":"M","storage":"memory","subjects":["m.>"]}`, nil)
		if a := b.publish(t, "m.x", "own"); a.Seq != 12 {
			t.Errorf("%+v", a)
		}
		b.publish(t, "o.c", "y")
		if i := b.origins(t, "M"); i.Mirror != nil || i.State.LastSeq != 12 {
			t.Errorf("%+v", i)
		}
	})
}

func TestMirror_waitsForItsOrigin(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"M","storage":"memory","mirror":{"name":"O","filter_subject":"o.b"}}`)
	eventually(t, func() bool {
		i := b.origins(t, "M").Mirror
		return i.Error != nil && i.Error.ErrCode == 10059 && i.Active == -1
	})
	mustStream(t, b, `{"name":"O","subjects":["o.>"],"storage":"memory"}`)
	b.publish(t, "o.a", "1")
	b.publish(t, "o.b", "2")
	eventually(t, func() bool { s := b.origins(t, "M").State; return s.LastSeq == 2 && s.Msgs == 1 })
	if i := b.origins(t, "M").Mirror; i.Error != nil || i.FilterSubject != "o.b" {
		t.Errorf("%+v", i)
	}
}

func TestSources(t *testing.T) {
	_, b := newTestEngine(t)
	for _, n := range []string{"one", "two"} {
		mustStream(t, b, fmt.Sprintf(`{"name":%q,"subjects":["%s.>"],"storage":"memory"}`, n, n))
		for i := range 5 {
			b.publish(t, n+".a", fmt.Sprint(i), "Nats-Msg-Id", fmt.Sprint(i))
		}
	}
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory","duplicate_window":120000000000,"sources":[
		{"name":"one","subject_transforms":[{"src":"one.>","dest":"from1.>"}]},{"name":"two"}]}`)
	// The message ids of both are the same: what is there already is skipped.
	eventually(t, func() bool { return b.origins(t, "S").State.Msgs == 5 })
	b.publish(t, "one.z", "new", "Nats-Msg-Id", "n1")
	b.publish(t, "two.z", "new", "Nats-Msg-Id", "n2")
	b.publish(t, "s.z", "own")
	eventually(t, func() bool { return b.origins(t, "S").State.Msgs == 8 })
	count := map[string]int{}
	for seq := uint64(1); seq <= 8; seq++ {
		m := b.msg(t, "S", seq).Message
		prefix, _, _ := strings.Cut(m.Subject, ".")
		count[prefix]++
		h := string(m.Header)
		switch prefix {
		case "from1":
			if !strings.Contains(h, "Nats-Stream-Source: one ") || !strings.Contains(h, " one.> from1.> one.") {
				t.Errorf("%s: %q", m.Subject, h)
			}
		case "two":
			if !strings.Contains(h, "Nats-Stream-Source: two ") || !strings.Contains(h, " > > two.") {
				t.Errorf("%s: %q", m.Subject, h)
			}
		}
	}
	if count["from1"]+count["two"] != 7 || count["s"] != 1 {
		t.Errorf("%v", count)
	}
	if i := b.origins(t, "S").Sources; len(i) != 2 {
		t.Errorf("%d sources in the info", len(i))
	}
	b.call(t, "STREAM.UPDATE.S", `{"name":"S","subjects":["s.>"],"storage":"memory","duplicate_window":120000000000,"sources":[{"name":"two"}]}`, nil)
	b.publish(t, "one.y", "not taken")
	b.publish(t, "two.y", "taken", "Nats-Msg-Id", "n3")
	eventually(t, func() bool { return b.origins(t, "S").State.Msgs == 9 })
	if i := b.origins(t, "S").Sources; len(i) != 1 || i[0].Name != "two" {
		t.Errorf("sources %+v", i)
	}
}

func TestSource_fullStreamStopsAndGoesOn(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"O","subjects":["o"],"storage":"memory"}`)
	mustStream(t, b, `{"name":"S","storage":"memory","discard":"new","max_msgs":3,"sources":[{"name":"O"}]}`)
	for i := range 5 {
		b.publish(t, "o", fmt.Sprint(i))
	}
	eventually(t, func() bool { return b.origins(t, "S").State.Msgs == 3 })
	b.call(t, "STREAM.PURGE.S", `{"seq":4}`, nil)
	eventually(t, func() bool { s := b.origins(t, "S").State; return s.Msgs == 2 && s.LastSeq == 5 })
	for seq, want := range map[uint64]string{4: "3", 5: "4"} {
		if got := string(b.msg(t, "S", seq).Message.Data); got != want {
			t.Errorf("%d is %q", seq, got)
		}
	}
}

// A hub's stream sources a device's; the device loses its power again and
// again, and so does the hub.
func TestSource_crashes(t *testing.T) {
	d := newDevice(t, 7)
	e, b := d.open()
	mustStream(t, b, `{"name":"O","subjects":["o"]}`)
	mustStream(t, b, `{"name":"S","sources":[{"name":"O"}]}`)
	total := 0
	for range 5 {
		for range 20 {
			if a := b.publish(t, "o", fmt.Sprint(total)); a.Error != nil {
				t.Fatal(a.Error)
			}
			total++
		}
		eventually(t, func() bool { return b.origins(t, "S").State.Msgs > 0 })
		d.crash(e, 0.5)
		e, b = d.open()
	}
	eventually(t, func() bool { return b.origins(t, "S").State.Msgs >= uint64(total) })
	for i := range total {
		if got := string(b.msg(t, "S", uint64(i+1)).Message.Data); got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i+1, got)
		}
	}
	if s := b.origins(t, "S").State; s.Msgs != uint64(total) {
		t.Errorf("%d messages, want %d", s.Msgs, total)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestSources_refused(t *testing.T) {
	_, b := newTestEngine(t)
	for _, x := range []struct {
		config string
		code   uint16
	}{
		{`"mirror":{"name":"a b"}`, 10142},
		{`"mirror":{"name":"O"},"subjects":["a"]`, 10034},
		{`"mirror":{"name":"O"},"sources":[{"name":"P"}]`, 10031},
		{`"mirror":{"name":"O","filter_subject":"a","subject_transforms":[{"src":"a","dest":"b"}]}`, 10150},
		{`"mirror":{"name":"O","external":{"api":"$JS.API.X","deliver":""}}`, 10021},
		{`"mirror":{"name":"O","external":{"api":"$JS.hub.API","deliver":"a.*"}}`, 10024},
		{`"mirror":{"name":"O","consumer":{"name":"c","deliver_subject":"d"}}`, 10213},
		{`"sources":[{"name":"O"},{"name":"O"}]`, 10140},
		{`"sources":[{"name":""}]`, 10141},
		{`"sources":[{"name":"O","subject_transforms":[{"src":"a.>","dest":""},{"src":"a.b","dest":""}]}]`, 10147},
		{`"subjects":["d.>"],"sources":[{"name":"O","external":{"api":"$JS.hub.API","deliver":"d.x"}}]`, 10022},
	} {
		if err := b.fails(t, "STREAM.CREATE.X", `{"name":"X","storage":"memory",`+x.config+`}`); err.ErrCode != x.code {
			t.Errorf("%s: %v", x.config, err)
		}
	}
}
