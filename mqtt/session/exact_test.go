package session

import (
	"context"
	"errors"
	"testing"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// restoredSession is one that a start has read from its row, which knows identifiers
// up to a sequence; what came behind that is not counted yet.
func restoredSession(upTo, head uint64) (*Store, *Session) {
	s := &Store{counted: make(chan struct{}), wake: make(chan struct{}, 1)}
	x := &Session{store: s, hash: asHash([]byte("12345678")), restored: true, receivedUpTo: upTo}
	s.mu.sessions = map[[hashLen]byte]*Session{x.hash: x}
	s.mu.dirty = make(map[*Session]bool)
	s.mu.head, s.mu.begin = head, head
	return s, x
}

// published is a message that stands for an identifier.
func published(x *Session, seq uint64, id string) *jsclient.Message {
	return &jsclient.Message{Seq: seq, Header: []byte("NATS/1.0\r\n" + HeaderPublisher + ":" + x.hashText() + "\r\n" + HeaderID + ":" + id + "\r\n\r\n")}
}

// TestSession_HasReceived does not know behind a start that an identifier is free
// before all is counted: who believes that stores a message twice.
func TestSession_HasReceived(t *testing.T) {
	s, x := restoredSession(4, 9)
	x.receiveLocked(7, 3)
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if known, err := x.HasReceived(now, 7); !known || err != nil {
		t.Errorf("one that the row has: %v, %v", known, err)
	}
	if known, err := x.HasReceived(now, 8); known || !errors.Is(err, context.Canceled) {
		t.Errorf("one that may be in what is not counted: %v, %v", known, err)
	}
	told := make(chan bool)
	go func() {
		known, err := x.HasReceived(t.Context(), 8)
		told <- known && err == nil
	}()
	s.mu.Lock()
	held := s.heldLocked(published(x, 5, "8"))
	s.startedLocked()
	s.mu.Unlock()
	if !held || !<-told {
		t.Error("one that was found meanwhile is not known")
	}
	if known, err := x.HasReceived(now, 9); known || err != nil {
		t.Errorf("one that nobody published: %v, %v", known, err)
	}
}

// TestStore_heldLocked finds the identifiers of messages again that the row does not
// know, and no others: what it knows and does not name is released, and the client
// may have begun something else under it.
func TestStore_heldLocked(t *testing.T) {
	s, x := restoredSession(4, 9)
	x.receiveLocked(7, 6)
	for _, c := range []struct {
		seq  uint64
		id   string
		held bool
		why  string
	}{
		{4, "1", false, "the row knows up to there that it is released"},
		{5, "1", true, "it came behind the row"},
		{5, "0", false, "no identifier"},
		{5, "65536", false, "no identifier"},
		{3, "7", false, "the identifier is that of a later message"},
		{6, "7", true, "the row names it"},
	} {
		if held := s.heldLocked(published(x, c.seq, c.id)); held != c.held {
			t.Errorf("message %d under %s is held: %v, but %s", c.seq, c.id, held, c.why)
		}
	}
	s.startedLocked()
	if s.heldLocked(published(x, 8, "2")) {
		t.Error("held, when all was counted")
	}
}

// TestSession_encodeExact says of no message that its identifier is known before it is
// counted: a crash would forget it.
func TestSession_encodeExact(t *testing.T) {
	s, x := restoredSession(4, 9)
	var before, behind state
	x.encodeExactLocked(&before)
	s.startedLocked()
	x.encodeExactLocked(&behind)
	if before.ReceivedUpTo != 4 || behind.ReceivedUpTo != 9 {
		t.Errorf("up to %d before all is counted, %d behind", before.ReceivedUpTo, behind.ReceivedUpTo)
	}
}

// TestSession_receivedLocked lets go of the message that had an identifier before.
func TestSession_receivedLocked(t *testing.T) {
	s, x := restoredSession(0, 0)
	s.startedLocked()
	s.mu.counts.set(1, 1)
	s.mu.counts.set(2, 1)
	if !x.receivedLocked(7, 1) || !x.receivedLocked(7, 2) {
		t.Fatal("the session is over")
	}
	if a, b := s.mu.counts.get(1), s.mu.counts.get(2); a != 0 || b != 1 {
		t.Errorf("the first message counts %d times, the second %d times", a, b)
	}
}

// TestSession_anewExact uses no identifier again when messages are gone that the
// client may have, nor forgets what it has published.
func TestSession_anewExact(t *testing.T) {
	_, x := restoredSession(4, 9)
	x.receiveLocked(7, 3)
	x.unacked = []Unacked{{Seq: 1, ID: 1}, {Seq: 2, ID: 2, Exact: true}}
	x.anewExactLocked()
	if o := x.Open(); len(o) != 1 || o[0] != 2 {
		t.Errorf("open: %v", o)
	}
	if seq, known := x.receivedAsLocked(7); !known || seq != 0 || x.receivedUpTo != 0 {
		t.Errorf("received as %d (%v), up to %d", seq, known, x.receivedUpTo)
	}
}
