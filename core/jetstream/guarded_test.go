package jetstream

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// watchedLog remembers which kinds of operations were written once and twice.
type watchedLog struct {
	fileLog
	mu    *sync.Mutex
	twice map[uint8][]bool
}

func (l watchedLog) note(r *edgestore.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.twice[r.Kind] = append(l.twice[r.Kind], r.Twice)
}

func (l watchedLog) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	l.note(r)
	return l.fileLog.Append(r, side, token, data...)
}

func (l watchedLog) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	l.note(r)
	return l.fileLog.(reserver).AppendReserved(r, side, token, data...)
}

type watchedBackend struct {
	diskBackend
	log watchedLog
}

func (w watchedBackend) journal() (fileLog, journalEnd, error) {
	l, end, err := w.diskBackend.journal()
	w.log.fileLog = l
	return w.log, end, err
}

// Operations without which others mean nothing are written twice, in two pages;
// messages are not.
func TestGuarded_isWrittenTwice(t *testing.T) {
	x := newBox(t)
	c := newTestMachine(in1970)
	log := watchedLog{mu: new(sync.Mutex), twice: make(map[uint8][]bool)}
	x.change = func(cfg *Config) {
		c.configure(cfg)
		cfg.newestFormat = Format + 1
		cfg.backend = watchedBackend{diskBackend{cfg}, log}
	}
	x.start()
	mustStream(t, x.b, "name=O subjects=[o]")
	x.put("O", "o", text(1))
	mustStream(t, x.b, "name=S subjects=[s] allow_msg_ttl sources=[{name=O}]")
	x.put("S", "s", text(1), "Nats-TTL", "1h")
	s := x.e.account("A").stream("S")
	eventually(t, func() bool { c.forward(time.Millisecond); return s.store.State().Msgs == 2 })
	x.b.call(t, "STREAM.UPDATE.O", "name=O subjects=[o] description=x", nil)
	mustConsumer(t, x.b, "O", "c", "durable_name=c ack_policy=explicit")
	mustConsumer(t, x.b, "O", "c", "durable_name=c ack_policy=explicit description=x")
	x.b.call(t, "CONSUMER.DELETE.O.c", "", nil)
	if err := x.e.RaiseFormat(Format + 1); err != nil {
		t.Fatal(err)
	}
	c.set(years57)
	eventually(t, func() bool { x.e.ticks(); return !movesDue(s) })
	x.b.call(t, "STREAM.DELETE.O", "", nil)
	log.mu.Lock()
	defer log.mu.Unlock()
	for name, kind := range map[string]uint8{
		"stream create": opStreamCreate, "stream delete": opStreamDelete, "stream update": opConfig,
		"consumer create": opConsumerCreate, "consumer delete": opConsumerDelete, "consumer update": opConsumerConfig,
		"format": opFormat, "clock step": opClockStep, "clock move": opClockMove, "origin": opOrigin,
	} {
		if list := log.twice[kind]; len(list) == 0 || slices.Contains(list, false) {
			t.Errorf("%s: written twice: %v", name, list)
		}
	}
	for name, kind := range map[string]uint8{"message": opPublish, "message of a source": opIngest} {
		if list := log.twice[kind]; len(list) == 0 || slices.Contains(list, true) {
			t.Errorf("%s: written twice: %v", name, list)
		}
	}
}
