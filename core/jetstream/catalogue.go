package jetstream

import (
	"fmt"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
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
	a.one = [1]edgestore.Entry{*en}
	a.fx.begin(nil, a.one[:])
	o := &a.fx.out[0]
	if !a.replays && a.durable && en.Seat != 0 {
		a.e.mu.Lock()
		a.e.mu.cat.done = behind(&en.Record)
		a.e.mu.Unlock()
	}
	switch en.Kind {
	case opStreamCreate:
		o.err = a.streamCreate(en, o)
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
		a.fx.now = 1
	}
}

func (a *applier) streamCreate(en *edgestore.Entry, o *outcome) *apierror.Error {
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
	act := e.roleIn(a.log())
	if err != nil && (a.replays || act == follower) {
		e.setOffline(&c, err)
		e.mu.Lock()
		e.mu.cat.note(en.LSN, c.incarnation, rowBytes(slices.Clone(en.Data)))
		e.mu.Unlock()
		return nil
	}
	if err != nil {
		e.logger.Error("stream could not be created", "account", c.account, "err", err)
		a.fx.uncreate = c.incarnation
		return errStreamCreate
	}
	if a.replays {
		if x := newSuspect(s, &c, head{}, nil); x != nil {
			e.fromJournal([]*suspect{x})
			if s = x.s; x.failed != nil {
				e.setOffline(&c, x.failed)
				e.mu.Lock()
				e.mu.cat.note(en.LSN, c.incarnation, rowBytes(slices.Clone(en.Data)))
				e.mu.Unlock()
				return nil
			}
			x.doubts()
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
	o.stream = s
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
	a.fx.before, a.fx.owner = held, s
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
			a.fx.freed = int64(bytes) // much of it goes soon
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
