package jetstream

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/edgestore"
)

// The state of an engine as a text: what a restart would read of it, and what
// follows from that. Of two engines that have applied the same operations it is
// the same. What is not in it has a reason: see twinsLocal.

// hashOf is what states are compared by.
func hashOf(lines []string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n"))))
}

// difference is the first lines that differ, "" for none.
func difference(a, b []string) string {
	if hashOf(a) == hashOf(b) {
		return ""
	}
	only := func(x, y []string) (list []string) {
		in := make(map[string]bool)
		for _, l := range y {
			in[l] = true
		}
		for _, l := range x {
			if !in[l] {
				list = append(list, l)
			}
		}
		return list[:min(len(list), 6)]
	}
	return "the first has\n\t" + strings.Join(only(a, b), "\n\t") + "\nthe second has\n\t" + strings.Join(only(b, a), "\n\t")
}

// stateOf is the state of all of an engine that is in files. Nothing may be
// applied meanwhile.
func stateOf(e *Engine) (lines []string) {
	lines = catalogueState(e)
	streams := e.allStreams()
	slices.SortFunc(streams, func(x, y *stream) int { return int(x.incarnation) - int(y.incarnation) })
	for _, s := range streams {
		if !s.memory {
			lines = append(lines, linesOf(s)...)
		}
	}
	return lines
}

func catalogueState(e *Engine) []string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	lines := []string{
		fmt.Sprintf("catalogue: done %+v format %d", e.mu.cat.done, e.mu.cat.format),
		fmt.Sprintf("catalogue: clock %x", e.mu.cat.clock.append(nil)),
	}
	for _, name := range slices.Sorted(maps.Keys(e.mu.accounts)) {
		a := e.mu.accounts[name]
		lines = append(lines, fmt.Sprintf("account %s: %d bytes in files", name, a.quota.used[usageIndex(false)].Load()))
	}
	return lines
}

func linesOf(s *stream) (lines []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	add := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf("stream %s: ", s.name)+fmt.Sprintf(format, args...))
	}
	add("incarnation %d of account %s created %d", s.incarnation, s.acct.name, s.created)
	add("config %s", asset.Encode(s.config()))
	add("last %d, message id %q, done %+v, noted %d, newest %d, mirrored %d", s.last, s.lastMsgID, s.done, s.noted, s.newest, s.mirrored.Load())
	for _, source := range slices.Sorted(maps.Keys(s.positions)) {
		at := s.positions[source]
		add("position of %q: %x", source, at.appendAux(nil))
	}
	add("clock %x", s.clock.append(nil))
	for _, x := range expiryState(s.expiries) {
		add("%s", x)
	}
	for _, x := range dedupState(s.dedup) {
		add("%s", x)
	}
	for _, x := range storeState(s.store) {
		add("%s", x)
	}
	for _, name := range slices.Sorted(maps.Keys(s.consumers.byName)) {
		if m := s.consumers.byName[name]; !m.volatile.Load() {
			add("consumer %s: %s", name, memberState(m))
		}
	}
	return lines
}

// expiryState is when messages are due, whatever slots they stand in.
func expiryState(x *expiries) (lines []string) {
	if x == nil {
		return nil
	}
	due := make(map[uint64]int64)
	for _, slot := range x.heap {
		slot.each(func(seq uint64, at int64) bool { due[seq] = at; return true })
	}
	for _, seq := range slices.Sorted(maps.Keys(due)) {
		lines = append(lines, fmt.Sprintf("%d is due at tick %d", seq, due[seq]))
	}
	if x.nevers {
		lines = append(lines, "some live for ever")
	}
	return lines
}

// dedupState is what message ids are known, whatever is in memory, rows or runs:
// that depends on when each engine has drained.
func dedupState(d *dedup) []string {
	if d == nil {
		return nil
	}
	lines := []string{fmt.Sprintf("ids: window %d, clock %+v, floor %d", d.window, d.clock, d.floor)}
	if !d.clock.started {
		return lines
	}
	type known struct {
		seq uint64
		at  int64
	}
	ids := make(map[string]known)
	horizon := d.horizon()
	for _, run := range d.runs {
		err := run.Each(func(x edgestore.ID) error {
			if x.At > horizon {
				ids[string(x.ID)] = known{x.Seq, x.At}
			}
			return nil
		})
		if err != nil {
			lines = append(lines, "a run of ids can't be read: "+err.Error())
		}
	}
	for n := d.fresh.first; n < d.fresh.end; n++ {
		if x := d.fresh.get(n); x.at > horizon {
			ids[string(d.fresh.id(n))] = known{x.seq, x.at}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		lines = append(lines, fmt.Sprintf("id %q came at %d as %d", id, ids[id].at, ids[id].seq))
	}
	return lines
}

// storeState is every message, and what the store counts.
func storeState(st edgestore.Store) []string {
	lines := []string{stateText(st.State()), fmt.Sprintf("lost %v, deleted %v", st.Damage(), st.Deleted(1<<16))}
	subjects := make(map[string]edgestore.SubjectState)
	err := st.Subjects(">", func(subject string, s edgestore.SubjectState) bool { subjects[subject] = s; return true })
	if err != nil {
		lines = append(lines, err.Error())
	}
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		lines = append(lines, fmt.Sprintf("subject %q %+v", subject, subjects[subject]))
	}
	var buf []byte
	for seq := uint64(1); ; seq++ {
		m, b, err := st.LoadNext(nil, seq, buf)
		if err != nil {
			if !errors.Is(err, edgestore.ErrNotFound) {
				lines = append(lines, fmt.Sprintf("behind %d: %v", seq, err))
			}
			return lines
		}
		lines = append(lines, messageText(&m))
		seq, buf = m.Seq, b
	}
}

func stateText(s edgestore.State) string {
	return fmt.Sprintf("%d messages, %d bytes, %d to %d, times %d to %d, %d deleted, %d subjects",
		s.Msgs, s.Bytes, s.FirstSeq, s.LastSeq, s.FirstTime.UnixNano(), s.LastTime.UnixNano(), s.NumDeleted, s.NumSubjects)
}

func messageText(m *edgestore.Msg) string {
	body := m.Body
	if len(body) > 200 { // who reads what differs would see nothing else
		sum := sha256.Sum256(body)
		body = fmt.Appendf(nil, "%.40s... %x", body, sum[:8])
	}
	return fmt.Sprintf("message %d at %d on %q: %q %q", m.Seq, m.Time, m.Subject, m.Header, body)
}

// memberState leaves out where a consumer stands that is not logged.
func memberState(m *member) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := fmt.Sprintf("id %d created %d direct %v logged %v config %s filters %q", m.id, m.created, m.direct, m.deltas.logged, m.cfg.Encode(), m.filters)
	if !m.deltas.logged {
		return text
	}
	return text + fmt.Sprintf(" number %d %s", m.deltas.number, snapshotText(m.m.AppendSnapshot(nil), m.s.store, m.filters))
}

// snapshotText is a snapshot as a text. That a consumer went on over messages
// which are not for it is logged with its next change only, so its position is
// told as the next message that is.
func snapshotText(b []byte, st edgestore.Store, filters []string) string {
	r := opReader{b: b}
	version, policy, dseq, next := r.uint(), r.uint(), r.uint(), r.uint()
	floor, live := [2]uint64{r.uint(), r.uint()}, r.uint()
	delivered, acked, replayEnd := r.int(), r.int(), r.uint()
	var arrays []string
	listed := false
	for i := range 4 {
		array := r.b
		if n, _, err := msgp.ReadArrayHeaderBytes(array); i == 0 && err == nil {
			listed = n > 0
		}
		rest, err := skipArray(array, i)
		if err != nil {
			return fmt.Sprintf("snapshot %x: %v", b, err)
		}
		arrays = append(arrays, fmt.Sprintf("%x", array[:len(array)-len(rest)]))
		r.b = rest
	}
	shown := next - r.uint()
	follows := floor == [2]uint64{dseq, next - 1} // without acknowledgements it always does
	if r.err != nil || len(r.b) > 0 {
		return fmt.Sprintf("snapshot %x: %v, %d bytes left", b, r.err, len(r.b))
	}
	if !listed {
		if m, _, err := st.LoadNext(filters, next, nil); err == nil {
			next = m.Seq
		} else {
			next = max(next, st.State().LastSeq+1)
		}
	}
	if policy == uint64(consumer.AckNone) && follows {
		floor = [2]uint64{dseq, next - 1}
	}
	return fmt.Sprintf("version %d policy %d dseq %d next %d shown %d floor %v live %d delivered %d acked %d replay to %d list, pending, exhausted, ahead %v",
		version, policy, dseq, next, shown, floor, live, delivered, acked, replayEnd, arrays)
}

// skipArray passes over one array of a snapshot: of pending and exhausted the
// header counts entries of four and two numbers.
func skipArray(b []byte, which int) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	for range int(n) * [...]int{1, 4, 2, 1}[which] {
		if err == nil {
			b, err = msgp.Skip(b)
		}
	}
	return b, err
}
