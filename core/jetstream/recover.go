package jetstream

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// recover opens the journal, the catalogue and the stores, and applies again
// what the journal has above what each of them had brought to its own files.
// It returns the newest LSN in the journal.
func (e *Engine) recover() (newest edgestore.LSN, err error) {
	if err := e.checkFormat(); err != nil {
		return 0, err
	}
	var end journalEnd
	if e.journal, end, err = e.cfg.backend.journal(); err != nil {
		return 0, err
	}
	if newest, err = e.reopen(end); err == nil {
		return newest, nil
	}
	for _, s := range e.allStreams() {
		s.store.Close()
	}
	e.closeTrash()
	if e.table != nil {
		e.table.Close()
	}
	e.journal.Close()
	return 0, err
}

func (e *Engine) reopen(end journalEnd) (newest edgestore.LSN, err error) {
	if err := e.openCatalogue(); err != nil {
		return 0, err
	}
	e.adoptFolders()
	// The journal was released up to what every part had, so from its start
	// is from the smallest of them; each record is skipped where it is known.
	r := newReplay(e, end)
	e.replay = r
	defer func() { e.replay, e.index = nil, nil }()
	if err := e.journal.Replay(0, r); err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	if err := r.finish(); err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	if l, ok := e.journal.(sharedLog); ok {
		e.leading.Store(l.Leads())
		e.line.setBoot(l.Term())
		// Whenever this server begins to lead, that line goes on where the last leader
		// left it; what others do not know of goes by its own clock.
		e.local = newTimeline(&e.cfg)
		e.local.begin(new(timetable), 0, false)
	}
	c := &e.mu.cat
	e.latest = r.latest
	e.line.begin(&c.clock, max(r.latest, e.latestStored()), c.rebuilt && c.clock.latest == 0 && c.clock.run.from == 0)
	drained := e.table.Applied()
	for _, s := range e.allStreams() {
		drained = max(drained, s.store.Applied())
		s.recovered()
	}
	e.catChain = e.mu.cat.done
	// A journal that was lost must not give a number twice.
	e.tellOtherJournal(end.start, drained)
	if end.remade {
		e.tellRemade()
	}
	for _, m := range end.mended {
		e.tellMended(m)
	}
	for _, a := range end.aside {
		e.tellFolder(a)
	}
	if err := e.journal.Raise(drained); err != nil {
		return 0, err
	}
	c.started = end.start // to be durable before anything is acknowledged, with what was just told
	e.sortFolders()
	e.tellAdopted()
	e.logger.Info("jetstream recovered", "streams", len(e.allStreams()), "records", r.records)
	return max(r.newest, r.holesEnd()), nil
}

// latestStored is the latest stamp of a message in a store.
func (e *Engine) latestStored() (at int64) {
	for _, s := range e.allStreams() {
		if st := s.store.State(); !s.foreign(st.LastSeq) && st.LastSeq > 0 {
			at = max(at, st.LastTime.UnixNano())
		}
	}
	return at
}

// tellOtherJournal tells of a journal that is not the one of the last start, or
// an older copy of it. Whether it ends before what the files of the streams have,
// which only have what it had on disk, or not: what the right one had above them
// is lost, and nothing says how much.
func (e *Engine) tellOtherJournal(now journalStart, drained edgestore.LSN) {
	was, ends := e.mu.cat.started, e.journal.Synced()
	why := ""
	switch {
	case was.id != 0 && was.id == now.id && was.boot >= now.boot:
		why = fmt.Sprintf("the journal is an older copy: it was started %d times before, and the catalogue knows of %d", now.boot-1, was.boot)
	case ends < drained:
		why = fmt.Sprintf("the journal ends with operation %d, and the files of the streams have what came up to %d: it was removed, or an older one was put in its place", ends, drained)
	case was.id != 0 && was.id != now.id:
		why = "the journal is another one than that of the last start: it was removed, or another was put in its place"
	default:
		return
	}
	e.report(Damage{
		Kind: DamageOperations, Where: e.cfg.journalDir(),
		What: why + ". What was acknowledged since and was only in the journal is lost, and it is not known how much: sequences may be given again",
		Do:   "compare the newest messages of each stream with where they came from, then acknowledge this; look at the health of the disk or card",
	})
}

// tellRemade tells that the journal's small file was gone or damaged.
func (e *Engine) tellRemade() {
	e.report(Damage{
		Kind: DamageAside, Where: filepath.Join(e.cfg.journalDir(), "journal.id"),
		What: "journal.id, which says whose the journal is and what of it is in the files of the streams, was gone or damaged, and was made anew from the other files of the journal; no message is lost for that",
		Do:   "see who or what removed or changed it, look at the health of the disk or card, then acknowledge this",
	})
}

// tellMended tells of a part of the journal that was damaged, by which nothing is
// lost. Records that can't be read are told by themselves.
func (e *Engine) tellMended(m journal.Mended) {
	e.report(Damage{
		Kind: DamageAside, Where: filepath.Join(e.cfg.journalDir(), m.File),
		What: fmt.Sprintf("a part of the journal's file %s was damaged (%s) and is made anew; no message is lost for that", m.File, m.Part),
		Do:   "see who or what changed it, look at the health of the disk or card, then acknowledge this",
	})
}

// tellFolder tells of a folder in the place of a file of the journal. What the file
// had is told by itself.
func (e *Engine) tellFolder(a journal.Aside) {
	e.report(Damage{
		Kind: DamageAside, Where: a.Path,
		What: fmt.Sprintf("a folder was in the place of the journal's file %s; it was put aside, and the start went on as without the file", a.File),
		Do:   "see who or what put it there, and whether the file is somewhere; look at the health of the disk or card, then acknowledge this",
	})
}

// adoptFolders looks at the folders of streams that the catalogue does not
// have. A store says whose it is, so a stream whose row was lost is found again;
// one that was created just before the end is too, and the journal says so.
func (e *Engine) adoptFolders() {
	incs, _, err := e.cfg.backend.folders()
	if err != nil {
		return // sortFolders tells
	}
	var suspects []*suspect
	defer func() { e.loadSuspects(suspects) }()
	for _, inc := range incs {
		if known, deleted := e.knows(inc); known || deleted {
			continue
		}
		c, ok := e.cfg.backend.identity(inc)
		if !ok || c.incarnation != inc {
			continue
		}
		e.raiseIncarnation(inc)
		if x := e.loadStream(&c, head{}, nil); x != nil {
			suspects = append(suspects, x)
		}
		e.mu.Lock()
		if e.mu.cat.adopted == nil {
			e.mu.cat.adopted = make(map[uint64]bool)
		}
		e.mu.cat.adopted[inc] = true
		e.mu.cat.note(max(e.mu.cat.applied, 1), inc, rowBytes(c.append(nil)))
		e.mu.Unlock()
	}
}

// tellAdopted tells of the streams that only their own files knew.
func (e *Engine) tellAdopted() {
	for inc := range e.mu.cat.adopted {
		d := Damage{Kind: DamageCatalogue, Where: e.cfg.backend.where(inc), Do: "check that the stream should be there: if it was deleted, delete it again"}
		if s := e.stream(inc); s != nil {
			d.Account, d.Stream = s.acct.name, s.name
		} else if o := e.offline(inc); o != nil {
			d.Account, d.Stream = o.acct.name, o.name
		} else {
			continue // deleted by the journal
		}
		d.What = fmt.Sprintf("stream %q was not in the catalogue and was found again by its files", d.Stream)
		e.report(d)
	}
	e.mu.cat.adopted = nil
}

// sortFolders looks at every folder of a stream that is not in use: what was
// left of a deleted stream goes, and what nobody knows is put aside, for it may
// be all that is left of a stream.
func (e *Engine) sortFolders() {
	incs, strange, err := e.cfg.backend.folders()
	if err != nil {
		e.logger.Warn("recovery: the folders of streams could not be listed", "err", err)
	}
	for _, name := range strange {
		e.logger.Warn("recovery: this is not the folder of a stream and is left alone", "name", name)
	}
	for _, inc := range incs {
		e.raiseIncarnation(inc)
		switch known, deleted := e.knows(inc); {
		case known:
		case deleted:
			if err := e.cfg.backend.remove(inc); err != nil {
				e.logger.Warn("recovery: files of a deleted stream could not be removed", "folder", e.cfg.backend.where(inc), "err", err)
				continue
			}
			e.buried(inc)
		default:
			e.putAside(inc)
		}
	}
	for inc := range e.mu.cat.gone {
		if err == nil && !slices.Contains(incs, inc) {
			e.buried(inc) // the crash came before the row went
		}
	}
}

// putAside moves the folder of an unknown stream to the quarantine.
func (e *Engine) putAside(inc uint64) {
	was := e.cfg.backend.where(inc)
	to, err := e.cfg.backend.quarantine(inc, "This folder belongs to no stream that the catalogue or the journal knows.")
	d := Damage{
		Kind: DamageQuarantine, Where: to,
		What: fmt.Sprintf("folder %s belongs to no known stream and was put aside as %s", was, to),
		Do:   "look at what is in it (frond store dump), and remove it when it is not needed",
	}
	if err != nil {
		d.Where, d.What = was, fmt.Sprintf("folder %s belongs to no known stream and could not be put aside: %v", was, err)
	}
	e.report(d)
}

// knows reports whether a stream exists, and whether it was deleted and its
// files may still be there.
func (e *Engine) knows(incarnation uint64) (known, deleted bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, trash := e.mu.cat.trash[incarnation]
	return trash || e.mu.streams[incarnation] != nil || e.mu.offline[incarnation] != nil, e.mu.cat.gone[incarnation]
}

// raiseIncarnation makes sure that a number is not given again.
func (e *Engine) raiseIncarnation(used uint64) {
	for next := e.nextIncarnation.Load(); used >= next; next = e.nextIncarnation.Load() {
		e.nextIncarnation.CompareAndSwap(next, used+1)
	}
}

// recovered ends the recovery of a stream.
func (s *stream) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipUpTo = 0
	s.takeStates()
	s.bringMissed()
	s.last = s.store.State().LastSeq
	s.wounded, s.wounds, s.head = false, nil, nil
	if !s.memory {
		s.bookFound()
		s.tellDamage()
		s.watch.opened(s)
	}
	if s.role = s.e.roleIn(s.log()); s.role == leader {
		if !s.memory && s.failed == nil {
			*s.chain = s.done
		}
		s.takeLead()
	}
}
