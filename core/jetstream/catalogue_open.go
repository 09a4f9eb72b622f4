package jetstream

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/damage"
	"github.com/frondmq/frond/edgestore"
)

// The catalogue at a start: what its table has, and the streams that are opened
// by it.

// openCatalogue opens the table and the streams that it lists. A table that
// can't be read is put aside and made again: the stores and the journal say
// which streams there are.
func (e *Engine) openCatalogue() (err error) {
	if e.table, err = e.openTable(); errors.Is(err, edgestore.ErrCorrupt) {
		cause := err
		where, aerr := e.cfg.backend.tableAside()
		if aerr != nil {
			return errors.Join(cause, aerr)
		}
		if e.table, err = e.openTable(); err == nil {
			e.mu.cat.rebuilt = true
			e.report(Damage{
				Kind: DamageCatalogue, Where: where,
				What: fmt.Sprintf("the catalogue of streams can not be read (%v); it was put aside and made again from the stores and the journal", cause),
				Do:   "check that every stream is there, and that none is there which was deleted",
			})
		}
	}
	if err != nil {
		return err
	}
	if t, ok := e.table.(interface {
		Salvaged() (edgestore.TableSalvage, bool)
	}); ok {
		if s, salvaged := t.Salvaged(); salvaged {
			e.tellSalvaged(&s)
		}
	}
	rows, err := e.readCatalogue()
	if err != nil {
		return err
	}
	e.table.Release()
	if rows.empty {
		e.missedCatalogue()
	}
	var suspects []*suspect
	for i := range rows.creates {
		c := rows.creates[i]
		rows.creates[i] = streamCreate{} // it holds the row
		if x := e.loadStream(&c, rows.heads[c.incarnation], rows.consumers[c.incarnation]); x != nil {
			suspects = append(suspects, x)
		}
	}
	e.loadSuspects(suspects)
	return nil
}

// tellSalvaged tells of a table that was damaged.
func (e *Engine) tellSalvaged(s *edgestore.TableSalvage) {
	d := Damage{
		Kind: DamageCatalogue, Where: s.Aside,
		What: fmt.Sprintf("the catalogue of streams was damaged (%v); all of it was found again", s.Cause),
		Do:   "look at the health of the disk or card",
	}
	if s.Aside == "" {
		d.Where = filepath.Join(e.cfg.Dir, catalogueFile)
	}
	if !s.Exact || s.Old {
		e.mu.cat.rebuilt = true
		d.What = fmt.Sprintf("the catalogue of streams was damaged (%v); %d values of it were found again, and what is missing was taken from the stores and the journal", s.Cause, s.Values)
		d.Do = "check that every stream is there, and that none is there which was deleted; look at the health of the disk or card"
	}
	e.report(d)
}

// missedCatalogue tells of a table that was not there. A folder gets one before
// anything stands in its journal. Streams that only their own files know are told
// one by one.
func (e *Engine) missedCatalogue() {
	c := &e.mu.cat
	if c.rebuilt {
		return // told
	}
	incs, _, err := e.cfg.backend.folders()
	gone := e.table.Made() && e.journal.Synced() > 0
	c.rebuilt = gone || err == nil && len(incs) > 0
	if gone {
		e.report(Damage{
			Kind: DamageCatalogue, Where: filepath.Join(e.cfg.Dir, catalogueFile),
			What: "the catalogue of streams was gone; it was made again from the stores and the journal",
			Do:   "check that every stream is there, and that none is there which was deleted; damage that was told before and not acknowledged is forgotten",
		})
	}
}

// catalogueRows is what the table has.
type catalogueRows struct {
	empty   bool
	creates []streamCreate
	heads   map[uint64]head
	// consumers are those of each stream.
	consumers map[uint64][]consumerRow
}

// readCatalogue reads all rows of the table.
func (e *Engine) readCatalogue() (*catalogueRows, error) {
	rows := &catalogueRows{empty: true, heads: make(map[uint64]head), consumers: make(map[uint64][]consumerRow)}
	var found []Damage
	err := e.table.Each("", func(key string, value []byte) error {
		rows.empty = false
		switch {
		case key == rowNext:
			r := opReader{b: value}
			e.raiseIncarnation(max(1, r.uint()) - 1)
			return r.done("catalogue: next incarnation")
		case key == rowFormat:
			n, err := readFormat(value)
			e.mu.cat.format = n
			return err
		case key == rowStart:
			var err error
			e.mu.cat.started, err = readJournalStart(value)
			return err
		case key == rowChain:
			r := opReader{b: value}
			e.mu.cat.done = edgestore.Chain{Seat: r.uint(), Place: r.uint()}
			return r.done("catalogue: chain")
		case key == rowClock:
			var err error
			e.mu.cat.clock, err = readTimetable(value)
			return err
		case strings.HasPrefix(key, damage.RowPrefix):
			d, err := damage.ReadRow(key, value)
			found = append(found, d)
			return err
		case strings.HasPrefix(key, rowHead):
			inc, h, err := readHead(key, value)
			rows.heads[inc] = h
			return err
		case strings.HasPrefix(key, rowConsumer):
			inc, row, err := readConsumerRow(key, value)
			rows.consumers[inc] = append(rows.consumers[inc], row)
			return err
		case strings.HasPrefix(key, rowGone):
			inc, err := strconv.ParseUint(key[len(rowGone):], 16, 64)
			if err != nil {
				return fmt.Errorf("catalogue: row %q: %w", key, edgestore.ErrCorrupt)
			}
			if e.mu.cat.gone == nil {
				e.mu.cat.gone = make(map[uint64]bool)
			}
			e.mu.cat.gone[inc] = true
		case strings.HasPrefix(key, rowPrefix):
			c, err := readStreamCreate(value)
			if err != nil {
				return fmt.Errorf("catalogue: row %q: %w", key, err)
			}
			rows.creates = append(rows.creates, c)
		}
		return nil
	})
	e.damage.Load(found)
	e.mu.cat.applied = e.table.Applied()
	e.mu.cat.skipUpTo = e.mu.cat.applied
	return rows, err
}

// loadStream opens a stream that the catalogue has; h is how far it had come.
// One that can't be opened is told and does not keep the others from working. One
// that may have less than it had is not taken in, and returned.
func (e *Engine) loadStream(c *streamCreate, h head, consumers []consumerRow) *suspect {
	s, err := e.openStream(*c, h)
	if err == nil {
		if x := newSuspect(s, c, h, consumers); x != nil {
			return x
		}
	}
	e.takeIn(s, err, c, h, consumers)
	return nil
}

// loadSuspects takes in what loadStream has left.
func (e *Engine) loadSuspects(list []*suspect) {
	e.fromJournal(list)
	for _, x := range list {
		if x.same && x.s != nil {
			// The journal brings the consumers too.
			x.s.rowsBehind(x.rows)
			x.rows = nil
		} else if x.failed == nil && x.h.short(x.s) {
			x.s.tellShort(&x.h)
		}
		if x.failed == nil {
			x.doubts()
		}
		e.takeIn(x.s, x.failed, &x.c, x.h, x.rows)
	}
}

// takeIn makes a stream known that was opened, or not.
func (e *Engine) takeIn(s *stream, err error, c *streamCreate, h head, consumers []consumerRow) {
	// A store that is ahead of the catalogue knows better.
	if err == nil && h.applied >= s.skipUpTo {
		if err = s.bringBack(consumers); err != nil {
			s.store.Close()
		}
	} else if err == nil {
		s.rowsBehind(consumers)
	}
	if err != nil {
		e.setOffline(c, err)
		return
	}
	if h.short(s) {
		s.head = &h
	}
	s.tellOpening()
	e.mu.streams[s.incarnation] = s
	s.acct.named(s)
	s.acct.addUsage(s.memory, int64(s.store.State().Bytes))
}

// followCatalogue counts an operation of the catalogue during recovery; to is
// the chain before it.
func (e *Engine) followCatalogue(en *edgestore.Entry, to edgestore.Chain) {
	if en.LSN <= e.mu.cat.skipUpTo {
		return
	}
	e.catalogueLost(to)
	e.mu.cat.done = behind(&en.Record)
}

// catalogueLost moves the catalogue on to where its chain was, and tells if
// operations of it are lost.
func (e *Engine) catalogueLost(to edgestore.Chain) {
	c := &e.mu.cat
	if to.Seat <= c.done.Seat {
		return
	}
	n := to.Seat - c.done.Seat
	c.done = to
	e.report(Damage{
		Kind: DamageCatalogue, Where: "journal",
		What: fmt.Sprintf("%d operation(s) that create or delete streams are lost", n),
		Do:   "check that every stream is there, and that none is there which was deleted; look into the quarantine folder",
	})
}

// openStream opens or makes a stream's store; h is how far it had come, if the
// catalogue knows.
func (e *Engine) openStream(c streamCreate, h head) (*stream, error) {
	cfg, err := e.configs.Decode(c.config)
	if err != nil {
		return nil, err
	}
	if cfg.Storage == asset.MemoryStorage {
		return newStream(e, e.account(c.account), c, cfg, edgestore.NewMemoryStore(cfg.FirstSeq), nil)
	}
	if e.journal == nil {
		return nil, fmt.Errorf("stream %q: no folder for streams in files", cfg.Name)
	}
	w := &storeWatch{e: e, inc: c.incarnation, cfg: cfg, head: h}
	st, err := e.cfg.backend.store(cfg, e.journal, w)
	if errors.Is(err, edgestore.ErrCorrupt) {
		st, err = e.openAgain(cfg, w, err)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", cfg.Name, err)
	}
	s, err := newStream(e, e.account(c.account), c, cfg, st, w)
	if err != nil {
		st.Close()
		return nil, err
	}
	return s, nil
}

// tellShort tells of a store that came back with less than the catalogue knows it
// had: an older copy of its files, or without them. What could not be brought again
// from the journal is told besides.
func (s *stream) tellShort(h *head) {
	if o, ok := s.store.(interface{ Opening() edgestore.Opening }); s.watch.hurt.Load() || ok && o.Opening().Salvaged != nil {
		return // told
	}
	s.e.report(Damage{
		Kind: DamageAside, Account: s.acct.name, Stream: s.name, Where: s.where(),
		What: fmt.Sprintf("the files of stream %q were gone, or older ones in their place: they had come up to operation %d, message %d, and have what came up to operation %d, message %d. What the journal has is brought again",
			s.name, h.applied, h.last, s.skipUpTo, s.last),
		Do: "see who or what removed or changed them, look at the health of the disk or card, then acknowledge this",
	})
}

// tellOpening tells what the open of a store met and mended. Messages that are lost
// are told besides.
func (s *stream) tellOpening() {
	o, ok := s.store.(interface{ Opening() edgestore.Opening })
	if !ok {
		return
	}
	tell := func(where, what string) {
		s.e.report(Damage{
			Kind: DamageAside, Account: s.acct.name, Stream: s.name, Where: where, What: fmt.Sprintf("a file of stream %q %s", s.name, what),
			Do: "see who or what removed or changed it, look at the health of the disk or card, then acknowledge this",
		})
	}
	met := o.Opening()
	if met.Salvaged != nil && !met.Empty {
		where := s.where()
		if len(met.Aside) > 0 {
			where = met.Aside[0]
		}
		tell(where, fmt.Sprintf("was damaged (%v): what its pages have is in a new one", met.Salvaged))
	}
	for _, path := range met.Mended {
		tell(path, "was damaged where it says which of its pages are in use: it says so twice, and that was made again from the other place; no message is lost for that")
	}
	for _, path := range met.Missing {
		tell(path, "is gone: what only it had is lost")
	}
}

// openAgain is for files that are no store any more. They are put aside, and
// the stream begins with a new one: the catalogue says what it had, and the
// journal may still have some of it.
func (e *Engine) openAgain(cfg *asset.StreamConfig, w *storeWatch, cause error) (edgestore.Store, error) {
	st, err := e.cfg.backend.store(cfg, e.journal, w) // the store may have put its files aside
	where := e.cfg.backend.where(w.inc)
	if errors.Is(err, edgestore.ErrCorrupt) {
		if where, err = e.cfg.backend.quarantine(w.inc, fmt.Sprintf("The files of stream %q can not be read: %v", cfg.Name, cause)); err == nil {
			st, err = e.cfg.backend.store(cfg, e.journal, w)
		}
	}
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	w.hurt.Store(true)
	w.aside = cause
	e.report(Damage{
		Kind: DamageAside, Where: where,
		What: fmt.Sprintf("the files of stream %q can not be read (%v); they were put aside, and what the journal has was brought back", cfg.Name, cause),
		Do:   "look at what is in them (frond store dump); remove them when they are not needed",
	})
	return st, nil
}
