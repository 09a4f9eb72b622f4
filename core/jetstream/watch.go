package jetstream

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/damage"
	"github.com/frondmq/frond/edgestore"
)

// storeWatch listens to the store of one stream in files: what it finds damaged
// becomes an operation that books it as lost, and what the disk refuses is told.
type storeWatch struct {
	e    *Engine
	inc  uint64
	cfg  *asset.StreamConfig // of the stream's creation
	head head                // as the catalogue knows it
	hurt atomic.Bool         // something was found unreadable
	// doubt is the operation from which on what the recovery would decide may not be
	// what was decided, by something that the store did not have then or has no more:
	// it goes by the notes from there on. 0: none.
	doubt uint64
	// aside is why the files were put aside; nil: they were not.
	aside error

	mu struct {
		sync.Mutex
		s     *stream // once it is recovered
		leads bool    // operations may be appended
		found []edgestore.SeqRange
		asked bool // an operation is on its way
	}
}

// doubts reports whether what is decided of an operation may not be what was. Recovery only.
func (w *storeWatch) doubts(seat uint64) bool {
	return w.hurt.Load() || w.doubt != 0 && seat >= w.doubt
}

// journalBegin is the stream's last sequence before the first of its operations
// that the journal still has: the messages above come from there again. It is
// asked while the store opens and has lost how far it had come. ok is false
// when the journal has none, or a mirror's, whose messages say their sequence.
// Of the values beside the messages only those are kept that nothing is decided
// by: the others are ahead, and what comes again would be taken for known.
func (w *storeWatch) journalBegin() (last uint64, keep func(key string) bool, ok bool) {
	if w.cfg.Mirror != nil || w.e.journal == nil {
		return 0, nil, false
	}
	var first edgestore.Record
	var notes notesOf
	err := w.e.journal.Scan(0, func(en *edgestore.Entry) error {
		if en.Incarnation != w.inc || en.Seat == 0 {
			return nil
		}
		if first.Seat == 0 {
			first = en.Record
		}
		if en.Kind == opNotes {
			if list, err := readNotes(en); err == nil {
				notes = append(notes, list...)
			}
		}
		return nil
	})
	if err != nil || first.Seat == 0 {
		return 0, nil, false
	}
	notes.sort()
	keep = func(key string) bool { return key == auxConfig || key == auxIdentity }
	return notes.before(&first), keep, true
}

// damaged is called by the store, on any goroutine, while it reads.
func (w *storeWatch) damaged(first, last uint64, _ error) {
	w.hurt.Store(true)
	w.mu.Lock()
	w.mu.found = damage.MergeRanges(append(w.mu.found, edgestore.SeqRange{First: first, Last: last}), damage.MaxRanges)
	// Where others share the log it is told even if they lead.
	ask := (w.mu.leads || w.mu.s != nil && w.mu.s.shared()) && !w.mu.asked
	w.mu.asked = w.mu.asked || ask
	w.mu.Unlock()
	if ask {
		w.ask()
	}
}

// ask has the operation appended by a worker: whoever reads holds locks.
func (w *storeWatch) ask() {
	if !w.e.api.Do(w.appendLost) {
		w.mu.Lock()
		w.mu.asked = false // the next one who reads it asks again
		w.mu.Unlock()
	}
}

func (w *storeWatch) appendLost() {
	w.mu.Lock()
	s, found := w.mu.s, w.mu.found
	w.mu.found, w.mu.asked = nil, false
	w.mu.Unlock()
	if l, ok := s.log().(sharedLog); ok {
		l.Damaged(w.inc, fmt.Errorf("messages %s can not be read", damage.RangesText(found)))
		return
	}
	for _, r := range found {
		rec := s.record(opLost, false)
		if !w.e.appendLazy(s.log(), &rec, nil, msgp.AppendUint64(msgp.AppendUint64(nil, r.First), r.Last)) {
			w.damaged(r.First, r.Last, nil)
			return
		}
	}
}

// opened is called when the stream is recovered: what was found before is booked.
func (w *storeWatch) opened(s *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.s, w.mu.found = s, nil
}

// lead lets operations be appended, also for what was found while another server
// led.
func (w *storeWatch) lead() {
	w.mu.Lock()
	w.mu.leads = true
	ask := len(w.mu.found) > 0 && !w.mu.asked
	w.mu.asked = w.mu.asked || ask
	w.mu.Unlock()
	if ask {
		w.ask()
	}
}

// follow ends what lead began.
func (w *storeWatch) follow() {
	w.mu.Lock()
	w.mu.leads = false
	w.mu.Unlock()
}

func (w *storeWatch) readFailed(err error) {
	w.report(DamageRead, fmt.Sprintf("the disk failed to read: %v; nothing was given up for that", err),
		"look at the kernel's log and the health of the disk or card; restart when it reads again")
}

func (w *storeWatch) writeFailed(err error) {
	w.report(DamageWrite, fmt.Sprintf("the disk failed to write: %v; what was acknowledged is in the journal and is written again", err),
		"look at the kernel's log and the health of the disk or card, and think of replacing it")
}

func (w *storeWatch) report(kind damage.Kind, what, do string) {
	d := Damage{Kind: kind, Where: w.e.cfg.backend.where(w.inc), What: what, Do: do}
	w.mu.Lock()
	s := w.mu.s
	w.mu.Unlock()
	if s != nil {
		d.Account, d.Stream = s.acct.name, s.name
	}
	w.e.report(d)
}

// applyLost books messages that can't be read as lost.
func (s *stream) applyLost(data []byte) error {
	r := opReader{b: data}
	first, last := r.uint(), r.uint()
	if err := r.done("lost messages"); err != nil || s.shared() {
		return err // what one disk does not read is nothing to the others
	}
	n, err := s.store.Lose(first, min(last, s.last))
	if err != nil {
		return err // a read that failed: the next one who finds it asks again
	}
	if n > 0 {
		s.consumers.purged("")
		s.tellDamage()
	}
	return nil
}

// bookFound books what the store found unreadable while there was nobody to
// book it. The caller holds mu.
func (s *stream) bookFound() {
	found := s.store.Found()
	if len(found) == 0 {
		return
	}
	if l, ok := s.log().(sharedLog); ok {
		l.Damaged(s.incarnation, fmt.Errorf("messages %s can not be read", damage.RangesText(found)))
		return
	}
	for _, r := range found {
		if _, err := s.store.Lose(r.First, min(r.Last, s.last)); err != nil {
			s.e.logger.Warn("recovery: messages that can't be read are not booked yet", "stream", s.name, "first", r.First, "last", r.Last, "err", err)
		}
	}
	s.passed(max(s.applied, 1))
	s.consumers.purged("")
}

// tellDamage reports the lost ranges that the register does not have yet. The
// caller holds mu.
func (s *stream) tellDamage() {
	fresh := s.e.damage.Untold(s.acct.name, s.name, s.store.Damage())
	if len(fresh) == 0 {
		return
	}
	s.e.report(Damage{
		Kind: DamageLost, Account: s.acct.name, Stream: s.name, Where: s.where(), Lost: fresh,
		What: fmt.Sprintf("messages of stream %q can not be read and are lost: %s", s.name, damage.RangesText(fresh)),
		Do:   "compare the stream with where its messages came from, then acknowledge this; look at the health of the disk or card",
	})
}
