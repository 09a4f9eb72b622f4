package jetstream

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// catalogue is which streams there are, as far as it must be written down:
// those in files. It stands in one table, a row a stream, which the drainer
// brings up to date; the journal has what is newer.
type catalogue struct {
	applied   edgestore.LSN
	dirtyFrom edgestore.LSN
	skipUpTo  edgestore.LSN              // recovery: the table has these already
	changed   map[uint64][]byte          // rows to write; nil to delete
	trash     map[uint64]edgestore.Store // deleted, files not yet removed; nil could not be opened
	// gone are deleted streams whose files may still be there after a restart,
	// as the table says; buried are those whose files went since.
	gone   map[uint64]bool
	buried []uint64
}

const (
	rowPrefix = "stream/"
	rowNext   = "next"
	rowGone   = "gone/"
)

func goneKey(incarnation uint64) string { return fmt.Sprintf("%s%016x", rowGone, incarnation) }

func rowKey(incarnation uint64) string { return fmt.Sprintf("%s%016x", rowPrefix, incarnation) }

func appendUint(b []byte, n uint64) []byte { return msgp.AppendUint64(b, n) }

// catalogue applies one operation of incarnation 0.
func (a *applier) catalogue(en *edgestore.Entry) {
	var o outcome
	switch en.Kind {
	case opStreamCreate:
		o.err = a.streamCreate(en)
	case opStreamDelete:
		o.err = a.streamDelete(en)
	default:
		o.err = errStoreFailed.with("operation %d is not known to this server", en.Kind)
	}
	if o.err != nil && !a.live {
		a.e.logger.Warn("recovery: an operation could not be applied again", "lsn", en.LSN, "err", o.err)
	}
	if a.live {
		a.tell(nil, en, &o)
	}
}

func (a *applier) streamCreate(en *edgestore.Entry) *APIError {
	c, err := readStreamCreate(en.Data)
	if err != nil {
		return asAPI(err, errStreamCreate)
	}
	c.config = append([]byte(nil), c.config...) // en.Data is borrowed
	e := a.e
	e.raiseIncarnation(c.incarnation)
	if known, _ := e.knows(c.incarnation); known && !a.live {
		return nil // the table had it
	}
	if !a.live && en.LSN <= e.mu.cat.skipUpTo {
		return nil // created and deleted again, and the table knows both
	}
	s, err := e.openStream(c)
	if err != nil && !a.live {
		e.setOffline(&c, err)
		e.mu.Lock()
		e.mu.cat.note(en.LSN, c.incarnation, c.append(nil))
		e.mu.Unlock()
		return nil
	}
	if err != nil {
		e.logger.Error("stream could not be created", "account", c.account, "err", err)
		e.uncreate(a.log(), c.incarnation)
		return errStreamCreate
	}
	e.register(s, a.durable, en.LSN, &c)
	s.live = a.live
	if p, ok := en.Token.(*pending); ok {
		p.stream = s
	}
	return nil
}

// uncreate takes back a create that is in the log and failed: a restart must not
// bring to life what the requester was told does not exist.
func (e *Engine) uncreate(log Log, incarnation uint64) {
	rec := edgestore.Record{Kind: opStreamDelete, Stamp: e.stamp()}
	if !e.appendLazy(log, &rec, nil, appendUint(nil, incarnation)) {
		e.logger.Warn("a stream that could not be created may be there after a restart", "incarnation", incarnation)
	}
}

// openStream opens or makes a stream's store.
func (e *Engine) openStream(c streamCreate) (*stream, error) {
	cfg, err := decodeConfig(c.config)
	if err != nil {
		return nil, err
	}
	var st edgestore.Store
	if cfg.Storage == MemoryStorage {
		st = edgestore.NewMemoryStore(cfg.FirstSeq)
	} else if e.journal == nil {
		return nil, fmt.Errorf("stream %q: no folder for streams in files", cfg.Name)
	} else if st, err = e.cfg.backend.store(c.incarnation, cfg, e.journal); err != nil {
		return nil, fmt.Errorf("stream %q: %w", cfg.Name, err)
	}
	s, err := newStream(e, e.account(c.account), c, st)
	if err != nil {
		st.Close()
		return nil, err
	}
	return s, nil
}

// register makes a stream known. durable streams go into the catalogue.
func (e *Engine) register(s *stream, durable bool, lsn edgestore.LSN, c *streamCreate) {
	if s.dirtyFrom == 0 && durable && lsn > s.skipUpTo {
		s.dirtyFrom, s.applied = lsn, lsn
		s.auxDirty.config = true
	}
	e.addUsage(s.memory, int64(s.store.State().Bytes))
	e.mu.Lock()
	e.mu.streams[s.incarnation] = s
	if durable {
		e.mu.cat.note(lsn, s.incarnation, c.append(nil))
	}
	e.mu.Unlock()
	s.acct.mu.Lock()
	s.acct.mu.streams[s.name] = s
	s.acct.mu.Unlock()
}

func (a *applier) streamDelete(en *edgestore.Entry) *APIError {
	r := opReader{b: en.Data}
	inc := r.uint()
	if err := r.done("stream delete"); err != nil {
		return asAPI(err, errStreamDelete)
	}
	e := a.e
	s := e.stream(inc)
	if s == nil {
		if o := e.offline(inc); o != nil {
			e.forget(o)
			e.discard(en.LSN, inc, nil)
			return nil
		}
		if !a.live || en.Token == nil {
			return nil // the table had it, or it never was
		}
		return errStreamNotFound
	}
	s.mu.Lock()
	s.deleted = true
	bytes := s.store.State().Bytes
	s.mu.Unlock()
	e.addUsage(s.memory, -int64(bytes))
	s.acct.mu.Lock()
	if s.acct.mu.streams[s.name] == s {
		delete(s.acct.mu.streams, s.name)
	}
	s.acct.mu.Unlock()
	e.mu.Lock()
	delete(e.mu.streams, inc)
	e.mu.Unlock()
	if a.durable {
		e.discard(en.LSN, inc, s.store)
	} else {
		if err := s.store.Delete(); err != nil {
			return errStreamDelete.with("%v", err)
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
func (c *catalogue) note(lsn edgestore.LSN, incarnation uint64, row []byte) {
	if c.changed == nil {
		c.changed = make(map[uint64][]byte)
	}
	c.changed[incarnation] = row
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
	aux := e.damage.seal()
	if c.dirtyFrom == 0 && len(aux) == 0 {
		return nil, false
	}
	aux = append(aux, edgestore.Aux{Key: rowNext, Value: appendUint(nil, e.nextIncarnation.Load())})
	for _, inc := range c.buried {
		aux = append(aux, edgestore.Aux{Key: goneKey(inc)})
	}
	c.buried = nil
	for inc, row := range c.changed {
		aux = append(aux, edgestore.Aux{Key: rowKey(inc), Value: row})
		if row == nil {
			aux = append(aux, edgestore.Aux{Key: goneKey(inc), Value: []byte{}})
		}
	}
	c.changed = nil
	trash, c.trash = c.trash, nil
	e.table.Seal(c.applied, aux)
	return trash, true
}

// loadCatalogue opens the streams that the table lists.
func (e *Engine) loadCatalogue() error {
	var damage []Damage
	err := e.table.Each("", func(key string, value []byte) error {
		switch {
		case key == rowNext:
			r := opReader{b: value}
			e.raiseIncarnation(max(1, r.uint()) - 1)
			return r.done("catalogue: next incarnation")
		case strings.HasPrefix(key, rowDamage):
			d, err := readDamageRow(key, value)
			damage = append(damage, d)
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
			c, err := readStreamCreate(append([]byte(nil), value...))
			if err != nil {
				return fmt.Errorf("catalogue: row %q: %w", key, err)
			}
			e.loadStream(&c)
		}
		return nil
	})
	e.damage.load(damage)
	e.mu.cat.applied = e.table.Applied()
	e.mu.cat.skipUpTo = e.mu.cat.applied
	return err
}

// loadStream opens a stream that the catalogue has. One that can't be opened is
// told and does not keep the others from working.
func (e *Engine) loadStream(c *streamCreate) {
	s, err := e.openStream(*c)
	if err != nil {
		e.setOffline(c, err)
		return
	}
	e.mu.streams[s.incarnation] = s
	s.acct.mu.streams[s.name] = s
	e.addUsage(s.memory, int64(s.store.State().Bytes))
}
