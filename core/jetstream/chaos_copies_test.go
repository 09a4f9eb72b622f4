package jetstream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/frondmq/frond/edgestore"
)

// The part of the chaos test that is about mirrors and sources. What they hold
// was promised to nobody but who has read it; beside that they must come to what
// their origins have, and never hold something else or twice. A work queue that
// a source empties is the hardest: a message must be in one of the two streams.

// The streams that others fill.
const (
	copyMirror = "MIRROR" // of chaosPlain
	copySum    = "SUM"    // has chaosPlain as a source
	copyGather = "GATHER" // has chaosWork as a source
)

// chaosCopy is what clients know of such a stream.
type chaosCopy struct {
	seen map[uint64]string // read under this sequence
}

func (w *chaosWorld) foundCopies() {
	w.copies = make(map[string]*chaosCopy)
	for name, config := range map[string]string{
		copyMirror: "name=MIRROR mirror={name=PLAIN}",
		copySum:    "name=SUM sources=[{name=PLAIN}]",
		copyGather: "name=GATHER sources=[{name=WORK}]",
	} {
		mustStream(w.t, w.b, config)
		w.copies[name] = &chaosCopy{seen: make(map[uint64]string)}
	}
	w.m.neverStays(chaosWork)
}

func (w *chaosWorld) copiesThere() bool {
	for name := range w.copies {
		if w.e.account("A").stream(name) == nil {
			return false
		}
	}
	return true
}

// readCopy reads a few of the newest messages as a client does.
func (w *chaosWorld) readCopy(name string) {
	s := w.e.account("A").stream(name)
	if s == nil {
		return
	}
	last := s.store.State().LastSeq
	for seq := last - min(last, 1+w.rnd.Uint64N(12)) + 1; seq <= last; seq++ {
		m := w.b.api(w.t, "STREAM.MSG.GET."+name, fmt.Sprintf("seq=%d", seq))
		var a gotMsg
		if json.Unmarshal([]byte(m.Body), &a) != nil || a.Message.Seq != seq {
			continue
		}
		body := nameOf(string(a.Message.Data))
		if was, ok := w.copies[name].seen[seq]; ok && was != body {
			w.t.Errorf("%s: %d was read as %q and now as %q", name, seq, was, body)
		}
		w.copies[name].seen[seq] = body
	}
}

// copyHas is all that a stream holds, by sequence.
func (v engineView) all(name string) map[uint64]string {
	all := make(map[uint64]string)
	for seq := uint64(1); ; {
		m, _, err := v.stream(name).store.LoadNext(nil, seq, nil)
		if err != nil {
			return all
		}
		all[m.Seq] = nameOf(string(m.Body))
		seq = m.Seq + 1
	}
}

// mirrorStays expects the mirror to tell no smaller last sequence behind a restart
// than what was read of it, whether its origin has brought anything again or not.
func (w *chaosWorld) mirrorStays(excused bool, fault string) {
	w.t.Helper()
	s := w.e.account("A").stream(copyMirror)
	if s == nil {
		return // judged with the others
	}
	last := s.state().LastSeq
	for seq := range w.copies[copyMirror].seen {
		if seq > last && !excused {
			w.t.Errorf("after %q: the mirror ends at %d, and %d was read of it", fault, last, seq)
		}
	}
}

// before is what was acknowledged of a stream up to now.
func (m *chaosModel) before(stream string) map[uint64]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := make(map[uint64]string)
	if s := m.streams[stream]; s != nil {
		for seq, body := range s.given {
			was[seq] = body
		}
	}
	return was
}

// neverStays says that any message of the stream may be taken at any time: given
// keeps what was acknowledged.
func (m *chaosModel) neverStays(stream string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams[stream].given = make(map[uint64]string)
}

// judgeCopies is the law for mirrors and sources. The streams that they copy
// have taken a message since the restart, which shows when they have come to
// the end. given is what was acknowledged of the work queue before the crash.
func (w *chaosWorld) judgeCopies(given map[uint64]string, excused bool, fault string) {
	w.t.Helper()
	v := engineView{w.e}
	if !w.copiesThere() || !v.has(chaosPlain) || !v.has(chaosWork) {
		if !v.told() {
			w.t.Errorf("after %q: a mirror, or a stream with a source, is gone", fault)
		}
		return
	}
	w.m.mu.Lock()
	newest := make(map[string]string) // of each origin
	at := w.m.streams[chaosPlain].last
	for _, name := range []string{chaosPlain, chaosWork} {
		newest[name] = w.m.streams[name].acked[w.m.streams[name].last]
	}
	acked := make(map[uint64]string)
	for seq, body := range w.m.streams[chaosPlain].acked {
		acked[seq] = body
	}
	w.m.mu.Unlock()
	came := func(name, body string) func() bool {
		return func() bool {
			last := v.last(name)
			for seq := last - min(last, 20) + 1; seq <= last; seq++ {
				if got, err := v.load(name, seq); err == nil && got == body {
					return true
				}
			}
			return false
		}
	}
	eventually(w.t, func() bool { return v.last(copyMirror) >= at })
	eventually(w.t, came(copySum, newest[chaosPlain]))
	eventually(w.t, came(copyGather, newest[chaosWork]))

	bad := func(format string, args ...any) {
		w.t.Helper()
		w.t.Errorf("after %q: "+format, append([]any{fault}, args...)...)
	}
	isLost := func(ranges []edgestore.SeqRange, seq uint64) bool {
		return slices.ContainsFunc(ranges, func(r edgestore.SeqRange) bool { return r.First <= seq && seq <= r.Last })
	}
	holds := make(map[string]map[uint64]string)
	for name, c := range w.copies {
		holds[name] = v.all(name)
		lost := v.lost(name)
		for seq, body := range c.seen {
			got, there := holds[name][seq]
			switch {
			case there && got == body:
				w.tally.promises++
			case excused:
				w.tally.vanished++
			case there:
				bad("%s: %d was read as %q and is %q", name, seq, body, got)
			case isLost(lost, seq):
				w.tally.lost++
			default:
				bad("%s: %d (%q) was read, is missing and not told lost (%v)", name, seq, body, lost)
			}
			if got != body {
				delete(c.seen, seq)
			}
		}
	}
	// A mirror has what its origin has, under the same numbers.
	lost := v.lost(copyMirror)
	for seq, body := range v.all(chaosPlain) {
		got, there := holds[copyMirror][seq]
		w.tally.mirrored++
		if !there && !isLost(lost, seq) || there && got != body && !excused {
			bad("the mirror has %q as %d, the origin %q; told lost are %v", got, seq, body, lost)
		}
	}
	for seq, body := range holds[copyMirror] {
		if was, ok := acked[seq]; ok && was != body && !excused {
			bad("the mirror has %q as %d, acknowledged was %q", body, seq, was)
		}
	}
	// What a source brought is there once, and in the order of the origin.
	brought := make(map[string]map[string]bool)
	for _, name := range []string{copySum, copyGather} {
		brought[name] = make(map[string]bool)
		last := 0
		var seqs []uint64
		for seq := range holds[name] {
			seqs = append(seqs, seq)
		}
		slices.Sort(seqs)
		for _, seq := range seqs {
			body := holds[name][seq]
			if brought[name][body] {
				bad("%s holds %q twice, the second time as %d", name, body, seq)
			}
			brought[name][body] = true
			n := 0
			fmt.Sscanf(strings.TrimPrefix(body, "m"), "%d", &n)
			if n < last && fault == "none" {
				bad("%s holds %q at %d, behind m%d", name, body, seq, last)
			}
			last = max(last, n)
		}
	}
	for seq, body := range v.all(chaosPlain) {
		w.tally.sourced++
		if !brought[copySum][body] && len(v.lost(copySum)) == 0 {
			bad("%q (%d) was not brought to %s, which has lost nothing", body, seq, copySum)
		}
	}
	// What was acknowledged of the work queue is in one of both, or told lost.
	queue, lost := v.all(chaosWork), v.lost(chaosWork)
	for seq, body := range given {
		w.tally.sourced++
		switch {
		case brought[copyGather][body], queue[seq] == body, excused:
		case isLost(lost, seq), len(v.lost(copyGather)) > 0:
			w.tally.lost++
		default:
			bad("%q, acknowledged as %d of %s, is neither there (lost are %v) nor in %s, which has lost nothing", body, seq, chaosWork, lost, copyGather)
		}
	}
	if excused || len(v.lost(copyGather)) > 0 || len(lost) > 0 {
		w.m.neverStays(chaosWork) // judged
	}
}
