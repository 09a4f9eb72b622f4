package mqtt

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/wire"
)

const (
	// pageBytes is about how much is read from the stream at once for one client,
	// tightBytes while much of what may wait for all clients together does.
	pageBytes  = 32 << 10
	tightBytes = 4 << 10
	pageMsgs   = 256
	// maxPages is how many pages of an account are in memory at once.
	maxPages = 4
	// maxSeen bounds the subjects that a watch remembers, in bytes; seenMore is
	// what one takes beside itself.
	maxSeen  = 64 << 10
	maxEarly = 2 << 10 // before the first page, of which there may be many waiting
	seenMore = 32
)

// replay delivers the retained messages of new subscriptions to one client: page by
// page, the next one when little waits for the client. It has a goroutine while there
// is something to deliver, which stop ends and waits for.
//
// What was published later must not be overtaken by what was read earlier: a page is
// read when all that was published before is stored, and what comes live meanwhile is
// watched for (subscription.watching), so that a page leaves out what it replaced.
type replay struct {
	conn *conn
	ctx  context.Context // of the goroutine, which owns it
	work sync.WaitGroup
	// ids are the packet identifiers of messages of the page that a kept session has, and
	// that are not queued yet, by sequence; of the goroutine.
	ids map[uint64]uint16
	// roomed is closed when an identifier is free again; nil: nobody waits. The lock of the
	// outbound guards it.
	roomed chan struct{}

	mu struct {
		sync.Mutex
		queue  []*subscription
		cancel context.CancelFunc // ends the goroutine; nil while there is none
	}
}

// watch is what a subscription was given live since it began, or since a page was read:
// the subjects of messages that were published with RETAIN.
type watch struct {
	mu   sync.Mutex
	seen map[string]struct{}
	size int  // of all in seen
	most int  // that it may be
	over bool // there were too many
}

// begin is the watch for a page: the one that there is, or a new one if that has seen
// too much. Then what was seen before may come once more.
func (s *subscription) begin() *watch {
	if w := s.watching.Load(); w != nil {
		w.mu.Lock()
		w.most = maxSeen
		over := w.over
		w.mu.Unlock()
		if !over {
			return w
		}
	}
	w := &watch{most: maxSeen}
	s.watching.Store(w)
	return w
}

func (w *watch) add(subj []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.seen[string(subj)]; known || w.over {
		return
	}
	if w.size += len(subj) + seenMore; w.size > w.most {
		w.over = true
		return
	}
	if w.seen == nil {
		w.seen = make(map[string]struct{})
	}
	w.seen[string(subj)] = struct{}{}
}

// replaced reports whether a newer message of the subject was delivered.
func (w *watch) replaced(subj string) (yes, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, yes = w.seen[subj]
	return yes, w.over
}

// replayTo begins to deliver retained messages to new subscriptions. It is called by
// the reader, behind the SUBACK.
func (c *conn) replayTo(subs []*subscription) {
	if len(subs) == 0 {
		return
	}
	r := c.replay
	if r == nil {
		r = &replay{conn: c}
		c.out.Lock() // for who is not the reader
		c.replay = r
		c.out.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mu.queue) > len(c.subs) { // who subscribes to the same again and again leaves them behind
		live := r.mu.queue[:0:0]
		for _, s := range r.mu.queue {
			if !s.gone.Load() {
				live = append(live, s)
			}
		}
		r.mu.queue = live
	}
	r.mu.queue = append(r.mu.queue, subs...)
	if r.mu.cancel == nil {
		// Most clients subscribe once: no context outlives what it is for.
		r.ctx, r.mu.cancel = context.WithCancel(c.m.ctx)
		r.work.Add(1)
		go r.run()
	}
}

// stop ends it, for the reader that ends.
func (r *replay) stop() {
	if r == nil {
		return
	}
	r.mu.Lock()
	if r.mu.cancel != nil {
		r.mu.cancel()
	}
	r.mu.Unlock()
	r.work.Wait()
}

func (r *replay) run() {
	defer r.work.Done()
	for s := r.next(); s != nil; s = r.next() {
		err := r.deliver(s)
		if err != nil && r.ctx.Err() == nil {
			r.conn.notice(noticeNotReplayed, "topic", core.Cut(s.filter), "err", err)
		}
	}
}

func (r *replay) next() (s *subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mu.queue) == 0 || r.ctx.Err() != nil {
		r.mu.cancel()
		r.ctx, r.mu.cancel, r.mu.queue = nil, nil, nil
		return nil
	}
	s = r.mu.queue[0]
	r.mu.queue = r.mu.queue[1:]
	return s
}

// deliver gives a subscription all retained messages that match.
func (r *replay) deliver(s *subscription) error {
	defer s.watching.Store(nil)
	k, err := r.conn.m.keeperOf(r.conn.account)
	if err != nil {
		return err
	}
	for _, sub := range s.subs {
		filter := retainedPrefix + sub.Subject
		if sub.Subject == ">" {
			filter = ">" // all that is there: the stream counts that without looking
		}
		for from := uint64(1); from > 0; {
			if s.gone.Load() {
				return nil
			}
			if from, err = r.page(k, s, filter, from); err != nil {
				return err
			}
		}
	}
	return nil
}

// page delivers the next page of a walk, from a sequence on, and returns where the
// one behind it begins; 0 is the end.
func (r *replay) page(k *keeper, s *subscription, filter string, from uint64) (next uint64, err error) {
	size := r.conn.pageSize()
	if err := r.conn.low(r.ctx, size/2); err != nil {
		return 0, err
	}
	if err := r.room(s); err != nil {
		return 0, err
	}
	select {
	case k.pages <- struct{}{}:
		defer func() { <-k.pages }()
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
	w := s.begin()
	if err := k.settle(r.ctx); err != nil {
		return 0, err
	}
	list, more, err := k.client.NextBatch(r.ctx, retainedStream, from, filter, pageMsgs, size)
	if errors.Is(err, jsclient.ErrStreamNotFound) {
		return 0, nil // nobody has retained anything
	}
	if err != nil || len(list) == 0 {
		return 0, err
	}
	defer r.conn.out.Wake()
	defer r.unnumber()
	now := time.Now()
	for i, m := range list {
		if ok, err := r.number(s, list[i:]); !ok || err != nil {
			return m.Seq, err
		}
		if next, err = r.send(s, w, m, now); next > 0 || err != nil {
			return next, err
		}
	}
	if more {
		next = list[len(list)-1].Seq + 1
	}
	return next, nil
}

// pageSize is how much a page for the client may have.
func (c *conn) pageSize() int {
	b := &c.m.services.Outbound().Budget
	if most := b.Limit(); most > 0 && b.Held() > most/2 {
		return tightBytes
	}
	return pageBytes
}

// low waits until no more than n bytes wait for the client.
func (c *conn) low(ctx context.Context, n int) error {
	out := c.out
	for {
		out.Lock()
		low := out.LowLocked(n)
		out.Unlock()
		if low == nil {
			return ctx.Err()
		}
		out.Wake()
		select {
		case <-low:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send queues one retained message for the client, unless it is none for it. again
// is its sequence when it has to be read again.
func (r *replay) send(s *subscription, w *watch, m *jsclient.Message, now time.Time) (again uint64, err error) {
	c := s.conn
	subj, mine := strings.CutPrefix(m.Subject, retainedPrefix)
	kept, ok := readRetained(m, now)
	switch {
	case !ok || !mine,
		!s.dollar && strings.HasPrefix(subj, "$"),
		s.noLocal && string(kept.client) == c.clientID: // [MQTT-3.8.3-3]
		return 0, nil
	case s.filtered && c.grant.Permissions.DeniesDelivery([]byte(subj)):
		c.drops.count(dropDenied)
		return 0, nil
	}
	msg := wire.Msg{Header: kept.header, Body: m.Data}
	qos, id := min(s.qos, kept.qos), r.ids[m.Seq]
	for {
		if !c.begin() {
			return 0, errEnded
		}
		replaced, over := w.replaced(subj)
		if replaced || over || s.gone.Load() {
			c.out.Unlock()
			if over && !replaced {
				return m.Seq, nil
			}
			return 0, nil
		}
		size, ok := c.encodeLocked(qos, qos == 0 || id > 0 || c.window.takes(), []byte(subj), &msg, s.id)
		switch {
		case !ok:
			c.out.Unlock()
			c.drops.count(c.unsendable(size))
			return 0, nil
		case c.roomLocked(size + publishHead + queuedHead):
			if id > 0 {
				c.writeLocked(qos, flagRetain, id, size, m.Data)
				delete(r.ids, m.Seq)
			} else {
				c.queueLocked(qos, flagRetain, size, m.Data)
			}
			c.out.Unlock()
			return 0, nil
		}
		c.out.Unlock()
		if err := c.low(r.ctx, 0); err != nil {
			return 0, err
		}
	}
}
