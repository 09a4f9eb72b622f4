package jetstream

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// That something is not there is believed only if nothing has gone while it was
// looked for: what was looked for may have been stored anew, and the old one is gone.
func TestGet_whatIsStoredAnewWhileItIsLookedFor(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s.>] storage=memory")
	b.publish(t, "s.a", "")
	b.publish(t, "s.b", "")
	s := e.account("A").stream("S")
	looks := 0
	err := s.lookFor(func(st edgestore.Reads) error {
		switch looks++; looks {
		case 2:
			return edgestore.ErrCold
		case 3: // it is stored anew, behind where the look is
			if _, _, err := s.store.Remove(1); err != nil {
				t.Error(err)
			}
		case 4:
			return nil
		}
		return edgestore.ErrNotFound
	})
	if err != nil || looks != 4 {
		t.Errorf("%v after %d looks", err, looks)
	}
	looks = 0
	err = s.lookFor(func(edgestore.Reads) error {
		if looks++; looks%2 == 0 {
			return edgestore.ErrCold
		}
		return edgestore.ErrNotFound
	})
	if !errors.Is(err, edgestore.ErrNotFound) || looks != 3 {
		t.Errorf("%v after %d looks", err, looks)
	}
}

// deletingStore has nothing in memory that a search finds, and has something happen
// behind the first that the disk makes.
type deletingStore struct {
	edgestore.Store
	once sync.Once
	do   func()
}

// noSearch is memory that finds nothing by searching.
type noSearch struct{ edgestore.Reads }

func (n noSearch) LoadNext(_ []string, _ uint64, buf []byte) (m edgestore.Msg, b []byte, err error) {
	return m, buf, edgestore.ErrCold
}

func (d *deletingStore) Hot() edgestore.Reads { return noSearch{d.Store.Hot()} }

func (d *deletingStore) LoadNext(filters []string, start uint64, buf []byte) (edgestore.Msg, []byte, error) {
	m, b, err := d.Store.LoadNext(filters, start, buf)
	d.once.Do(d.do)
	return m, b, err
}

// A message that is deleted when a consumer has read it, and before it delivers it,
// is not delivered.
func TestConsumer_deletedBehindItsRead(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory")
	mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit")
	b.publish(t, "s", "")
	b.publish(t, "s", "")
	s := e.account("A").stream("S")
	s.mu.Lock()
	s.store = &deletingStore{Store: s.store, do: func() { b.call(t, "STREAM.MSG.DELETE.S", "seq=1", nil) }}
	s.mu.Unlock()
	in := b.pull(t, "S.c", "batch=1")
	defer in.stop()
	if m := in.next(); !strings.HasPrefix(m.Reply, "$JS.ACK.S.c.1.2.1.") {
		t.Errorf("delivered is %s", m.Reply)
	}
}
