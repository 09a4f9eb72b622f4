package jetstream

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// chaosModel is what clients were promised: it never asks the engine.
type chaosModel struct {
	mu sync.Mutex
	// filesGo: the fault takes a whole file, or the end of one, of the journal.
	// What was created there may be gone then, if it is told.
	filesGo bool
	frozen  bool // answers that come now are of the engine that is going down
	streams map[string]*chaosStream
	sent    int // publishes without an answer so far, of this life
}

// chaosStream is one stream as its clients know it.
type chaosStream struct {
	name string
	// acked has, for each sequence that was acknowledged, the body of its message.
	acked map[uint64]string
	// mayGo are acknowledged messages that somebody asked to remove, or that a
	// limit may remove: there or not, but never another.
	mayGo map[uint64]bool
	// passing are the names of messages whose time may have come.
	passing map[string]bool
	last    uint64 // largest sequence acknowledged
	// given, if not nil, is all that was acknowledged; any of it may be taken away.
	given map[uint64]string
	// deleted: somebody asked for it, and may not have been answered.
	deleted bool
	// consumers that were created and acknowledged, and whether somebody asked
	// to delete them.
	consumers map[string]bool
}

func newChaosModel() *chaosModel { return &chaosModel{streams: make(map[string]*chaosStream)} }

func (m *chaosModel) created(name string) *chaosStream {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &chaosStream{name: name, acked: make(map[uint64]string), mayGo: make(map[uint64]bool), passing: make(map[string]bool), consumers: make(map[string]bool)}
	m.streams[name] = s
	return s
}

// promised notes an acknowledgement. It returns what is wrong with it.
func (m *chaosModel) promised(stream string, seq uint64, body string, dup bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[stream]
	if m.frozen || s == nil {
		return nil
	}
	m.sent--
	if was, ok := s.acked[seq]; ok && was != body {
		return fmt.Errorf("stream %s: %d was acknowledged for %q and now for %q", stream, seq, was, body)
	}
	if !dup && seq <= s.last && s.acked[seq] != body {
		return fmt.Errorf("stream %s: %q was acknowledged as %d, which is not above %d", stream, body, seq, s.last)
	}
	if !dup {
		s.acked[seq] = body
		s.last = max(s.last, seq)
		if s.given != nil {
			s.given[seq] = body
		}
	}
	return nil
}

func (m *chaosModel) refused() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.frozen {
		m.sent--
	}
}

// freeze fixes what was promised so far, and tells how many publishes have no
// answer.
func (m *chaosModel) freeze() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen = true
	return m.sent
}

func (m *chaosModel) thaw() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen, m.sent = false, 0
}

func (m *chaosModel) sorted() []*chaosStream {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*chaosStream
	for _, name := range slices.Sorted(maps.Keys(m.streams)) {
		list = append(list, m.streams[name])
	}
	return list
}

// chaosView is how the law looks at what a restart found.
type chaosView interface {
	has(stream string) bool
	last(stream string) uint64
	load(stream string, seq uint64) (body string, err error)
	lost(stream string) []edgestore.SeqRange
	hasConsumer(stream, name string) bool
	// told reports whether anybody is told of lost operations.
	told() bool
}

// chaosVerdict is what the law says of one restart.
type chaosVerdict struct {
	wrong    []string
	checked  int // promises
	lost     int // of them told lost
	expired  int // of them gone with their TTL
	vanished int // of them gone without a word: only the exception may
	tail     map[string]uint64
}

func (v *chaosVerdict) bad(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// judge holds what a restart found against what was promised. A promise is
// kept when the message is there unchanged under its sequence, or the sequence
// is told lost. With bare set, the end of a stream may be missing without a
// word: see chaosTail.
func (m *chaosModel) judge(view chaosView, bare bool) *chaosVerdict {
	v := &chaosVerdict{}
	for _, s := range m.sorted() {
		switch {
		case view.has(s.name):
			m.judgeStream(v, view, s, bare)
		case s.deleted:
		case m.filesGo && view.told():
			v.vanished++ // both copies of its creation were in that file
		case bare && len(s.acked) == 0:
			v.vanished++ // its creation was in that group
		default:
			v.bad("stream %s is gone", s.name)
		}
	}
	return v
}

func (m *chaosModel) judgeStream(v *chaosVerdict, view chaosView, s *chaosStream, bare bool) {
	lost := view.lost(s.name)
	last := view.last(s.name)
	isLost := func(seq uint64) bool {
		lost = view.lost(s.name) // what is lost may only be found by reading it
		return slices.ContainsFunc(lost, func(r edgestore.SeqRange) bool { return r.First <= seq && seq <= r.Last })
	}
	for _, seq := range slices.Sorted(maps.Keys(s.acked)) {
		v.checked++
		body, err := view.load(s.name, seq)
		switch {
		case err == nil && body == s.acked[seq]:
		case err == nil:
			v.bad("stream %s: %d holds %q, acknowledged was %q", s.name, seq, body, s.acked[seq])
		case s.passing[s.acked[seq]]:
			v.expired++
		case s.mayGo[seq], s.given != nil:
		case isLost(seq):
			v.lost++
		case bare && seq > last:
			v.vanished++
		default:
			v.bad("stream %s: %d (%q) is missing and not told lost (%v): %v", s.name, seq, s.acked[seq], lost, err)
		}
	}
	if last < s.last && !bare {
		v.bad("stream %s: the last sequence went back to %d, acknowledged was %d", s.name, last, s.last)
	}
	for name, gone := range s.consumers {
		if !gone && !view.hasConsumer(s.name, name) && !bare && !(m.filesGo && view.told()) {
			v.bad("stream %s: consumer %s is gone", s.name, name)
		}
	}
}

// adopt forgets what was told lost (or excused): the next crash is judged anew.
func (m *chaosModel) adopt(view chaosView) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, s := range m.streams {
		if !view.has(name) {
			delete(m.streams, name)
			continue
		}
		for seq, body := range s.acked {
			if got, err := view.load(name, seq); err != nil || got != body {
				delete(s.acked, seq)
				delete(s.mayGo, seq)
			}
		}
		for c, gone := range s.consumers {
			if gone || !view.hasConsumer(name, c) {
				delete(s.consumers, c)
			}
		}
		s.last = view.last(name)
		s.deleted = false
	}
}

// engineView looks at an engine.
type engineView struct{ e *Engine }

func (v engineView) stream(name string) *stream         { return v.e.account("A").stream(name) }
func (v engineView) has(name string) bool               { return v.stream(name) != nil }
func (v engineView) last(name string) uint64            { return v.stream(name).store.State().LastSeq }
func (v engineView) lost(n string) []edgestore.SeqRange { return v.stream(n).store.Damage() }
func (v engineView) told() bool {
	return slices.ContainsFunc(v.e.Damage(true), func(d Damage) bool { return d.Kind == DamageOperations })
}

func (v engineView) hasConsumer(stream, name string) bool {
	return v.stream(stream).member(name) != nil
}

func (v engineView) load(name string, seq uint64) (string, error) {
	m, _, err := v.stream(name).store.Load(seq, nil)
	if err != nil {
		return "", err
	}
	return nameOf(string(m.Body)), nil
}

// fakeView is a restart made by hand.
type fakeView struct {
	bodies  map[uint64]string
	lastSeq uint64
	ranges  []edgestore.SeqRange
	gone    bool
}

func (v fakeView) has(string) bool                  { return !v.gone }
func (v fakeView) last(string) uint64               { return v.lastSeq }
func (v fakeView) lost(string) []edgestore.SeqRange { return v.ranges }
func (v fakeView) hasConsumer(string, string) bool  { return true }
func (v fakeView) told() bool                       { return false }
func (v fakeView) load(_ string, seq uint64) (string, error) {
	if b, ok := v.bodies[seq]; ok {
		return b, nil
	}
	return "", errors.New("not there")
}

// A law that accepts everything would find nothing: each way of breaking a
// promise must be seen, and each way of keeping it accepted.
func TestChaos_the_law_sees(t *testing.T) {
	m := newChaosModel()
	m.created("S")
	for seq, body := range map[uint64]string{1: "a", 2: "b", 3: "c"} {
		m.mu.Lock()
		m.streams["S"].acked[seq] = body
		m.streams["S"].last = 3
		m.mu.Unlock()
	}
	all := map[uint64]string{1: "a", 2: "b", 3: "c"}
	for _, x := range []struct {
		name string
		view fakeView
		bare bool
		bad  int
	}{
		{"all there", fakeView{bodies: all, lastSeq: 3}, false, 0},
		{"one told lost", fakeView{bodies: map[uint64]string{1: "a", 3: "c"}, lastSeq: 3, ranges: []edgestore.SeqRange{{First: 2, Last: 2}}}, false, 0},
		{"one missing", fakeView{bodies: map[uint64]string{1: "a", 3: "c"}, lastSeq: 3}, false, 1},
		{"renumbered", fakeView{bodies: map[uint64]string{1: "a", 2: "c"}, lastSeq: 2}, false, 3},
		{"the end went back", fakeView{bodies: map[uint64]string{1: "a", 2: "b"}, lastSeq: 2}, false, 2},
		{"the end went back, excused", fakeView{bodies: map[uint64]string{1: "a", 2: "b"}, lastSeq: 2}, true, 0},
		{"the middle is missing, not excused", fakeView{bodies: map[uint64]string{1: "a", 3: "c"}, lastSeq: 3}, true, 1},
		{"stream gone", fakeView{gone: true}, false, 1},
		{"stream gone with messages, not excused", fakeView{gone: true}, true, 1},
	} {
		if v := m.judge(x.view, x.bare); len(v.wrong) != x.bad {
			t.Errorf("%s: %q, want %d", x.name, v.wrong, x.bad)
		}
	}
	if err := m.promised("S", 3, "d", false); err == nil {
		t.Error("a sequence was acknowledged for two messages, and nobody saw")
	}
	if err := m.promised("S", 2, "b", true); err != nil {
		t.Errorf("a duplicate is told where it was stored: %v", err)
	}
}
