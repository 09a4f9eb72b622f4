package mqtt

import (
	"errors"
	"sync"
	"time"
)

// delayed are the wills of kept sessions whose clients have gone and may come back
// before they are due [MQTT-3.1.3-9].
type delayed struct {
	mu    sync.Mutex
	over  bool
	wills map[string]*delayedWill // by account and client identifier
	work  sync.WaitGroup          // those whose time has come
}

type delayedWill struct {
	conn  *conn
	timer *time.Timer
}

// leaveWill publishes the will of a connection that has ended, at once or when its
// delay or its session is over. (A session without an expiry is over already.)
func (c *conn) leaveWill() {
	if errors.Is(c.end, errDisconnect) || c.will == nil {
		return
	}
	wait := min(c.will.delay, c.kept.granted())
	if wait == 0 || !c.m.delayed.put(c, time.Duration(wait)*time.Second) {
		c.publishWill()
	}
}

// awaitWill has a client that takes c over wait for c's will, if that is sent at once:
// what it publishes comes behind it, for a death that came behind a birth would be taken
// for the death of the newly born.
func (c *conn) awaitWill() {
	told := make(chan struct{})
	c.heir.Store(&told)
	if !c.willGone.Load() {
		<-told
	}
}

// leftWill says that the will of c is out, or will be sent later.
func (c *conn) leftWill() {
	c.willGone.Store(true)
	if told := c.heir.Load(); told != nil {
		close(*told)
	}
}

// put has the will of c published later. It reports false when the module stops.
func (d *delayed) put(c *conn, wait time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return false
	}
	if d.wills == nil {
		d.wills = make(map[string]*delayedWill)
	}
	w := &delayedWill{conn: c}
	d.wills[c.key()] = w
	w.timer = time.AfterFunc(wait, func() { d.due(w) })
	return true
}

func (d *delayed) due(w *delayedWill) {
	d.mu.Lock()
	mine := d.wills[w.conn.key()] == w
	if mine {
		delete(d.wills, w.conn.key())
		d.work.Add(1)
	}
	d.mu.Unlock()
	if mine {
		defer d.work.Done()
		w.conn.publishWill()
	}
}

// back is called when a client has come back: its will is not sent, unless it has begun
// a new session.
func (d *delayed) back(c *conn) {
	d.mu.Lock()
	w := d.wills[c.key()]
	delete(d.wills, c.key())
	d.mu.Unlock()
	if w == nil {
		return
	}
	w.timer.Stop()
	if c.kept == nil || !c.kept.present {
		w.conn.publishWill()
	}
}

// end publishes what is left, and waits for what is being published.
func (d *delayed) end() {
	d.mu.Lock()
	d.over = true
	left := d.wills
	d.wills = nil
	d.mu.Unlock()
	for _, w := range left {
		w.timer.Stop()
		w.conn.publishWill()
	}
	d.work.Wait()
}
