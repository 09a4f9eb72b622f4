package jetstream

import (
	"slices"
)

// deltaLog is what has to be written down of one consumer: what its machine did,
// as numbered deltas that go to the log oldest first, and the answers that wait
// for them. A snapshot says up to which number it has them, so that a recovery
// applies only those behind it.
//
// It has no mutex of its own. A delta must not come apart from the state of the
// machine that it was taken from, so the host's guards both. It appends nothing
// itself: see member.log.
type deltaLog struct {
	// logged: deltas go to the log. Else they are dropped, and answers wait for
	// nothing. Fixed at construction.
	logged bool

	number uint64 // of the newest delta
	sealed uint64 // of the newest delta that is in a sealed snapshot
	dirty  bool   // the consumer is not as it was sealed last
	// behind: the recovery met a delta that it had to leave out.
	behind  bool
	unsent  [][]byte // deltas that the log did not take yet, oldest first
	spare   []byte   // for the next delta
	answers [][]byte // replies that wait for the newest delta
}

// changes is a consumer.Machine, as its log sees it.
type changes interface {
	HasDelta() bool
	TakeDelta(b []byte) []byte
}

// maxUnsent is how large a delta that the log refused may be before nothing more
// is delivered.
const maxUnsent = 64 << 10

// full reports whether so much waits for the log that the consumer has to, too.
func (d *deltaLog) full() bool {
	n := len(d.unsent)
	return n > 0 && len(d.unsent[n-1]) >= maxUnsent
}

// take puts what changed behind the deltas that wait. It goes into the last of
// them, unless a snapshot has that one already: a recovery that finds the
// snapshot skips the delta as a whole. Answers alone make an empty delta.
func (d *deltaLog) take(m changes) {
	n := len(d.unsent)
	switch {
	case !m.HasDelta() && (n > 0 || len(d.answers) == 0):
		return
	case n > 0 && d.number > d.sealed:
		d.unsent[n-1] = m.TakeDelta(d.unsent[n-1])
	default:
		d.unsent = append(d.unsent, m.TakeDelta(d.spare[:0]))
		d.spare = nil
		d.number++
	}
	d.dirty = true
}

// drop forgets what changed, of a consumer that is not logged, and gives the
// answers, which wait for nothing.
func (d *deltaLog) drop(m changes) (answers [][]byte) {
	d.spare = m.TakeDelta(d.spare[:0])
	answers, d.answers = d.answers, nil
	return answers
}

// oldest is the delta that the log has to take next, and the answers that may go
// when it is durable: those wait for all deltas.
func (d *deltaLog) oldest() (number uint64, delta []byte, answers [][]byte, ok bool) {
	n := len(d.unsent)
	if n == 0 {
		return 0, nil, nil, false
	}
	if n == 1 {
		answers = d.answers
	}
	return d.number - uint64(n) + 1, d.unsent[0], answers, true
}

// sent is told when the log took the oldest, which it has copied, and its answers.
func (d *deltaLog) sent() {
	d.spare = d.unsent[0]
	d.unsent = slices.Delete(d.unsent, 0, 1)
	if len(d.unsent) == 0 {
		d.answers = nil
	}
}

// follow takes over the number of a delta that came from the log. apply: the
// machine is to take the delta over as well. gap: it can't, since the one behind
// was is missing, and what it and all that follow say is relative to that.
func (d *deltaLog) follow(number uint64) (was uint64, apply, gap bool) {
	was = d.number
	if number <= was {
		return was, false, false // a snapshot has it
	}
	d.dirty = true
	d.number = number // never given again
	if d.behind {
		return was, false, false
	}
	d.behind = number != was+1
	return was, !d.behind, d.behind
}

// goOn is told that the machine took over a snapshot that has all up to number,
// whatever was missing before.
func (d *deltaLog) goOn(number uint64) {
	d.number, d.dirty, d.behind = max(d.number, number), true, false
}

// wasSealed is told that a snapshot has all deltas up to number.
func (d *deltaLog) wasSealed(number uint64) { d.dirty, d.sealed = false, number }
