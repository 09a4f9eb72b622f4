package jetstream

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// fullDisk is a disk whose log has no room for messages when told so.
type fullDisk struct {
	backend
	full    *atomic.Bool
	refused *atomic.Int64
}

type fullLog struct {
	fileLog
	disk fullDisk
}

func (d fullDisk) journal() (fileLog, journalEnd, error) {
	l, end, err := d.backend.journal()
	return fullLog{l, d}, end, err
}

func (l fullLog) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	if l.disk.full.Load() {
		l.disk.refused.Add(1)
		return 0, edgestore.ErrBusy
	}
	return l.fileLog.Append(r, side, token, data...)
}

func TestIngest_holdsUpAPublisherFasterThanTheDisk(t *testing.T) {
	var full atomic.Bool
	var refused atomic.Int64
	c := newDevice(t, 6).config()
	c.backend = fullDisk{diskBackend{&c}, &full, &refused}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := newTestBus("A")
	if err := e.EnableAccount(b); err != nil {
		t.Fatal(err)
	}
	mustStream(t, b, "name=S subjects=[s]")
	full.Store(true)
	in := b.inbox(t, "r")
	defer in.stop()

	b.route(&wire.Msg{Subject: []byte("s"), Reply: []byte("r"), Body: []byte("x"), Own: true})
	var a pubAck
	if m := in.next(); json.Unmarshal([]byte(m.Body), &a) != nil || a.Error == nil || a.Error.ErrCode != 10167 {
		t.Fatalf("the server itself was answered %q %q", m.Header, m.Body)
	}

	routed := make(chan struct{})
	go func() {
		b.route(&wire.Msg{Subject: []byte("s"), Reply: []byte("r"), Body: []byte("x")})
		close(routed)
	}()
	eventually(t, func() bool { return refused.Load() > 2 })
	full.Store(false)
	<-routed
	a = pubAck{}
	if m := in.next(); json.Unmarshal([]byte(m.Body), &a) != nil || a.Error != nil || a.Seq != 1 {
		t.Fatalf("the publisher that waited was answered %q %q", m.Header, m.Body)
	}
}

func TestRoomWaiter_givesUpOnAStuckDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Engine{quit: make(chan struct{})}
		try := func() time.Duration {
			start, since := time.Now(), time.Time{}
			for e.room.wait(&since, e) {
			}
			return time.Since(start)
		}
		if d := try(); d < roomPatience || d > 2*roomPatience {
			t.Errorf("held up for %v", d)
		}
		if d := try(); d != 0 {
			t.Errorf("held up for %v although the disk is stuck", d)
		}
		<-time.After(roomPause)
		if d := try(); d < roomPatience {
			t.Errorf("held up for %v only, long after the disk was stuck", d)
		}
		<-time.After(roomPause)
		close(e.quit)
		if d := try(); d != 0 {
			t.Errorf("held up for %v at the end", d)
		}
	})
}
