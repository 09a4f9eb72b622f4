package jetstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
)

// stuckReader is something that has to read what lies on the disk.
type stuckReader struct {
	before        func(x *box)
	subject, body string // of the request for it
	step          bool   // it is a step that reads: what is applied behind it waits
	counts        bool   // a consumer is told of, and who lists all waits for that
}

var stuckReaders = map[string]stuckReader{
	"a get":                      {subject: "STREAM.MSG.GET.R", body: "seq=1"},
	"a get by time":              {subject: "DIRECT.GET.R", body: "start_time=2001-01-01T00:00:00Z next_by_subj=R.b"},
	"a get of what is not there": {subject: "STREAM.MSG.GET.R", body: "seq=5 next_by_subj=R.a"},
	"a delivery":                 {subject: "CONSUMER.MSG.NEXT.R.c", body: "batch=1"},
	"a batch":                    {subject: "DIRECT.GET.R", body: "seq=1 batch=3"},
	"a batch of a subject":       {subject: "DIRECT.GET.R", body: "seq=4 batch=3 next_by_subj=R.b"},
	"the newest of many":         {subject: "DIRECT.GET.R", body: "multi_last=[R.>] up_to_seq=6"},
	"what is pending":            {counts: true, subject: "CONSUMER.CREATE.R.d", body: "stream_name=R config={durable_name=d ack_policy=explicit filter_subject=R.b deliver_policy=by_start_sequence opt_start_seq=4}"},
	"a consumer in memory": {before: staleR, subject: "CONSUMER.CREATE.R.d",
		body: "stream_name=R config={name=d ack_policy=explicit mem_storage filter_subject=R.b deliver_policy=last}"},
	"a consumer": {before: staleR, step: true, subject: "CONSUMER.CREATE.R.d",
		body: "stream_name=R config={durable_name=d ack_policy=explicit filter_subject=R.b deliver_policy=last}"},
	"a delete":              {step: true, subject: "STREAM.MSG.DELETE.R", body: "seq=2"},
	"a purge of a subject":  {step: true, subject: "STREAM.PURGE.R", body: "filter=R.b"},
	"a purge below":         {step: true, subject: "STREAM.PURGE.R", body: "seq=4"},
	"a purge but for a few": {step: true, subject: "STREAM.PURGE.R", body: "keep=3"},
	"lower limits":          {step: true, subject: "STREAM.UPDATE.R", body: "name=R subjects=[R.>] allow_direct max_msgs_per_subject=1"},
}

// staleR has the newest message of a subject deleted, so that nobody knows which is
// the newest, and memory keep another chunk.
func staleR(x *box) {
	var last uint64
	for range 3 {
		last = x.put("R", "R.large", strings.Repeat("x", 100<<10)).Seq
	}
	x.drain()
	x.b.call(x.t, "STREAM.MSG.DELETE.R", "seq=8", nil)
	x.b.call(x.t, "STREAM.MSG.GET.R", fmt.Sprintf("seq=%d", last), nil)
}

// Who reads what the disk does not give waits, and nobody else.
func TestStuck_readsHoldNobodyUp(t *testing.T) {
	for name, r := range stuckReaders {
		t.Run(name, func(t *testing.T) {
			x, d := newStuck(t, false, "R")
			mustStream(t, x.b, "name=R subjects=[R.>] allow_direct")
			mustConsumer(t, x.b, "R", "c", "durable_name=c ack_policy=explicit ack_wait=1h")
			for i := range 8 {
				x.put("R", fmt.Sprint("R.", []string{"a", "b", "c"}[i%3%2]), "x")
			}
			x.drain()
			if r.before != nil {
				r.before(x)
			}
			last := x.put("R", "R.new", "x").Seq
			free := d.stick()
			defer free()
			in := x.b.ask(t, asset.APIPrefix+r.subject, r.body)
			testkit.Eventually(t, "the disk is stuck", d.stuck)
			d.answersOfR(t, x, &r, last)
			if !r.step {
				d.changesOfR(t, x, &r)
			}
			free()
			if m := in.next(); strings.Contains(string(m.Body), `"error"`) || strings.HasPrefix(string(m.Header), "NATS/1.0 500") {
				t.Errorf("answered with %s%s", m.Header, m.Body)
			}
			checkConsumer(t, x, "R", "c")
		})
	}
}

// answersOfR asks for what is known of R.
func (d *stuckDisk) answersOfR(t *testing.T, x *box, r *stuckReader, last uint64) {
	t.Helper()
	for subj, body := range map[string]string{
		"STREAM.INFO.R": "", "STREAM.LIST": "", "INFO": "", "CONSUMER.NAMES.R": "", "CONSUMER.LIST.R": "", "CONSUMER.INFO.R.c": "",
		"STREAM.MSG.GET.R": fmt.Sprintf("seq=%d", last), "DIRECT.GET.R": "last_by_subj=R.new",
	} {
		if !r.counts || subj != "CONSUMER.LIST.R" {
			d.answered(t, x, subj, body)
		}
	}
}

// changesOfR changes what needs no read.
func (d *stuckDisk) changesOfR(t *testing.T, x *box, r *stuckReader) {
	t.Helper()
	published := x.b.ask(t, "R.new", "y")
	select {
	case <-published.ch:
	case <-time.After(testTimeout):
		t.Fatal("what is published is not answered while the disk is stuck")
	}
	d.answered(t, x, "CONSUMER.CREATE.R.c", "stream_name=R config={durable_name=c ack_policy=explicit ack_wait=30m}")
	d.answered(t, x, "STREAM.UPDATE.R", "name=R subjects=[R.>] allow_direct description=x")
	d.answered(t, x, "CONSUMER.PAUSE.R.c", `{}`)
	d.answersOfR(t, x, r, x.e.account("A").stream("R").store.Index().LastSeq)
	s := x.e.account("A").stream("R")
	sealed := make(chan struct{})
	go func() {
		s.seal()
		close(sealed)
	}()
	select {
	case <-sealed:
	case <-time.After(testTimeout):
		t.Fatal("a drain waits for a read")
	}
}

func (d *stuckDisk) answered(t *testing.T, x *box, subj, body string) {
	t.Helper()
	in := x.b.ask(t, asset.APIPrefix+subj, body)
	select {
	case m := <-in.ch:
		if strings.Contains(string(m.Body), `"error"`) || strings.HasPrefix(string(m.Header), "NATS/1.0 ") && len(m.Body) == 0 {
			t.Errorf("%s is answered with %s%s", subj, m.Header, m.Body)
		}
	case <-time.After(testTimeout):
		t.Fatalf("%s is not answered while the disk is stuck", subj)
	}
	if !d.stuck() {
		t.Fatal("the disk is not stuck")
	}
}

// checkConsumer has a consumer deliver all that there is: each once, in order.
func checkConsumer(t *testing.T, x *box, stream, name string) {
	t.Helper()
	s := x.e.account("A").stream(stream)
	info := x.b.consumer(t, stream, name)
	var want []uint64
	for seq := info.Delivered.Stream + 1; ; seq++ {
		m, _, err := s.store.LoadNext(nil, seq, nil)
		if errors.Is(err, edgestore.ErrNotFound) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seq = m.Seq
		want = append(want, seq)
	}
	if int(info.NumPending) != len(want) {
		t.Errorf("%d are pending, told %d", len(want), info.NumPending)
	}
	got := pull(t, x.b, stream, name, len(want))
	if len(got) != len(want) {
		t.Errorf("%d messages are delivered of %d", len(got), len(want))
	}
}

// What is too old is looked for under no lock of the stream.
func TestStuck_ticksHoldNobodyUp(t *testing.T) {
	x, d := newStuck(t, false, "R")
	mustStream(t, x.b, "name=R subjects=[R.>] max_age=1h allow_msg_ttl subject_delete_marker_ttl=1h")
	for i := range 8 {
		x.put("R", fmt.Sprint("R.", i), "x")
	}
	x.drain()
	s := x.e.account("A").stream("R")
	free := d.stick()
	defer free()
	found := make(chan int, 1)
	go func() {
		_, markers, _, err := s.overdue(s.line.at() + int64(2*time.Hour))
		if err != nil {
			t.Error(err)
		}
		found <- len(markers)
	}()
	testkit.Eventually(t, "the disk is stuck", d.stuck)
	testkit.Eventually(t, "the stream is free", func() bool {
		if !s.mu.TryLock() {
			return false
		}
		s.mu.Unlock()
		return true
	})
	free()
	if n := <-found; n != 8 {
		t.Errorf("%d subjects get a marker", n)
	}
}

// A message whose deletion is acknowledged is given to nobody who asks behind that,
// and delivered no more, whoever had begun to read it before.
func TestStuck_whatIsDeletedIsNotRead(t *testing.T) {
	for name, first := range map[string]struct{ subject, body string }{
		"a get":      {"STREAM.MSG.GET.R", "seq=1"},
		"a delivery": {"CONSUMER.MSG.NEXT.R.c", "batch=1"},
	} {
		t.Run(name, func(t *testing.T) {
			x, d := newStuck(t, false, "R")
			d.most = 1
			mustStream(t, x.b, "name=R subjects=[R.>] allow_direct")
			mustConsumer(t, x.b, "R", "c", "durable_name=c ack_policy=explicit")
			for range 3 {
				x.put("R", "R.a", "x")
			}
			x.drain()
			free := d.stick()
			defer free()
			in := x.b.ask(t, asset.APIPrefix+first.subject, first.body)
			testkit.Eventually(t, "the disk is stuck", d.stuck)
			x.b.call(t, "STREAM.MSG.DELETE.R", "seq=1", nil)
			for subj, body := range map[string]string{
				"STREAM.MSG.GET.R": "seq=1", "DIRECT.GET.R": "seq=1",
			} {
				got := x.b.ask(t, asset.APIPrefix+subj, body)
				if m := got.next(); !strings.Contains(string(m.Body)+string(m.Header), "404") && !strings.Contains(string(m.Body), "10037") {
					t.Errorf("%s: %s%s", subj, m.Header, m.Body)
				}
			}
			batch := x.b.ask(t, asset.APIPrefix+"DIRECT.GET.R", "seq=1 batch=1")
			if m := batch.next(); !strings.Contains(string(m.Header), "Nats-Sequence: 2") {
				t.Errorf("a batch begins with %s", m.Header)
			}
			free()
			m := in.next()
			if name == "a delivery" && !strings.HasPrefix(m.Reply, "$JS.ACK.R.c.1.2.1.") {
				t.Errorf("delivered is %s", m.Reply)
			}
		})
	}
}
