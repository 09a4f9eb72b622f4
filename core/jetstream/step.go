package jetstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// What applying an operation decides follows from the operations alone, and so
// must be the same on every server that applies them, whatever its disk does. A
// step has two parts. The first reads what it needs of what lies on the disk, and
// lets go of the stream's lock for that: nothing is changed yet, so others look at
// the stream between two operations. A read that fails is tried again, and in the end stops the stream, between two
// operations: a restart, which has this one from the log, goes on with it. The
// second part decides and changes, by what the first has read and by the index,
// which is in memory; it reads nothing, so nothing stops it halfway.
//
// These are the reads, of the first part:
//
//	publish, ingest, marker   sequences of a subject that was not looked at since
//	                          its oldest or newest message went (subject, lastFor);
//	                          ids above those in memory (seenID); size and subject
//	                          of what the message pushes out (sizeAt, planRoom)
//	message delete, purge     what goes: Store.Remove, Compact and Purge read it
//	                          before they change anything
//	release, expire           size and subject of what goes (describe), where an age
//	                          begins (seqAt), the headers of what is older where
//	                          some live for ever (aboveAge)
//	clock move                where a time begins (seqAt)
//	configuration             the TTLs of what is stored (ttlsStored), what lower
//	                          limits push out (planTighten)
//	consumer create           where it begins (consumer.StartOf)
//
// Skips, notes, origins, deltas, updates and deletes of consumers read nothing.
//
// What can't be read because it is damaged is no read that failed: it is found in
// the first part too, booked as lost, and told. That is of one disk, see damaged.
// What else is damaged beside it is looked for with the lock held, for booking
// changes the store when it has read.

// readPauses are how long a read of a step that failed waits for the next try.
// There is no more behind the last.
var readPauses = [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}

// read makes a read of a step: from memory, or else from the disk, and then others
// have the lock meanwhile. It ends with what f says, or with the stream. The caller
// holds mu and has changed nothing for the operation yet. What f looks at may not
// change while the stream is not locked: the store changes by steps alone.
func (s *stream) read(f func(st edgestore.Reads) error) error {
	if err := f(s.store.Hot()); err != nil {
		return s.readAgain(err, func() error { return f(s.store) })
	}
	return nil
}

// readAgain is read behind a try that failed, or could not be made from memory.
func (s *stream) readAgain(err error, f func() error) error {
	return s.tryAgain(err, func() error {
		s.mu.Unlock()
		defer s.mu.Lock()
		return f()
	})
}

// change is read for what changes the store when it has read, and so can't let go of
// the lock for that: what it needs was read before, but for damage.
func (s *stream) change(f func() error) error {
	if err := f(); err != nil {
		return s.tryAgain(err, f)
	}
	return nil
}

// tryAgain calls f until it does what it should, or the stream has stopped. Between
// two tries others get the lock.
func (s *stream) tryAgain(err error, f func() error) error {
	for try := 0; err != nil; {
		if s.role == leader {
			// Consumers may count what is stored now, and are to know what came.
			s.consumers.publish()
			s.fx.schedule(s.e)
		}
		if !errors.Is(err, edgestore.ErrCold) {
			if try == len(readPauses) || errors.Is(err, edgestore.ErrClosed) {
				return s.fail(err)
			}
			s.putOff("applying an operation", err)
			s.pause(readPauses[try])
			try++
		}
		err = f()
	}
	return nil
}

// pause lets others have the lock for a while.
func (s *stream) pause(d time.Duration) {
	s.mu.Unlock()
	defer s.mu.Lock()
	pause := time.NewTimer(d)
	select {
	case <-pause.C:
	case <-s.e.quit: // the last tries are made at once
		pause.Stop()
	}
}

// subject is Store.Subject for a step.
func (s *stream) subject(name string) (st edgestore.SubjectState, ok bool, err error) {
	if st, ok, err = s.store.Hot().Subject(name); err != nil {
		return s.subjectAgain(name, err)
	}
	return st, ok, nil
}

// subjectAgain is subject behind a try that failed: what it takes no message
// without a fault pays for.
func (s *stream) subjectAgain(name string, failed error) (st edgestore.SubjectState, ok bool, err error) {
	err = s.readAgain(failed, func() (err error) {
		st, ok, err = s.store.Subject(name)
		return err
	})
	return st, ok, err
}

// subjectOf is subject for that of a message.
func (s *stream) subjectOf(m *incoming) (st edgestore.SubjectState, ok bool, err error) {
	if !m.looked {
		if m.sub, m.subKnown, err = s.subject(m.Subject); err != nil {
			return st, false, err
		}
		m.looked = true
	}
	return m.sub, m.subKnown, nil
}

// lastFor is Store.LastFor for a step.
func (s *stream) lastFor(filter string) (seq uint64, err error) {
	err = s.read(func(st edgestore.Reads) (err error) {
		seq, err = st.LastFor(filter)
		return err
	})
	return seq, err
}

// seqAt is Store.SeqAt for a step.
func (s *stream) seqAt(at int64) (seq uint64, err error) {
	err = s.read(func(st edgestore.Reads) (err error) {
		seq, err = st.SeqAt(time.Unix(0, at))
		return err
	})
	return seq, err
}

// from is Store.Describe for a step.
func (s *stream) from(seq uint64) (r edgestore.Removal, readable bool, err error) {
	if r, readable, err = s.store.Hot().Describe(seq); err != nil {
		return s.fromAgain(seq, err)
	}
	return r, readable, nil
}

func (s *stream) fromAgain(seq uint64, failed error) (r edgestore.Removal, readable bool, err error) {
	err = s.readAgain(failed, func() (err error) {
		r, readable, err = s.store.Describe(seq)
		return err
	})
	return r, readable, err
}

// describe reads what has to be known of messages that are to be dropped, of
// those that are there. What is damaged is removed at once.
func (s *stream) describe(seqs []uint64) (list []edgestore.Removal, err error) {
	for _, seq := range seqs {
		r, readable, err := s.from(seq)
		switch {
		case err != nil:
			return nil, err
		case r.Seq != seq:
		case readable:
			list = append(list, r)
		default:
			if err := s.dropDamaged(seq); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// dropDamaged removes a message that is counted and can't be read. One that the
// store does not know after all is booked as lost, so that limits go on; one such
// message must not stop a stream.
func (s *stream) dropDamaged(seq uint64) error {
	if err := s.copyDamaged(fmt.Sprintf("message %d", seq)); err != nil {
		return err
	}
	var ok bool
	err := s.change(func() (err error) {
		_, ok, err = s.store.Remove(seq)
		return err
	})
	if err != nil {
		return err
	}
	if !ok {
		return s.dropLost(seq)
	}
	s.consumers.removed(seq, "", eventRemoved)
	return nil
}

// dropLost is for a message that is counted and not there.
func (s *stream) dropLost(seq uint64) error {
	var n uint64
	err := s.change(func() (err error) {
		n, err = s.store.Lose(seq, seq)
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		// Nothing changes it: the loop that drops would not end. The limit is not
		// kept to until the next message, and somebody should know.
		return fmt.Errorf("message %d of stream %q is counted and not there", seq, s.name)
	}
	s.consumers.purged("")
	s.tellDamage()
	return nil
}
