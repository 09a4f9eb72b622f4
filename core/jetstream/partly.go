package jetstream

import (
	"errors"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// What the journal has of streams, for those that were damaged.

// journalIndex is what the journal has of each stream. It is made when it is needed
// first, by reading all of the journal once, and kept to the end of the recovery.
type journalIndex map[uint64]*inJournal

// inJournal is what the journal has of a stream.
type inJournal struct {
	runs  []journalRun
	notes notesOf
}

// journalRun is operations of a stream that follow each other without a hole.
type journalRun struct {
	begin edgestore.Record // without its data
	from  edgestore.LSN
	end   edgestore.Chain
	of    *inJournal
}

func (e *Engine) journalIndex() (journalIndex, error) {
	if e.index != nil {
		return e.index, nil
	}
	x := make(journalIndex)
	err := e.journal.Scan(0, func(en *edgestore.Entry) error {
		if en.Incarnation == 0 {
			return nil
		}
		of := x[en.Incarnation]
		if of == nil {
			of = new(inJournal)
			x[en.Incarnation] = of
		}
		of.add(en)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, of := range x {
		of.notes.sort()
	}
	e.index = x
	return x, nil
}

func (of *inJournal) add(en *edgestore.Entry) {
	n := len(of.runs)
	if n == 0 || en.Seat == 0 || en.Seat != of.runs[n-1].end.Seat+1 {
		of.runs = append(of.runs, journalRun{begin: en.Record, from: en.LSN, of: of})
		of.runs[n].begin.Data = nil
		n++
	}
	of.runs[n-1].end = behind(&en.Record)
	if en.Kind == opNotes {
		if list, err := readNotes(en); err == nil {
			of.notes = append(of.notes, list...)
		}
	}
}

// whole is the run that has all of a stream, from its creation on to where it had
// come at least; nil: there is none.
func (of *inJournal) whole(to edgestore.Chain) *journalRun {
	if of == nil || of.runs[0].begin.Seat != 1 || of.runs[0].end.Seat < to.Seat || to.Seat == 0 && len(of.runs) > 1 {
		return nil
	}
	return &of.runs[0]
}

// upTo is the run that leads to where a stream had come, wherever it begins; nil:
// there is none.
func (of *inJournal) upTo(to edgestore.Chain) *journalRun {
	if of == nil {
		return nil
	}
	for i := range of.runs {
		if r := &of.runs[i]; r.begin.Seat > 0 && r.begin.Seat <= to.Seat && to.Seat <= r.end.Seat {
			return r
		}
	}
	return nil
}

// maxPartly is how many stores are helped out of the journal at a start while they
// open: each reads it from where its stream begins in it.
const maxPartly = 64

// again gives messages that a store has lost and the journal still has, while the
// files of that are searched for what is left. to and last are how far the stream
// had come, value reads what the files have beside its messages.
//
// What of the lost ones was still there when the stream had come so far, and what
// had been deleted, a trial shows. It begins where the journal does, with the
// sequence that is exact there by places and notes, and goes by the notes: so it
// does not matter that nothing before is known. Limits delete the oldest, so what
// is missing in the trial had gone before any that it has.
func (w *storeWatch) again(to edgestore.Chain, last uint64, lost []edgestore.SeqRange, value func(key string) ([]byte, error), give func(*edgestore.Msg) error) error {
	e := w.e
	if e.journal == nil || to.Seat == 0 || e.partly >= maxPartly {
		return nil
	}
	e.partly++
	index, err := e.journalIndex()
	if err != nil {
		return err
	}
	x := &suspect{c: streamCreate{incarnation: w.inc}, to: to, last: last, partly: true}
	if x.run = index[w.inc].upTo(to); x.run == nil {
		return nil
	}
	cfg := w.cfg
	if b, err := value(auxConfig); err == nil && b != nil {
		if now, err := asset.Decode(b); err == nil {
			cfg = now
		}
	}
	if err := x.begin(e, cfg); err != nil {
		return err
	}
	defer x.end()
	x.trial.wound(x.run.of.notes)
	if err := e.try([]*suspect{x}); err != nil || !x.same {
		return err
	}
	return x.giveLost(lost, give)
}

// giveLost gives what the trial has of the sequences that are lost.
func (x *suspect) giveLost(lost []edgestore.SeqRange, give func(*edgestore.Msg) error) error {
	var buf []byte
	for _, r := range lost {
		for seq := r.First; seq <= r.Last; seq++ {
			var m edgestore.Msg
			var err error
			if m, buf, err = x.trial.store.LoadNext(nil, seq, buf); errors.Is(err, edgestore.ErrNotFound) {
				return nil
			} else if err != nil {
				return err
			}
			if seq = m.Seq; seq > r.Last {
				break
			}
			if err := give(&m); err != nil {
				return err
			}
		}
	}
	return nil
}
