package jetstream

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"

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
// catalogue, says the stream had, and may contradict no message that can still be
// read. Where it does not, or where the journal begins later or has a hole, the
// stream goes on with what was salvaged, as DESIGN.md says.

// suspect is a stream whose store may have less than it had.
type suspect struct {
	s    *stream
	c    streamCreate
	h    head          // as the catalogue knows it
	rows []consumerRow // the same
	why  string

	// What the journal has of it: the count behind the last operation that follows
	// the first without a hole, and the notes.
	has   edgestore.Chain
	hole  bool
	notes notesOf

	trial *stream // nil: none is made
	// to and last are the count and the sequence at which it has to arrive; no count
	// is not known, and then it goes to the end of the journal.
	to     edgestore.Chain
	last   uint64
	failed error // s could not be opened any more
	over   bool  // what comes now is not for the trial any more
	same   bool  // it came to what the stream had
}

// lacks says why the store of a stream that was just opened may have less than it
// had, "" that it has not. h is how far it had come, as the catalogue knows.
func (s *stream) lacks(h *head) string {
	if s.memory {
		return ""
	}
	var met edgestore.Opening
	if st, ok := s.store.(interface{ Opening() edgestore.Opening }); ok {
		met = st.Opening()
	}
	switch {
	case s.watch.aside != nil:
		return fmt.Sprintf("they can not be read: %v", s.watch.aside)
	case met.Salvaged != nil:
		return fmt.Sprintf("they are damaged: %v", met.Salvaged)
	case h.applied > 0 && s.skipUpTo == 0:
		return "they are gone"
	case h.short(s):
		return "they are older than what the catalogue knows of them"
	case len(s.store.Damage()) > 0:
		return "messages in them can not be read"
	}
	return ""
}

// newSuspect takes a stream that was just opened and is known to nobody yet.
func newSuspect(s *stream, c *streamCreate, h head, rows []consumerRow, why string) *suspect {
	x := &suspect{s: s, c: *c, h: h, rows: rows, why: why, last: s.last}
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
	if len(list) == 0 {
		return
	}
	err := e.seek(list)
	if err == nil {
		err = e.try(list)
	}
	if err != nil {
		e.logger.Warn("recovery: what the journal has of damaged streams can't be tried", "err", err)
		return
	}
	for _, x := range list {
		if !x.same {
			continue
		}
		if err := e.again(x); err != nil {
			e.logger.Error("recovery: a damaged stream could not be brought back from the journal, and goes on with what is left of it", "stream", x.s.name, "err", err)
		}
	}
}

// seek looks what the journal has of suspects.
func (e *Engine) seek(list []*suspect) error {
	by := make(map[uint64]*suspect)
	for _, x := range list {
		by[x.c.incarnation] = x
	}
	err := e.journal.Scan(0, func(en *edgestore.Entry) error {
		if x := by[en.Incarnation]; x != nil {
			x.see(en)
		}
		return nil
	})
	for _, x := range list {
		x.notes.sort()
	}
	return err
}

// see counts an operation that the journal has.
func (x *suspect) see(en *edgestore.Entry) {
	if x.hole = x.hole || en.Seat != x.has.Seat+1; !x.hole {
		x.has = behind(&en.Record)
	}
	if en.Kind == opNotes {
		if list, err := readNotes(en); err == nil {
			x.notes = append(x.notes, list...)
		}
	}
}

// try makes a trial of each suspect that the journal has as a whole.
func (e *Engine) try(list []*suspect) error {
	trials := make(map[uint64]*suspect)
	defer func() {
		for _, x := range trials {
			_ = x.trial.store.Close() // there is nothing of it
			x.trial = nil
		}
	}()
	for _, x := range list {
		if x.has.Seat == 0 || x.has.Seat < x.to.Seat {
			continue
		}
		if err := x.begin(e); err != nil {
			return err
		}
		trials[x.c.incarnation] = x
	}
	left := len(trials)
	if left == 0 {
		return nil
	}
	err := e.journal.Scan(0, func(en *edgestore.Entry) error {
		if x := trials[en.Incarnation]; x != nil && !x.over {
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

// begin makes the trial: a stream as it was created, which nobody knows and which
// has no files.
func (x *suspect) begin(e *Engine) error {
	cfg, err := e.configs.Decode(x.c.config)
	if err != nil {
		return err
	}
	// What it tells and what it counts is not of this engine.
	own := &Engine{cfg: e.cfg, logger: slog.New(slog.DiscardHandler), journal: e.journal, line: e.line, local: e.local}
	own.rand.Rand = rand.New(rand.NewPCG(1, 2))
	st, err := edgestore.OpenFileStore(edgestore.FileOptions{
		Dir: e.cfg.backend.where(x.c.incarnation) + ".trial", Incarnation: x.c.incarnation, FirstSeq: cfg.FirstSeq,
		Blobs: e.journal, Late: true,
	})
	if err != nil {
		return err
	}
	w := &storeWatch{e: own, inc: x.c.incarnation, cfg: cfg}
	x.trial, err = newStream(own, newAccount(own, x.c.account), x.c, cfg, st, w)
	return err
}

// apply applies an operation of the stream to the trial.
func (x *suspect) apply(en *edgestore.Entry) {
	t := x.trial
	mirror := t.config().Mirror != nil // its messages carry their own sequences
	if en.Seat == 1 && en.Place != t.done.Place || !mirror && t.last != x.notes.before(&en.Record) {
		x.over = true
		return
	}
	var out [1]outcome
	t.applyRun([]edgestore.Entry{*en}, out[:])
	switch {
	case t.failed != nil:
		x.over = true
	case x.to.Seat == en.Seat:
		x.over = true
		x.same = t.done == x.to && t.last == x.last
	case x.to.Seat == 0 && x.has.Seat == en.Seat: // nothing says how far it has to come
		x.over = true
		x.same = !mirror && t.last >= x.last
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
