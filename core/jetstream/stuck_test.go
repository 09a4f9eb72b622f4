package jetstream

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// stuckDisk is one whose syncs, or writes of stores, or reads of one of them, do not
// come back for a while.
type stuckDisk struct {
	journal *vfs.Faults
	reads   string // a stream; "" for writes
	mu      sync.Mutex
	held    chan struct{} // nil: it works
	waiting int
	most    int // so many calls are held; 0: all
}

func (d *stuckDisk) wait() {
	d.mu.Lock()
	held := d.held
	if d.most > 0 && d.waiting == d.most {
		held = nil
	}
	if held != nil {
		d.waiting++
	}
	d.mu.Unlock()
	if held != nil {
		<-held
	}
}

// stick has it stuck until the returned function is called.
func (d *stuckDisk) stick() (free func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make(chan struct{})
	d.held = held
	return sync.OnceFunc(func() {
		d.mu.Lock()
		d.held = nil
		d.mu.Unlock()
		close(held)
	})
}

func (d *stuckDisk) stuck() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting > 0
}

type stuckBackend struct {
	diskBackend
	d *stuckDisk
}

func (b stuckBackend) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	o := b.storeOptions(cfg, blobs, w)
	o.BeforeWrite = func(string) error {
		if b.d.reads == "" {
			b.d.wait()
		}
		return nil
	}
	o.BeforeRead = func(string, string) error {
		if b.d.reads == cfg.Name {
			b.d.wait()
		}
		return nil
	}
	st, err := edgestore.OpenFileStore(o)
	if err != nil {
		return nil, err
	}
	return st, nil
}

func newStuck(t *testing.T, journal bool, reads string) (*box, *stuckDisk) {
	d := &stuckDisk{journal: vfs.WithFaults(vfs.OS{}), reads: reads}
	x := newBox(t)
	x.change = func(c *Config) {
		c.StoreCacheBytes = 1
		if journal {
			c.Journal.FS = d.journal
		} else {
			c.backend = stuckBackend{diskBackend{c}, d}
		}
	}
	x.start()
	for _, name := range []string{"S", "T", "W"} {
		retention := "limits"
		if name == "W" {
			retention = "workqueue"
		}
		mustStream(t, x.b, fmt.Sprintf("name=%q subjects=[%s.>] retention=%q allow_direct", name, name, retention))
		mustConsumer(t, x.b, name, "c", "durable_name=c ack_policy=explicit ack_wait=1h")
		for range 5 {
			x.put(name, name+".a", "x")
		}
	}
	x.drain()
	d.journal.SetHook(func(c vfs.Call) error {
		if c.Op == vfs.OpSync {
			d.wait()
		}
		return nil
	})
	return x, d
}

// answers asks for what needs no disk that takes anything.
func (d *stuckDisk) answers(t *testing.T, x *box, streams ...string) {
	t.Helper()
	for _, stream := range streams {
		for subj, body := range map[string]string{
			"STREAM.INFO." + stream: "", "STREAM.NAMES": "", "STREAM.LIST": "", "INFO": "", "CONSUMER.NAMES." + stream: "", "CONSUMER.LIST." + stream: "",
			"CONSUMER.INFO." + stream + ".c": "", "STREAM.MSG.GET." + stream: "seq=1", "STREAM.INFO.W": "", "CONSUMER.INFO.W.c": "",
		} {
			if subj == "STREAM.INFO.W" && stream == "T" {
				continue
			}
			in := x.b.ask(t, asset.APIPrefix+subj, body)
			select {
			case <-in.ch:
			case <-time.After(testTimeout):
				t.Fatalf("%s is not answered while the disk is stuck", subj)
			}
		}
		if got := pull(t, x.b, stream, "c", 2); len(got) != 2 {
			t.Errorf("%d messages are delivered", len(got))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil || d.waiting == 0 {
		t.Error("the disk is not stuck")
	}
}

// While the disk does not sync, or takes what is drained, only those wait who need
// that: what is known, of the same stream too, is told, and messages are delivered.
func TestStuck_othersAreAnswered(t *testing.T) {
	t.Run("journal", func(t *testing.T) {
		x, d := newStuck(t, true, "")
		free := d.stick()
		defer free()
		var waits []*inbox
		// More than there are workers, and each holds what is its own to change.
		for i := range 2 * defaultWorkers {
			waits = append(waits, x.b.ask(t, asset.APIPrefix+fmt.Sprint("STREAM.CREATE.N", i), fmt.Sprintf("name=N%d subjects=[N%d]", i, i)))
		}
		waits = append(waits, x.b.ask(t, "S.a", "x"), x.b.ask(t, asset.APIPrefix+"CONSUMER.CREATE.S.d", "stream_name=S config={name=d durable_name=d ack_policy=explicit}"))
		testkit.Eventually(t, "the disk is stuck", d.stuck)
		d.answers(t, x, "S", "T")
		free()
		for _, in := range waits {
			in.next()
		}
	})
	t.Run("stores", func(t *testing.T) {
		x, d := newStuck(t, false, "")
		for _, name := range []string{"S", "T", "W"} {
			x.put(name, name+".a", "x")
		}
		free := d.stick()
		defer free()
		drained := make(chan error, 1)
		go func() { drained <- x.e.drain.drain() }()
		testkit.Eventually(t, "the disk is stuck", d.stuck)
		for _, name := range []string{"S", "T", "W"} {
			if a := x.put(name, name+".a", "x"); a.Error != nil || a.Seq != 7 {
				t.Errorf("%s: %+v", name, a)
			}
		}
		x.b.call(t, "STREAM.PURGE.T", "keep=4", nil)
		mustStream(t, x.b, "name=N subjects=[N]")
		d.answers(t, x, "S", "T")
		free()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
	// Who reads what the disk does not give waits, and nobody else: not who publishes
	// to that stream, or asks for what is known of it.
	t.Run("reads", func(t *testing.T) {
		x, d := newStuck(t, false, "S")
		free := d.stick()
		defer free()
		get := x.b.ask(t, asset.APIPrefix+"STREAM.MSG.GET.S", "seq=1")
		delivered := x.b.inbox(t, "_DELIVERED")
		defer delivered.stop()
		x.b.send(nextPrefix+"S.c", "_DELIVERED", jsonOf(t, "batch=1"))
		testkit.Eventually(t, "the disk is stuck", d.stuck)
		if a := x.put("S", "S.a", "x"); a.Error != nil || a.Seq != 6 {
			t.Errorf("%+v", a)
		}
		x.b.call(t, "STREAM.INFO.S", "", nil)
		x.b.call(t, "CONSUMER.NAMES.S", "", nil)
		x.b.call(t, "STREAM.LIST", "", nil)
		d.answers(t, x, "T")
		mustStream(t, x.b, "name=N subjects=[N]")
		x.b.call(t, "STREAM.UPDATE.S", "name=S subjects=[S.>] allow_direct description=x", nil)
		free()
		get.next()
		delivered.next()
	})
}
