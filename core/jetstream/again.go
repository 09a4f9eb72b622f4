package jetstream

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// A store that was damaged, or is older than it was, and whose stream has all of
// its operations in the journal is not made do with: it is put aside, and all of
// the stream is applied again to an empty one, which comes to the same.
//
// That it does is not taken on trust. What was decided once may have been decided
// by what a fault had left (message ids that could not be read were not known any
// more), and would be decided otherwise now, and a sequence given to another
// message. So the operations are applied to a trial first, which leaves nothing
// behind: it has to arrive at the count and the sequence that the store, or the
// catalogue, says the stream had, and at every operation at the sequence that its
// place and the notes say. Where it does not, or where the journal begins later or
// has a hole, the stream goes on with what was salvaged, as DESIGN.md says, and what
// the journal has above that is taken as the notes say: the ids that it knows are of
// another time than those that its operations were decided by.

// suspect is a stream whose store may have less than it had.
type suspect struct {
	s    *stream
	c    streamCreate
	h    head          // as the catalogue knows it
	rows []consumerRow // the same
	why  string

	run   *journalRun // what the journal has of it
	trial *stream     // nil: none is made
	fx    effects     // of it: nobody carries them out
	// to and last are the count and the sequence at which it has to arrive; no count
	// is not known, and then it goes to the end of the journal.
	to     edgestore.Chain
	last   uint64
	failed error // s could not be opened any more
	partly bool  // it is tried up to where it had come, and no further
	over   bool  // what comes now is not for the trial any more
	same   bool  // it came to what the stream had
	// older: the stream goes back in time with what is left of its store.
	older bool
	// doubt is the operation behind those that had to be the same which the trial
	// decides otherwise than it was; 0: none.
	doubt uint64
}

// lacks says why the store of a stream that was just opened may have less than it
// had, "" that it has not, and whether it may be as it was at another time. h is how
// far it had come, as the catalogue knows.
func (s *stream) lacks(h *head) (why string, older bool) {
	if s.memory {
		return "", false
	}
	var met edgestore.Opening
	if st, ok := s.store.(interface{ Opening() edgestore.Opening }); ok {
		met = st.Opening()
	}
	switch {
	case s.watch.aside != nil:
		return fmt.Sprintf("they can not be read: %v", s.watch.aside), true
	case met.Salvaged != nil:
		return fmt.Sprintf("they are damaged: %v", met.Salvaged), true
	case h.applied > 0 && s.skipUpTo == 0:
		return "they are gone", true
	case h.short(s):
		return "they are older than what the catalogue knows of them", true
	case len(s.store.Damage()) > 0:
		return "messages in them can not be read", false
	}
	return "", false
}

// newSuspect takes a stream that was just opened and is known to nobody yet; nil:
// nothing suggests that its store has less than it had.
func newSuspect(s *stream, c *streamCreate, h head, rows []consumerRow) *suspect {
	why, older := s.lacks(&h)
	if why == "" {
		return nil
	}
	x := &suspect{s: s, c: *c, h: h, rows: rows, why: why, older: older, last: s.last}
	if s.done.Seat > 0 {
		x.to = s.done
	}
	if h.chain.Seat > x.to.Seat {
		x.to, x.last = h.chain, h.last
	}
	return x
}

// fromJournal has what the journal still has whole take the place of what
// suspects came back with: x.s is another stream then.
func (e *Engine) fromJournal(list []*suspect) {
	var whole []*suspect
	var failed error
	for _, x := range list {
		index, err := e.journalIndex()
		if err == nil {
			if x.run = index[x.c.incarnation].whole(x.to); x.run == nil {
				continue
			}
			err = x.begin(e, nil)
		}
		if err != nil {
			failed = err
			continue
		}
		whole = append(whole, x)
	}
	err := e.try(whole)
	if err != nil {
		failed = err
	}
	for _, x := range whole {
		x.end()
		if err != nil || !x.same {
			continue
		}
		if err := e.again(x); err != nil {
			e.logger.Error("recovery: a damaged stream could not be brought back from the journal, and goes on with what is left of it", "stream", x.s.name, "err", err)
		}
	}
	if failed != nil {
		e.logger.Warn("recovery: what the journal has of damaged streams can't be tried", "err", failed)
	}
}

// try applies what the journal has of suspects to their trials.
func (e *Engine) try(list []*suspect) error {
	if len(list) == 0 {
		return nil
	}
	by := make(map[uint64]*suspect)
	from := list[0].run.from
	for _, x := range list {
		by[x.c.incarnation] = x
		from = min(from, x.run.from)
	}
	left := len(list)
	err := e.journal.Scan(from-1, func(en *edgestore.Entry) error {
		if x := by[en.Incarnation]; x != nil && !x.over && en.LSN >= x.run.from {
			if x.apply(en); x.over {
				left--
			}
		}
		if left == 0 {
			return errTried
		}
		return nil
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

// errTried ends a look into the journal that needs no more of it.
var errTried = errors.New("all was tried")

// begin makes the trial: a stream that nobody knows and that has no files, as it
// was created. One whose begin the journal does not have any more is as the notes
// say it was then, with the configuration that it has now.
func (x *suspect) begin(e *Engine, now *asset.StreamConfig) error {
	cfg, err := now, error(nil)
	if cfg == nil {
		if cfg, err = e.configs.Decode(x.c.config); err != nil {
			return err
		}
	}
	first, later := cfg.FirstSeq, x.run.begin.Seat > 1
	if later {
		first = x.run.of.notes.before(&x.run.begin) + 1
	}
	// What it tells and what it counts is not of this engine.
	own := &Engine{cfg: e.cfg, logger: slog.New(slog.DiscardHandler), journal: e.journal, line: e.line, local: e.local}
	own.rand.Rand = rand.New(rand.NewPCG(1, 2))
	st, err := edgestore.OpenFileStore(edgestore.FileOptions{
		Dir: e.cfg.backend.where(x.c.incarnation) + ".trial", Incarnation: x.c.incarnation, FirstSeq: first,
		Blobs: e.journal, Late: true,
	})
	if err != nil {
		return err
	}
	t, err := newStream(own, newAccount(own, x.c.account), x.c, cfg, st, &storeWatch{e: own, inc: x.c.incarnation, cfg: cfg})
	if err != nil {
		return err
	}
	if later {
		t.done = edgestore.Chain{Seat: x.run.begin.Seat - 1, Place: x.run.begin.Place}
		t.noted = int64(t.last) - int64(t.done.Place)
	}
	x.trial = t
	return nil
}

// end gives up the trial.
func (x *suspect) end() {
	_ = x.trial.store.Close() // there is nothing of it
	x.trial = nil
}

// apply applies an operation of the stream to the trial.
func (x *suspect) apply(en *edgestore.Entry) {
	t := x.trial
	mirror := t.config().Mirror != nil // its messages carry their own sequences
	if en.Seat != t.done.Seat+1 || !mirror && t.last != x.run.of.notes.before(&en.Record) {
		x.over, x.doubt = true, t.done.Seat
		return
	}
	run := []edgestore.Entry{*en}
	x.fx.begin(t, run)
	t.applyRun(run, &x.fx)
	end := x.run.end.Seat == en.Seat
	switch {
	case t.failed != nil:
		x.over, x.doubt = true, en.Seat
		return
	case x.to.Seat == en.Seat:
		// Places of a mirror were none in the first journals.
		x.same = t.last == x.last && (t.done == x.to || mirror)
		x.over = !x.same || x.partly
	case x.to.Seat == 0 && end: // nothing says how far it has to come
		x.same = !mirror && t.last >= x.last
	}
	if end && !x.over {
		// No note is behind it that could say otherwise.
		if x.over = true; !mirror && t.last != t.done.Place {
			x.doubt = en.Seat
		}
	}
}

// doubts has the recovery of what became of a suspect go by the notes where it may
// decide otherwise than it did once.
func (x *suspect) doubts() {
	switch {
	case x.same:
		x.s.watch.doubt = x.doubt
	case x.older:
		x.s.watch.doubt = 1
	}
}

// again puts the files of a suspect aside and begins its stream with none: the
// replay applies to that what the journal has, and that is all.
func (e *Engine) again(x *suspect) error {
	x.same = false
	old, where := x.s, x.s.where()
	rows, err := old.consumerStates()
	if err != nil {
		return err
	}
	_ = old.store.Close() // nothing more is wanted of it
	switch _, err = os.Lstat(where); {
	case err == nil:
		why := fmt.Sprintf("The files of stream %q were put aside: %s. The journal had all of the stream.", old.name, x.why)
		var to string
		if to, err = e.cfg.backend.quarantine(old.incarnation, why); to != "" {
			where, err = to, nil // the note is not what matters
		}
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	aside := old.watch.aside
	x.s, x.failed = e.openStream(x.c, x.h)
	if x.same = err == nil && x.failed == nil; !x.same {
		return errors.Join(err, x.failed)
	}
	x.s.states = rows
	if aside == nil { // else it was told
		e.report(Damage{
			Kind: DamageAside, Account: old.acct.name, Stream: old.name, Where: where,
			What: fmt.Sprintf("the files of stream %q were not what they had been (%s); all of the stream was brought back from the journal, and nothing is lost", old.name, x.why),
			Do:   "look at the health of the disk or card; remove what was put aside when it is not needed, and acknowledge this",
		})
	}
	return nil
}

// consumerState is what a store had of a consumer.
type consumerState struct {
	id, number uint64
	snapshot   []byte
}

// consumerStates are what the store has of the consumers. Some of it the journal
// may not have: a drain writes down what was not logged yet, and where a consumer
// stands that is never logged.
func (s *stream) consumerStates() (list []consumerState, err error) {
	err = s.store.Aux(auxConsumer, func(_ string, value []byte) error {
		r := opReader{b: value}
		x := consumerState{id: r.uint()}
		r.int()
		r.bytes()
		x.number, x.snapshot = r.uint(), bytes.Clone(r.bytes())
		if err := r.done("consumer state"); err == nil { // else nothing is known of it
			list = append(list, x)
		}
		return nil
	})
	return list, err
}

// takeStates takes consumers on to what the store had of them that was put aside,
// if that is more than the journal brought. The caller holds mu. Recovery only.
func (s *stream) takeStates() {
	for _, x := range s.states {
		m := s.consumers.byID[x.id]
		if m == nil || m.deltas.logged && x.number <= m.deltas.number {
			continue
		}
		if err := m.m.ApplySnapshot(x.snapshot); err != nil {
			continue // it stays where the journal has it, and delivers again
		}
		m.deltas.goOn(x.number)
		m.floorBefore = min(m.floorBefore, m.m.AckFloor().Stream)
		s.passed(max(s.applied, 1))
	}
	s.states = nil
}
