package jetstream

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/damage"
	"github.com/frondmq/frond/edgestore"
)

// catalogue is which streams there are, as far as it must be written down:
// those in files. It stands in one table, a row a stream, which the drainer
// brings up to date; the journal has what is newer.
type catalogue struct {
	applied   edgestore.LSN
	dirtyFrom edgestore.LSN
	skipUpTo  edgestore.LSN              // recovery: the table has these already
	changed   map[uint64]rowSource       // rows to write; nil to delete
	trash     map[uint64]edgestore.Store // deleted, files not yet removed; nil could not be opened
	// gone are deleted streams whose files may still be there after a restart,
	// as the table says; buried are those whose files went since.
	gone map[uint64]bool
	done edgestore.Chain // behind the newest operation applied
	// rebuilt: the table was lost; adopted are streams that it did not have.
	rebuilt bool
	adopted map[uint64]bool
	heads   map[uint64]head // to be written
	rows    []edgestore.Aux // of consumers, the format and the start, to be written
	buried  []uint64
	// clock is the timetable, as the operations say.
	clock      timetable
	clockDirty bool
	format     uint64 // of the folder; 0: it says none
	started    journalStart
}

// journalStart is one start of a journal, which counts them. The catalogue keeps
// the last: a journal with fewer is an older copy.
type journalStart struct {
	id   uint64 // of the journal; 0: the catalogue says none
	boot uint32
}

func (j journalStart) append(b []byte) []byte {
	return msgp.AppendUint64(msgp.AppendUint64(b, j.id), uint64(j.boot))
}

func (j journalStart) row() edgestore.Aux {
	return edgestore.Aux{Key: rowStart, Value: j.append(nil)}
}

func readJournalStart(b []byte) (j journalStart, err error) {
	r := opReader{b: b}
	j = journalStart{r.uint(), uint32(r.uint())}
	return j, r.done("catalogue: start of the journal")
}

// rowSource makes the row of a stream when it is written: until then, which is
// long while a device has nothing else to write, nobody needs it.
type rowSource interface{ row() []byte }

// rowBytes is a row that cannot be made.
type rowBytes []byte

func (b rowBytes) row() []byte { return b }

// row is the stream as it was created.
func (s *stream) row() []byte {
	cfg := s.config()
	if s.watch != nil {
		cfg = s.watch.cfg
	}
	c := streamCreate{s.incarnation, s.acct.name, s.created, asset.Encode(cfg)}
	return c.append(nil)
}

const (
	rowPrefix = "stream/"
	rowNext   = "next"
	rowGone   = "gone/"
	rowChain  = "chain"
	rowStart  = "journal"
)

func goneKey(incarnation uint64) string { return fmt.Sprintf("%s%016x", rowGone, incarnation) }

func rowKey(incarnation uint64) string { return fmt.Sprintf("%s%016x", rowPrefix, incarnation) }

func appendUint(b []byte, n uint64) []byte { return msgp.AppendUint64(b, n) }

// catalogue applies one operation of incarnation 0.
func (a *applier) catalogue(en *edgestore.Entry) {
	var o outcome
	if !a.replays && a.durable && en.Seat != 0 {
		a.e.mu.Lock()
		a.e.mu.cat.done = behind(&en.Record)
		a.e.mu.Unlock()
	}
	switch en.Kind {
	case opStreamCreate:
		o.err = a.streamCreate(en)
	case opStreamDelete:
		o.err = a.streamDelete(en)
	case opClockStep:
		o.err = a.clockStep(en)
	case opFormat:
		o.err = a.format(en)
	default:
		o.err = errStoreFailed.With("operation %d is not known to this server", en.Kind)
	}
	if o.err != nil && a.replays {
		a.e.logger.Warn("recovery: an operation could not be applied again", "lsn", en.LSN, "err", o.err)
	}
	if !a.replays {
		a.tell(nil, en, &o)
	}
}

func (a *applier) streamCreate(en *edgestore.Entry) *apierror.Error {
	c, err := readStreamCreate(en.Data) // borrowed
	if err != nil {
		return apierror.Of(err, errStreamCreate)
	}
	e := a.e
	e.raiseIncarnation(c.incarnation)
	known, deleted := e.knows(c.incarnation)
	if known && a.replays {
		delete(e.mu.cat.adopted, c.incarnation)
		return nil // the table or its own files had it
	}
	if a.replays && en.LSN <= e.mu.cat.skipUpTo && (deleted || !e.mu.cat.rebuilt) {
		return nil // created and deleted again, and the table knows both
	}
	s, err := e.openStream(c, head{})
	act := roleIn(a.log())
	if err != nil && (a.replays || act == follower) {
		e.setOffline(&c, err)
		e.mu.Lock()
		e.mu.cat.note(en.LSN, c.incarnation, rowBytes(slices.Clone(en.Data)))
		e.mu.Unlock()
		return nil
	}
	if err != nil {
		e.logger.Error("stream could not be created", "account", c.account, "err", err)
		e.uncreate(a.log(), c.incarnation)
		return errStreamCreate
	}
	if a.replays {
		if why := s.lacks(new(head)); why != "" {
			x := newSuspect(s, &c, head{}, nil, why)
			e.fromJournal([]*suspect{x})
			if s = x.s; x.failed != nil {
				e.setOffline(&c, x.failed)
				e.mu.Lock()
				e.mu.cat.note(en.LSN, c.incarnation, rowBytes(slices.Clone(en.Data)))
				e.mu.Unlock()
				return nil
			}
		}
		s.tellOpening()
		s.rowsBehind(nil) // a drain that was not finished
	} else {
		s.role = act // before anybody sees it
	}
	e.register(s, a.durable, en.LSN)
	if !a.replays && s.watch != nil {
		s.watch.opened(s)
		if act == leader {
			s.watch.lead()
		}
	}
	if p, ok := en.Token.(*pending); ok {
		p.stream = s
	}
	return nil
}

// uncreate takes back a create that is in the log and failed: a restart must not
// bring to life what the requester was told does not exist.
func (e *Engine) uncreate(log Log, incarnation uint64) {
	rec := e.catalogueRecord(log, opStreamDelete)
	if !e.appendLazy(log, &rec, nil, appendUint(nil, incarnation)) {
		e.logger.Warn("a stream that could not be created may be there after a restart", "incarnation", incarnation)
	}
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

// register makes a stream known. durable streams go into the catalogue.
func (e *Engine) register(s *stream, durable bool, lsn edgestore.LSN) {
	if s.dirtyFrom == 0 && durable && lsn > s.skipUpTo {
		s.dirtyFrom, s.applied = lsn, lsn
		s.auxDirty.config = true
	}
	s.acct.addUsage(s.memory, int64(s.store.State().Bytes))
	e.mu.Lock()
	e.mu.streams[s.incarnation] = s
	if durable {
		e.mu.cat.note(lsn, s.incarnation, s)
	}
	e.mu.Unlock()
	s.acct.mu.Lock()
	s.acct.named(s)
	s.acct.mu.Unlock()
}

func (a *applier) streamDelete(en *edgestore.Entry) *apierror.Error {
	r := opReader{b: en.Data}
	inc := r.uint()
	if err := r.done("stream delete"); err != nil {
		return apierror.Of(err, errStreamDelete)
	}
	e := a.e
	s := e.stream(inc)
	if s == nil {
		if o := e.offline(inc); o != nil {
			e.forget(o)
			e.discard(en.LSN, inc, nil)
			return nil
		}
		if a.replays || en.Token == nil {
			return nil // the table had it, or it never was
		}
		return apierror.ErrStreamNotFound
	}
	s.mu.Lock()
	s.deleted = true
	bytes := s.store.State().Bytes
	held := s.held // nothing depends on their notes any more
	s.held = nil
	s.mu.Unlock()
	for i := range held {
		a.tell(s, &held[i].entry, &held[i].outcome)
	}
	s.acct.addUsage(s.memory, -int64(bytes))
	s.acct.mu.Lock()
	if s.acct.mu.streams[s.name] == s {
		delete(s.acct.mu.streams, s.name)
		s.acct.unlink(s.config())
	}
	s.acct.mu.Unlock()
	e.mu.Lock()
	delete(e.mu.streams, inc)
	e.mu.Unlock()
	if a.durable {
		e.discard(en.LSN, inc, s.store)
		if !a.replays {
			e.drain.pending.Add(int64(bytes)) // much of it goes soon
		}
	} else {
		if err := s.store.Delete(); err != nil {
			return errStreamDelete.With("%v", err)
		}
	}
	return nil
}

// discard has the row of a deleted stream removed and, once that is durable, its
// files. st is nil when they could not be opened.
func (e *Engine) discard(lsn edgestore.LSN, inc uint64, st edgestore.Store) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.mu.cat
	c.note(lsn, inc, nil)
	if c.trash == nil {
		c.trash = make(map[uint64]edgestore.Store)
	}
	c.trash[inc] = st
}

// buried forgets a deleted stream: its files are gone.
func (e *Engine) buried(inc uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.mu.cat.gone, inc)
	e.mu.cat.buried = append(e.mu.cat.buried, inc)
}

// note remembers what the table has to be told. The caller holds the engine's
// mutex.
func (c *catalogue) note(lsn edgestore.LSN, incarnation uint64, row rowSource) {
	if c.changed == nil {
		c.changed = make(map[uint64]rowSource)
	}
	c.changed[incarnation] = row
	c.touch(lsn)
}

// touch says that the table lacks an operation. The caller holds the engine's
// mutex.
func (c *catalogue) touch(lsn edgestore.LSN) {
	c.applied = max(c.applied, lsn)
	if c.dirtyFrom == 0 {
		c.dirtyFrom = lsn
	}
}

// seal hands what changed to the table and returns the stores whose files can
// go once that is on disk.
func (e *Engine) sealCatalogue() (trash map[uint64]edgestore.Store, dirty bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.mu.cat
	aux := e.damage.Seal()
	if c.dirtyFrom == 0 && len(aux) == 0 && len(c.heads) == 0 && len(c.rows) == 0 {
		return nil, false
	}
	for inc, h := range c.heads {
		if e.mu.streams[inc] != nil {
			aux = append(aux, edgestore.Aux{Key: headKey(inc), Value: h.append(nil)})
		}
	}
	c.heads = nil
	aux = append(aux, c.rows...)
	c.rows = nil
	aux = append(aux, edgestore.Aux{Key: rowChain, Value: msgp.AppendUint64(appendUint(nil, c.done.Seat), c.done.Place)})
	aux = append(aux, edgestore.Aux{Key: rowNext, Value: appendUint(nil, e.nextIncarnation.Load())})
	if c.clockDirty {
		aux = append(aux, edgestore.Aux{Key: rowClock, Value: c.clock.append(nil)})
		c.clockDirty = false
	}
	for _, inc := range c.buried {
		aux = append(aux, edgestore.Aux{Key: goneKey(inc)})
	}
	c.buried = nil
	for inc, row := range c.changed {
		if row != nil {
			aux = append(aux, edgestore.Aux{Key: rowKey(inc), Value: row.row()})
		} else {
			aux = append(aux, edgestore.Aux{Key: rowKey(inc)})
			aux = append(aux, edgestore.Aux{Key: headKey(inc)}, edgestore.Aux{Key: goneKey(inc), Value: []byte{}})
			for _, key := range e.table.Names(consumerRows(inc)) {
				aux = append(aux, edgestore.Aux{Key: key})
			}
		}
	}
	c.changed = nil
	trash, c.trash = c.trash, nil
	e.table.Seal(c.applied, aux)
	return trash, true
}

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
		if why := s.lacks(&h); why != "" {
			return newSuspect(s, c, h, consumers, why)
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
