package jetstream

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// fetchers is the one goroutine that does for all mirrors and sources what
// must not be done while a message is routed: publish, and change interest.
// It also keeps their deadlines.
type fetchers struct {
	e *Engine

	mu struct {
		sync.Mutex
		all    map[*fetching]Bus
		ready  []*fetching
		ending []*fetching
		forget []forgetting
		closed bool
	}
	poke    chan struct{} // holds one
	stopped chan struct{}
}

func newFetchers(e *Engine) *fetchers {
	f := &fetchers{e: e, poke: make(chan struct{}, 1), stopped: make(chan struct{})}
	f.mu.all = make(map[*fetching]Bus)
	return f
}

func (w *fetchers) start() { go w.run() }

// add begins a fetching.
func (w *fetchers) add(f *fetching, b Bus) {
	w.mu.Lock()
	w.mu.all[f] = b
	w.mu.Unlock()
	w.wake(f)
}

// remove ends one. What is on its way may still be stored.
func (w *fetchers) remove(f *fetching) {
	w.mu.Lock()
	delete(w.mu.all, f)
	w.mu.ending = append(w.mu.ending, f)
	w.mu.Unlock()
	poke(w.poke)
}

// forgetting is a consumer that its origin need not keep any more.
type forgetting struct {
	acct    *account
	subject string
}

// forget tells the origin, if it can be reached, that the fetching ended for
// good.
func (w *fetchers) forget(f *fetching) {
	f.mu.Lock()
	subject := f.mu.f.ForgetSubject()
	f.mu.Unlock()
	w.mu.Lock()
	w.mu.forget = append(w.mu.forget, forgetting{f.s.acct, subject})
	w.mu.Unlock()
	poke(w.poke)
}

// wake makes the goroutine look at f.
func (w *fetchers) wake(f *fetching) {
	w.mu.Lock()
	w.mu.ready = append(w.mu.ready, f)
	w.mu.Unlock()
	poke(w.poke)
}

func (w *fetchers) close() {
	w.mu.Lock()
	w.mu.closed = true
	w.mu.Unlock()
	poke(w.poke)
	<-w.stopped
}

func (w *fetchers) run() {
	defer close(w.stopped)
	pubs := publishers{}
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
			if p := pubs.of(x.acct); p != nil {
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
			b := w.busOf(f)
			if b == nil {
				continue
			}
			if !started[f] {
				started[f] = true
				if err := f.start(b); err != nil {
					w.e.logger.Error("mirror or source could not start", "stream", f.s.name, "origin", f.src.Name, "err", err)
					continue
				}
			}
			due[f] = f.work(b, &pubs)
		}
		pubs.flush()
		timer.Reset(w.tick(due))
		select {
		case <-w.poke:
		case <-timer.C:
		}
	}
}

func (w *fetchers) busOf(f *fetching) Bus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.all[f]
}

// tick runs what is due and tells how long to the next.
func (w *fetchers) tick(due map[*fetching]int64) time.Duration {
	now := w.e.now()
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
func (f *fetching) work(b Bus, pubs *publishers) int64 {
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
			f.do(&list[i], b, pubs)
		}
	}
}

func (f *fetching) do(t *todo, b Bus, pubs *publishers) {
	if t.unsubscribe && f.deliver != nil {
		f.deliver()
		f.deliver = nil
	}
	if t.subscribe != "" {
		attempt := t.attempt
		cancel, err := b.SubscribeFrom(f.src.Domain(), t.subscribe, func(m *wire.Msg) { f.delivery(attempt, m) })
		if err != nil {
			f.s.e.logger.Error("mirror or source can not listen", "stream", f.s.name, "origin", f.src.Name, "err", err)
			return
		}
		f.deliver = cancel
	}
	p := pubs.of(f.s.acct)
	if p == nil {
		return
	}
	for _, r := range t.replies {
		h := wire.AppendHeader([]byte(hdrPlain), "Nats-Last-Consumer", strconv.FormatUint(r.Consumer, 10))
		h = wire.AppendHeader(h, "Nats-Last-Stream", strconv.FormatUint(r.Stream, 10))
		// The origin named this subject.
		chosen := strings.HasPrefix(r.Subject, "$JS.FC.") || strings.HasPrefix(r.Subject, "$JS.ACK.")
		p.Publish(&wire.Msg{Subject: []byte(r.Subject), Header: append(h, crlf...), Chosen: chosen})
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

// requestHeader tells what the origin has to understand, and which stream is
// meant.
func requestHeader(r *sourcing.Request) []byte {
	if r.Level == 0 {
		return nil
	}
	h := wire.AppendHeader([]byte(hdrPlain), api.HdrRequiredLevel, strconv.Itoa(r.Level))
	if r.Identity != nil {
		h = wire.AppendHeader(h, sourcing.HdrIdentity, *r.Identity)
	}
	return append(h, crlf...)
}

// attachFetching makes what is fetched follow the configuration. The caller
// holds acct.changes.
func (s *stream) attachFetching(b Bus) error {
	cfg := s.config()
	keep := s.fetching[:0]
	wanted := cfg.Sources
	if cfg.Mirror != nil {
		wanted = []*asset.StreamSource{cfg.Mirror}
	}
	have := make(map[string]bool)
	for _, f := range s.fetching {
		still := false
		for _, src := range wanted {
			still = still || asset.EqualSource(f.src, src) && (f.key == "") == (cfg.Mirror != nil) && f.startOver == cfg.StartsOver()
		}
		if !still {
			f.halt()
			s.e.fetch.remove(f)
			if !slices.ContainsFunc(wanted, func(src *asset.StreamSource) bool {
				return src.Key() == f.src.Key() && (f.key == "") == (cfg.Mirror != nil)
			}) {
				s.e.fetch.forget(f)
			}
			continue
		}
		have[f.src.Key()] = true
		keep = append(keep, f)
	}
	clear(s.fetching[len(keep):])
	s.fetching = keep
	for _, src := range wanted {
		if have[src.Key()] {
			continue
		}
		f, err := newFetching(s, src, cfg.Mirror != nil)
		if err != nil {
			return err
		}
		s.fetching = append(s.fetching, f)
		s.e.fetch.add(f, b)
	}
	s.publishFetching()
	return nil
}

func (s *stream) detachFetching() {
	for _, f := range s.fetching {
		f.halt()
		s.e.fetch.remove(f)
	}
	s.fetching = nil
	s.publishFetching()
}

// publishFetching lets stream info see who fetches, without the account's lock.
func (s *stream) publishFetching() {
	list := append([]*fetching(nil), s.fetching...)
	s.fetchingNow.Store(&list)
}

// originInfos are the mirror and the sources of the stream for its info.
func (s *stream) originInfos() (mirror *api.SourceInfo, sources []*api.SourceInfo) {
	list := s.fetchingNow.Load()
	if list == nil {
		return nil, nil
	}
	for _, f := range *list {
		if f.key == "" {
			mirror = f.info()
		} else {
			sources = append(sources, f.info())
		}
	}
	return mirror, sources
}
