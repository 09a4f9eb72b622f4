package session

import (
	"errors"
	"sync/atomic"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/wire"
)

// flight is a message on its way to the stream: a wire.Receipt.
type flight struct {
	s         *Store
	full      []byte // the subject in the stream
	subject   []byte
	publisher string
	by        *Session // whose packet identifier id the message has; nil for none
	id        uint16
	size      int
	copy      *jsclient.Message // for sessions that are connected; nil: none
	r         wire.Receipt
	linked    bool // it came by a link
	taken     atomic.Bool
}

var errNoStream = errors.New("the stream of what MQTT sessions wait for is gone")

// Publication is a message that is to be stored. Its slices are borrowed.
type Publication struct {
	Subject   []byte // that it was published to
	Header    []byte // the block as it is stored
	Body      []byte
	Publisher string // the hash of the client identifier
	// By is the session of the publisher if the message has a packet identifier of it,
	// which is ID, and HeaderID says so; else nil.
	By *Session
	ID uint16

	linked bool // it came by a link: whoever is full goes without it
}

// Put stores a message for the sessions that wait for it. r expects one more stream,
// and hears when it is on disk and counted. o is whose publication it is.
func (s *Store) Put(o *account.Origin, p *Publication, r wire.Receipt) {
	if err := s.ensure(s.ctx); err != nil {
		r.Expect()
		r.Stored(msgsStream, 0, false, err)
		return
	}
	full := append(append(make([]byte, 0, len(msgsPrefix)+len(p.Subject)), msgsPrefix...), p.Subject...)
	f := &flight{s: s, full: full, subject: full[len(msgsPrefix):], publisher: p.Publisher, by: p.By, id: p.ID, linked: p.linked, size: len(p.Header) + len(p.Body), copy: s.copied(p), r: r}
	s.o.Account.Route(o, &wire.Msg{Subject: full, Header: p.Header, Body: p.Body, Receipt: f, Here: true})
	if !f.taken.Load() {
		s.lostStream()
		r.Expect()
		r.Stored(msgsStream, 0, false, errNoStream)
	}
}

// Expect is part of wire.Receipt.
func (f *flight) Expect() {
	f.taken.Store(true)
	f.r.Expect()
}

// Stored is part of wire.Receipt.
func (f *flight) Stored(stream string, seq uint64, again bool, err error) {
	if err == nil && stream == msgsStream && !again {
		f.s.told(f, seq)
	}
	f.r.Stored(stream, seq, again, err)
}

// told counts a message that is on disk, and wakes those who read.
func (s *Store) told(f *flight, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.mu.head {
		s.anewLocked() // a stream tells in the order of its sequences
	}
	s.mu.head = seq
	n, limits := 0, s.o.Limits()
	s.eachLocked(seq, f.subject, []byte(f.publisher), func(by *Filter) {
		x := by.sess
		if x.told == seq || x.over {
			return // by another filter
		}
		before := x.told
		x.told = seq
		if f.linked && x.full(f.size, &limits) {
			x.skipLocked(seq, before)
			s.o.Lost(f.subject, &FullError{x.ID})
			s.suspect()
			return
		}
		if x.msgs.Add(1) == 1 && len(x.unacked) == 0 && s.mu.swept >= s.mu.begin && (x.reading == nil || x.reading.idle) {
			// Nothing before it is for the session: nobody has to look.
			x.position = seq - 1
			if x.reading != nil {
				x.reading.horizon = seq - 1
			}
		}
		x.bytes.Add(int64(f.size))
		x.hint(seq)
		n++
		if x.reading != nil {
			x.reading.idle = false
			x.reading.peer.Wake()
		}
	})
	if f.by.receivedLocked(f.id, seq) {
		n++
	}
	if n == 0 {
		s.freeLocked(seq)
		return
	}
	s.mu.counts.set(seq, n)
	if m := f.copy; m != nil {
		m.Subject, m.Seq = string(f.full), seq
		if s.mu.recent.add(m); len(s.mu.recent.msgs) == 1 {
			s.poke()
		}
	}
}
