package jetstream

import (
	"fmt"

	"github.com/frondmq/frond/edgestore"
)

// recover opens the journal, the catalogue and the stores, and applies again
// what the journal has above what each of them had brought to its own files.
func (e *Engine) recover() error {
	var err error
	if e.journal, err = e.cfg.backend.journal(); err != nil {
		return err
	}
	if err = e.reopen(); err == nil {
		return nil
	}
	for _, s := range e.allStreams() {
		s.store.Close()
	}
	if e.table != nil {
		e.table.Close()
	}
	e.journal.Close()
	return err
}

func (e *Engine) reopen() error {
	var err error
	if e.table, err = e.cfg.backend.table(); err != nil {
		return err
	}
	if err := e.loadCatalogue(); err != nil {
		return err
	}
	// The journal was released up to what every part had, so from its start
	// is from the smallest of them; each record is skipped where it is known.
	a := &applier{e: e, durable: true}
	n := 0
	err = e.journal.Replay(0, func(en *edgestore.Entry) error {
		n++
		a.apply([]edgestore.Entry{*en})
		return nil
	})
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	newest := e.table.Applied()
	for _, s := range e.allStreams() {
		newest = max(newest, s.store.Applied())
		s.recovered()
	}
	// A journal that was lost must not give a number twice.
	if err := e.journal.Raise(newest); err != nil {
		return err
	}
	if err := e.cfg.backend.clean(e.keeps); err != nil {
		e.logger.Warn("recovery: files of deleted streams could not be removed", "err", err)
	}
	e.logger.Info("jetstream recovered", "streams", len(e.allStreams()), "records", n)
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
