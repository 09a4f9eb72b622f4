package jetstream

import (
	"fmt"
	"os"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// Only a trial that comes to where the stream was says what was there then: another
// one may have what was deleted since.
func TestPartly_onlyWhatComesToTheSame(t *testing.T) {
	e, b := newTestEngine(t, func(c *Config) { c.Dir = t.TempDir() })
	mustStream(t, b, "name=S subjects=[s]")
	for i := range 5 {
		b.publish(t, "s", fmt.Sprint(i))
	}
	s := e.account("A").stream("S")
	s.mu.Lock()
	to, last := s.done, s.last
	s.mu.Unlock()
	// The journal is read as a start reads it.
	cfg := e.cfg
	cfg.Dir = t.TempDir()
	if err := os.CopyFS(cfg.Dir, os.DirFS(e.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	j, _, err := diskBackend{&cfg}.journal()
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	w := &storeWatch{e: &Engine{cfg: cfg, logger: e.logger, journal: j, line: e.line, local: e.local}, inc: s.incarnation, cfg: s.config()}
	elsewhere := to
	elsewhere.Place++
	was, now := *s.config(), *s.config()
	now.MaxMsgsPer = 1 // of its subject
	for _, c := range []struct {
		to   edgestore.Chain
		last uint64
		cfg  *asset.StreamConfig // as the files have it
		want int
	}{{to, last, &was, 5}, {to, last + 1, &was, 0}, {to, last - 1, &was, 0}, {elsewhere, last, &was, 0}, {to, last, &now, 1}} {
		given := 0
		lost := []edgestore.SeqRange{{First: 1, Last: last}}
		config := func(key string) ([]byte, error) {
			if key == auxConfig {
				return asset.Encode(c.cfg), nil
			}
			return nil, nil
		}
		err := w.again(c.to, c.last, lost, config, func(*edgestore.Msg) error { given++; return nil })
		if err != nil || given != c.want {
			t.Errorf("to %+v and message %d: %d messages, %v", c.to, c.last, given, err)
		}
	}
}

// Behind a hole another run of operations begins: a trial that began before the hole
// would end there.
func TestInJournal_add(t *testing.T) {
	var of inJournal
	for _, seat := range []uint64{1, 2, 4, 5} {
		of.add(&edgestore.Entry{Record: edgestore.Record{LSN: edgestore.LSN(seat), Kind: opIngest, Seat: seat}})
	}
	if r := of.upTo(edgestore.Chain{Seat: 5}); r == nil || r.begin.Seat != 4 || r.from != 4 {
		t.Errorf("to the end leads %+v", r)
	}
	if r := of.upTo(edgestore.Chain{Seat: 3}); r != nil {
		t.Errorf("into the hole leads %+v", r)
	}
}
