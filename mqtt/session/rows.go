package session

import (
	"context"
	"sync"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// rowWriter writes rows, many at a time. Those of one session lie in the stream in
// the order in which they were made.
type rowWriter struct {
	s      *Store
	window *jsclient.Window
	order  sync.Mutex // from the making of a row until it is routed

	mu struct {
		sync.Mutex
		last    uint64 // tag
		writing map[uint64]*writing
		quiet   map[*Session]chan struct{} // closed when nothing of a session is being written
		of      map[*Session]int           // rows that are being written
	}
}

type writing struct {
	x    *Session
	done chan<- error // nil: nobody waits; else it has room
}

func newRowWriter(s *Store) (w *rowWriter, err error) {
	w = &rowWriter{s: s}
	w.mu.writing, w.mu.quiet, w.mu.of = make(map[uint64]*writing), make(map[*Session]chan struct{}), make(map[*Session]int)
	w.window, err = s.o.Client.NewWindow(jsclient.WindowOptions{Max: 1024, Told: w.told})
	return w, err
}

func (w *rowWriter) close()                    { w.window.Close() }
func (w *rowWriter) drain(ctx context.Context) { _ = w.window.Drain(ctx) }

// write begins to write the row of a session as it is now, unless it has ended. done
// is told the outcome.
func (w *rowWriter) write(ctx context.Context, x *Session, done chan<- error) {
	w.order.Lock()
	defer w.order.Unlock()
	s := w.s
	s.mu.Lock()
	if x.over {
		s.mu.Unlock()
		if done != nil {
			done <- nil
		}
		return
	}
	b := x.encode()
	delete(s.mu.dirty, x)
	s.mu.Unlock()
	w.mu.Lock()
	w.mu.last++
	tag := w.mu.last
	w.mu.writing[tag] = &writing{x, done}
	w.mu.of[x]++
	w.mu.Unlock()
	err := w.window.Publish(ctx, &jsclient.Outgoing{Subject: s.rowSubject(x.hashText()), Data: b, Stream: RowStream}, tag)
	if err != nil {
		w.told(tag, jsclient.Outcome{State: jsclient.Refused, Err: err})
	}
}

func (w *rowWriter) told(tag uint64, o jsclient.Outcome) {
	w.mu.Lock()
	p := w.mu.writing[tag]
	delete(w.mu.writing, tag)
	w.mu.Unlock()
	s := w.s
	s.mu.Lock()
	if o.State == jsclient.Stored {
		p.x.row = o.Seq
	} else {
		s.mu.dirty[p.x] = true // the worker tries again
	}
	s.mu.Unlock()
	w.mu.Lock()
	if w.mu.of[p.x]--; w.mu.of[p.x] == 0 {
		delete(w.mu.of, p.x)
		if c := w.mu.quiet[p.x]; c != nil {
			delete(w.mu.quiet, p.x)
			close(c)
		}
	}
	w.mu.Unlock()
	if p.done != nil {
		p.done <- o.Err
	}
	if o.State != jsclient.Stored {
		s.o.Log.Error("MQTT session could not be stored", "client", cut(p.x.ID), "stream", RowStream, "err", o.Err)
		s.poke()
	}
}

func cut(id string) string { return id[:min(len(id), 64)] }

// save writes a row and waits until it is on disk.
func (w *rowWriter) save(ctx context.Context, x *Session) error {
	done := make(chan error, 1)
	w.write(ctx, x, done)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin writes a row that says that messages may have been sent.
func (w *rowWriter) begin(ctx context.Context, x *Session) error {
	w.s.mu.Lock()
	x.online = true
	w.s.mu.Unlock()
	err := w.save(ctx, x)
	if err != nil {
		w.s.mu.Lock()
		x.online = false
		w.s.mu.Unlock()
	}
	return err
}

// settle waits until no row of a session is being written.
func (w *rowWriter) settle(ctx context.Context, x *Session) error {
	w.mu.Lock()
	if w.mu.of[x] == 0 {
		w.mu.Unlock()
		return nil
	}
	c := w.mu.quiet[x]
	if c == nil {
		c = make(chan struct{})
		w.mu.quiet[x] = c
	}
	w.mu.Unlock()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
