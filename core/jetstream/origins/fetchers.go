package origins

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// Fetchers is the one goroutine that does for all mirrors and sources what
// must not be done while a message is routed: publish, and change interest.
// It also keeps their deadlines.
type Fetchers struct {
	o Options

	mu struct {
		sync.Mutex
		all    map[*fetching]bool
		ready  []*fetching
		ending []*fetching
		forget []forgetting
		closed bool
	}
	poke    chan struct{} // holds one
	stopped chan struct{}
}

// New makes one. What is given to it before Start waits for that.
func New(o Options) *Fetchers {
	w := &Fetchers{o: o, poke: make(chan struct{}, 1), stopped: make(chan struct{})}
	w.mu.all = make(map[*fetching]bool)
	return w
}

// Start starts the goroutine, which Close ends.
func (w *Fetchers) Start() { go w.run() }

// add begins a fetching.
func (w *Fetchers) add(f *fetching) {
	w.mu.Lock()
	w.mu.all[f] = true
	w.mu.Unlock()
	w.wake(f)
}

// remove ends one. What is on its way may still be stored.
func (w *Fetchers) remove(f *fetching) {
	w.mu.Lock()
	delete(w.mu.all, f)
	w.mu.ending = append(w.mu.ending, f)
	w.mu.Unlock()
	w.look()
}

// forgetting is a consumer that its origin need not keep any more.
type forgetting struct {
	s       Stream
	subject string
}

// Forget tells origins of a stream, if they can be reached, that the fetching
// ended for good: see Set.ForgetSubjects.
func (w *Fetchers) Forget(s Stream, subjects ...string) {
	w.mu.Lock()
	for _, subject := range subjects {
		w.mu.forget = append(w.mu.forget, forgetting{s, subject})
	}
	w.mu.Unlock()
	w.look()
}

// wake makes the goroutine look at f.
func (w *Fetchers) wake(f *fetching) {
	w.mu.Lock()
	w.mu.ready = append(w.mu.ready, f)
	w.mu.Unlock()
	w.look()
}

func (w *Fetchers) look() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// Close ends what is fetched, and the goroutine, and waits for it.
func (w *Fetchers) Close() {
	w.mu.Lock()
	w.mu.closed = true
	w.mu.Unlock()
	w.look()
	<-w.stopped
}

func (w *Fetchers) run() {
	defer close(w.stopped)
	out := w.o.Outlet()
	started := make(map[*fetching]bool)
	due := make(map[*fetching]int64)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		ready, ending, forget, closed := w.mu.ready, w.mu.ending, w.mu.forget, w.mu.closed
		w.mu.ready, w.mu.ending, w.mu.forget = nil, nil, nil
		w.mu.Unlock()
		for _, f := range ending {
			if started[f] {
				f.end()
			}
			delete(started, f)
			delete(due, f)
		}
		for _, x := range forget {
			if p := out.Into(x.s); p != nil {
				p.Publish(&wire.Msg{Subject: []byte(x.subject), Chosen: true})
			}
		}
		if closed {
			for f := range started {
				f.end()
			}
			return
		}
		for _, f := range ready {
			if !w.has(f) {
				continue
			}
			if !started[f] {
				started[f] = true
				if err := f.start(); err != nil {
					w.o.Logger.Error("mirror or source could not start", "stream", f.s.Name(), "origin", f.src.Name, "err", err)
					continue
				}
			}
			due[f] = f.work(out)
		}
		out.Flush()
		timer.Reset(w.tick(due))
		select {
		case <-w.poke:
		case <-timer.C:
		}
	}
}

func (w *Fetchers) has(f *fetching) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.all[f]
}

// tick runs what is due and tells how long to the next.
func (w *Fetchers) tick(due map[*fetching]int64) time.Duration {
	now := w.o.Now()
	wait := time.Hour
	for f, at := range due {
		if at == 0 {
			continue
		}
		if at <= now {
			due[f] = 0
			f.tick() // wakes us
			continue
		}
		wait = min(wait, time.Duration(at-now))
	}
	return wait
}

// work does what the fetcher asked for and gives its next deadline.
func (f *fetching) work(out Outlet) int64 {
	for {
		f.mu.Lock()
		list := f.mu.todo
		f.mu.todo = nil
		deadline := f.mu.f.Deadline()
		f.mu.Unlock()
		if len(list) == 0 {
			return deadline
		}
		for i := range list {
			f.do(&list[i], out)
		}
	}
}

func (f *fetching) do(t *todo, out Outlet) {
	if t.unsubscribe && f.deliver != nil {
		f.deliver()
		f.deliver = nil
	}
	if t.subscribe != "" {
		attempt := t.attempt
		cancel, err := f.bus.SubscribeFrom(f.src.Domain(), t.subscribe, func(m *wire.Msg) { f.delivery(attempt, m) })
		if err != nil {
			f.w.o.Logger.Error("mirror or source can not listen", "stream", f.s.Name(), "origin", f.src.Name, "err", err)
			return
		}
		f.deliver = cancel
	}
	p := out.Into(f.s)
	if p == nil {
		return
	}
	for _, r := range t.replies {
		h := wire.AppendHeader([]byte(headerLine), "Nats-Last-Consumer", strconv.FormatUint(r.Consumer, 10))
		h = wire.AppendHeader(h, "Nats-Last-Stream", strconv.FormatUint(r.Stream, 10))
		// The origin named this subject.
		chosen := strings.HasPrefix(r.Subject, "$JS.FC.") || strings.HasPrefix(r.Subject, "$JS.ACK.")
		p.Publish(&wire.Msg{Subject: []byte(r.Subject), Header: append(h, "\r\n"...), Chosen: chosen})
	}
	if r := t.request; r != nil {
		reply := strconv.AppendUint([]byte(f.inbox+"."), r.Attempt, 10)
		if p.Publish(&wire.Msg{Subject: []byte(r.Subject), Reply: reply, Header: requestHeader(r), Body: r.Body, Chosen: true}) == 0 {
			f.step(func(now int64, fx *sourcing.Effects) {
				f.mu.f.Answer(now, r.Attempt, sourcing.Answer{NoResponders: true}, fx)
			})
		}
	}
}

// headerLine begins a header block.
const headerLine = "NATS/1.0\r\n"

// requestHeader tells what the origin has to understand, and which stream is
// meant.
func requestHeader(r *sourcing.Request) []byte {
	if r.Level == 0 {
		return nil
	}
	h := wire.AppendHeader([]byte(headerLine), api.HdrRequiredLevel, strconv.Itoa(r.Level))
	if r.Identity != nil {
		h = wire.AppendHeader(h, sourcing.HdrIdentity, *r.Identity)
	}
	return append(h, "\r\n"...)
}
