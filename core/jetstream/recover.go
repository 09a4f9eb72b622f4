package jetstream

import (
	"fmt"

	"github.com/frondmq/frond/edgestore"
)

// recover opens the journal, the catalogue and the stores, and applies again
// what the journal has above what each of them had brought to its own files.
// It returns the newest LSN in the journal.
func (e *Engine) recover() (newest edgestore.LSN, err error) {
	if e.journal, err = e.cfg.backend.journal(); err != nil {
		return 0, err
	}
	if newest, err = e.reopen(); err == nil {
		return newest, nil
	}
	for _, s := range e.allStreams() {
		s.store.Close()
	}
	if e.table != nil {
		e.table.Close()
	}
	e.journal.Close()
	return 0, err
}

func (e *Engine) reopen() (newest edgestore.LSN, err error) {
	if e.table, err = e.cfg.backend.table(); err != nil {
		return 0, err
	}
	if err := e.loadCatalogue(); err != nil {
		return 0, err
	}
	// The journal was released up to what every part had, so from its start
	// is from the smallest of them; each record is skipped where it is known.
	r := &replay{applier: applier{e: e, durable: true}}
	if err := e.journal.Replay(0, r); err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	drained := e.table.Applied()
	for _, s := range e.allStreams() {
		drained = max(drained, s.store.Applied())
		s.recovered()
	}
	// A journal that was lost must not give a number twice.
	if err := e.journal.Raise(drained); err != nil {
		return 0, err
	}
	if err := e.cfg.backend.clean(e.keeps); err != nil {
		e.logger.Warn("recovery: files of deleted streams could not be removed", "err", err)
	}
	e.logger.Info("jetstream recovered", "streams", len(e.allStreams()), "records", r.records)
	return r.newest, nil
}

// replay applies again what the journal gives.
type replay struct {
	applier
	newest  edgestore.LSN
	records int
}

func (r *replay) Entry(en *edgestore.Entry) error {
	r.records++
	r.newest = en.LSN
	r.apply([]edgestore.Entry{*en})
	return nil
}

func (r *replay) Hole(first, last edgestore.LSN) error {
	r.e.logger.Error("the journal is damaged: operations are lost", "first", first, "last", last)
	return nil
}

// keeps reports whether the files of an incarnation are still needed.
func (e *Engine) keeps(incarnation uint64) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, trash := e.mu.cat.trash[incarnation]
	return trash || e.mu.streams[incarnation] != nil
}

// recovered ends the recovery of a stream.
func (s *stream) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipUpTo = 0
	s.last = s.store.State().LastSeq
	s.live = true
	s.consumers.recovered()
}
