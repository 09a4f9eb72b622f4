package leaf

import (
	"context"
	"crypto/sha512"
	"encoding/base32"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

// A nats-server that fetches a stream gives its consumer up when nothing whole
// came of it for 10 s, and asks for the same message again: one that needs
// longer on the line is sent again and again. Heartbeats would keep it patient,
// but between the bytes of one message nothing can stand in a TCP connection.
// So there is a second one, the lifeline: it logs in like the first under
// another name, wants nothing, and carries nothing but heartbeats to those who
// are waited for while the first is busy. They name no sequences, since
// the hub would take a number that it has not seen yet for a gap.
//
// Whether the first is busy is not seen at the socket, as buffers on the way
// may hold all of a message: a PING in line behind what was sent is answered
// when the hub has read what is before it.
//
// A frond hub sees the bytes coming and needs none of this.
type lifeline struct {
	// Fixed before run.
	l    *link
	dial func(context.Context) (*talk, error)

	wake     chan struct{} // holds one
	watching atomic.Bool   // there is something whose arrival is not known

	mu struct {
		sync.Mutex
		// fed are subjects that something was sent to before the mark, fresh
		// those since.
		fed, fresh map[string]bool
		marked     time.Time // when the PING was put in line, zero for none
		more       bool      // something worth a mark was sent since
	}

	// Owned by run.
	spare *spare
	busy  time.Time // last heartbeat
	tried time.Time // last attempt to open
	fails int       // of them, in a row
}

const (
	// lifelineBytes is how much must be on its way before anybody looks whether
	// it arrives.
	lifelineBytes = 16 << 10
	lifelineTick  = time.Second
	// lifelineAfter is how long something is on its way before heartbeats go by
	// the lifeline, and lifelineEvery how often.
	lifelineAfter = 3 * time.Second
	lifelineEvery = 3 * time.Second
	// lifelineKeep is how long it stays open behind its last heartbeat: it may
	// have the place of another edge, where the hub bounds how many link.
	lifelineKeep = 2 * lifelineEvery
	// lifelineRetry is the pause behind an attempt that failed, and twice as long
	// behind each next one up to lifelineRare.
	lifelineRetry = 5 * time.Second
	lifelineRare  = 5 * time.Minute
	// lifelineTimeout is how long it may take to open, and be without a sign of
	// life behind a PING; there is one as often.
	lifelineTimeout = 10 * time.Second
	lifelineSuffix  = "-lifeline"
	// maxFed bounds how many subjects get heartbeats.
	maxFed = 512
)

var bareHeartbeat = []byte("NATS/1.0 100 Idle Heartbeat\r\n\r\n")

func newLifeline(l *link, dial func(context.Context) (*talk, error)) *lifeline {
	s := &lifeline{l: l, dial: dial, wake: make(chan struct{}, 1)}
	s.mu.fed, s.mu.fresh = make(map[string]bool), make(map[string]bool)
	return s
}

// sent is told of what a consumer sends to a mirror or a source of the hub,
// when it was put in line.
func (s *lifeline) sent(m *wire.Msg) {
	large := len(m.Body) > 0 && int64(len(m.Body))+s.l.out.waiting() >= lifelineBytes
	if !large && !s.watching.Load() {
		return
	}
	s.mu.Lock()
	if !s.mu.fresh[string(m.Subject)] && len(s.mu.fresh) < maxFed {
		s.mu.fresh[string(m.Subject)] = true
	}
	s.mu.more = s.mu.more || large
	s.mu.Unlock()
	if !s.watching.Swap(true) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// arrived is called when the hub has answered the mark.
func (s *lifeline) arrived() {
	s.mu.Lock()
	s.mu.marked = time.Time{}
	s.mu.fed, s.mu.fresh = s.mu.fresh, s.mu.fed
	clear(s.mu.fresh)
	s.mu.Unlock()
}

// run keeps the hub patient until ctx ends.
func (s *lifeline) run(ctx context.Context) {
	defer func() { s.spare.close() }()
	tick := time.NewTicker(lifelineTick)
	tick.Stop()
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			tick.Reset(lifelineTick)
			s.look(time.Now())
		case <-tick.C:
			now := time.Now()
			slow := s.look(now)
			s.check(now)
			if slow {
				s.beat(ctx, now)
				continue
			}
			if s.spare != nil && now.Sub(s.busy) > lifelineKeep {
				s.spare.close()
				s.spare, s.fails = nil, 0
			}
			if s.spare == nil && !s.watching.Load() {
				tick.Stop()
			}
		}
	}
}

// look puts a mark in line when something was sent behind the last one, and
// reports whether the one that is out has been out for long.
func (s *lifeline) look(now time.Time) (slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.mu.marked.IsZero():
		return now.Sub(s.mu.marked) >= lifelineAfter
	case s.mu.more:
		s.mu.more = false
		for subj := range s.mu.fresh {
			s.mu.fed[subj] = true
		}
		clear(s.mu.fresh)
		s.mu.marked = now
		s.l.out.mark()
	default:
		clear(s.mu.fed)
		clear(s.mu.fresh)
		s.watching.Store(false)
	}
	return false
}

// beat sends a heartbeat to each who is waited for.
func (s *lifeline) beat(ctx context.Context, now time.Time) {
	if now.Sub(s.busy) < lifelineEvery {
		return
	}
	if s.spare == nil {
		if s.fails > 0 && now.Sub(s.tried) < s.pause() {
			return
		}
		s.tried = now
		t, err := s.dial(ctx)
		if err != nil {
			s.fails++
			s.l.log.Warn("The hub waits for a message that the line is slow with, and a second connection to keep it patient could not be made; it may ask for the message again", "err", err)
			return
		}
		s.l.log.Info("Second connection opened to keep the hub patient while the line is slow", "name", s.l.m.services.ServerName()+lifelineSuffix)
		s.spare = newSpare(ctx, t)
	}
	b := s.spare.ping(now)
	s.mu.Lock()
	for _, set := range []map[string]bool{s.mu.fed, s.mu.fresh} {
		for subj := range set {
			b = wire.AppendLeafMsg(b, &wire.Msg{Subject: []byte(subj), Header: bareHeartbeat}, true)
		}
	}
	s.mu.Unlock()
	s.busy = now
	s.spare.send(b)
}

// check gives up a connection that the hub has ended, or that is dead.
func (s *lifeline) check(now time.Time) {
	if s.spare == nil || !s.spare.gone() && !s.spare.mute(now) {
		return
	}
	s.l.log.Warn("The second connection to the hub ended")
	s.spare.close()
	s.spare = nil
	if now.Sub(s.tried) >= lifelineTimeout {
		s.fails = 0 // it had served
	}
	s.fails++
}

// pause is how long after the last attempt the next one may be.
func (s *lifeline) pause() time.Duration {
	d := lifelineRetry
	for n := 1; n < s.fails && d < lifelineRare; n++ {
		d = min(2*d, lifelineRare)
	}
	return d
}

// spare is the second connection.
type spare struct {
	t      *talk
	work   sync.WaitGroup
	closed chan struct{} // by the reader
	forget func() bool   // what closes it with the link
	pinged time.Time     // owned by who sends heartbeats
	heard  atomic.Bool   // since

	mu struct {
		sync.Mutex // for writes
	}
}

// newSpare closes the connection when ctx ends: a link that is over waits for no
// heartbeat that is stuck.
func newSpare(ctx context.Context, t *talk) *spare {
	s := &spare{t: t, closed: make(chan struct{}), pinged: time.Now()}
	s.heard.Store(true) // the hub has just let it in
	s.forget = context.AfterFunc(ctx, func() { _ = t.conn.Close() })
	s.work.Go(s.read)
	return s
}

// read passes over the interest of the hub, for whom this is a link like
// others, and answers its pings.
func (s *spare) read() {
	defer close(s.closed)
	defer s.t.conn.Close()
	for {
		verb, _, err := s.t.line()
		switch {
		case err != nil, verb == "-ERR", verb == "LMSG", verb == "HMSG": // nothing was asked for
			return
		case verb == "PING":
			s.send([]byte("PONG\r\n"))
		}
		s.heard.Store(true)
	}
}

func (s *spare) send(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.t.conn.SetWriteDeadline(time.Now().Add(lifelineTimeout))
	if err := s.t.out(b); err != nil {
		_ = s.t.conn.Close() // the reader ends
	}
}

// ping is a PING when there is to be one now. What forwards between here and
// the hub may have forgotten the connection, and tells nobody.
func (s *spare) ping(now time.Time) []byte {
	if now.Sub(s.pinged) < lifelineTimeout || !s.heard.Load() {
		return nil
	}
	s.pinged = now
	s.heard.Store(false)
	return []byte(pingLine)
}

// mute reports whether the hub does not answer.
func (s *spare) mute(now time.Time) bool {
	return !s.heard.Load() && now.Sub(s.pinged) >= lifelineTimeout
}

func (s *spare) gone() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func (s *spare) close() {
	if s != nil {
		s.forget()
		_ = s.t.conn.Close()
		s.work.Wait()
	}
}

// dialLifeline logs in at the hub of a link once more.
func (r *remote) dialLifeline(ctx context.Context, u *url.URL) (*talk, error) {
	d := net.Dialer{Timeout: lifelineTimeout}
	conn, err := d.DialContext(ctx, "tcp", hostPort(u))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	t, err := r.greetLifeline(conn, u)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return t, t.conn.SetDeadline(time.Time{})
}

func (r *remote) greetLifeline(conn net.Conn, u *url.URL) (*talk, error) {
	hello, _, t, err := r.hello(conn, u, lifelineTimeout)
	if err != nil {
		return nil, err
	}
	c, err := r.connect(u, hello, config.CompressOff, 0)
	if err != nil {
		return nil, err
	}
	// A hub takes a second link of one name for the first one come again.
	c.Name += lifelineSuffix
	c.ServerID = lifelineID(c.ServerID, c.RemoteAccount)
	c.Isolate, c.Frond = true, nil
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	if err := t.conn.SetDeadline(time.Now().Add(lifelineTimeout)); err != nil {
		return nil, err
	}
	if err := t.out(line); err != nil {
		return nil, fmt.Errorf("send CONNECT: %w", err)
	}
	if hello.InfoOnConnect {
		if _, err = t.expectInfo(func(i *info) bool { return i.ConnectInfo }); err != nil {
			return nil, fmt.Errorf("answer to CONNECT: %w", err)
		}
	}
	return t, nil
}

// lifelineID is the id by which the lifeline of a server's link logs in: one of
// its own, and always the same, so that hubs know it again.
func lifelineID(server, account string) string {
	sum := sha512.Sum512([]byte(server + "\x00" + account + lifelineSuffix))
	return "N" + base32.StdEncoding.EncodeToString(sum[:])[:55]
}
