package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/damage"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Config is given to New and never changes.
type Config struct {
	// Dir is the folder of everything durable. When it is empty there is no
	// disk: streams in files are refused.
	Dir string
	// Journal are the journal's options; Dir in it is set by the engine.
	Journal journal.Options
	// Domain is the JetStream domain, "" for none.
	Domain     string
	ServerName string
	ServerID   string
	Version    string // the nats-server level that answers announce
	APILevel   int
	// Strict refuses requests with unknown members.
	Strict bool
	Limits Limits
	// DrainBytes is how much of the journal may be undrained before the
	// stores are flushed; 0 is a default.
	DrainBytes int64
	// StoreFileBytes is when a store begins a new file; 0 is the store's
	// default, and the most. Small files give a small disk back what was
	// removed sooner.
	StoreFileBytes int64
	// StoreCacheBytes bounds what each file store keeps decoded; 0 is the
	// store's default.
	StoreCacheBytes int64
	// CacheBytes bounds that over all of them; 0 is a default.
	CacheBytes int64
	// Short reports whether the process has no memory left: publishers that are
	// not the server are held up then, and refused after a while. nil is never.
	Short func() bool
	// DiskReserve are bytes of the disk that are left alone, and MaxDisk is what
	// all files together may take, journal and message ids too; 0 is none. They
	// count what is really there, where Limits count bytes of messages.
	DiskReserve, MaxDisk int64
	// OpenFiles is how many files of stores are open at once, over all streams;
	// 0 is a default.
	OpenFiles int
	// Workers is how many goroutines answer API requests, and how many run
	// consumers; 0 is a default.
	Workers int
	// Now is the wall clock, and the monotonic one if its readings have that. nil
	// is time.Now.
	Now func() time.Time
	// Rand makes names and ids, and decides the random of subject transforms;
	// nil seeds one from the system. The engine locks it.
	Rand   *rand.Rand
	Logger *slog.Logger
	// ClockSynced reports whether the wall clock may be right when it says now.
	// While it is not, ages are told by the monotonic clock alone, and what is
	// stored gets its time when the clock is set. nil is always.
	ClockSynced func(now time.Time) bool
	// InterestGrace is how long a pull request may wait for the interest in its
	// answers to arrive over a link; 0 is a default, negative is not at all.
	InterestGrace time.Duration

	// backend and clocks are replaced by tests.
	backend backend
	clocks  *clocks
	disk    *diskWatch
	guard   *diskGuard // nil: none
	files   *edgestore.FilePool
	caches  *edgestore.CachePool
	// newestFormat is Format; tests change it.
	newestFormat uint64
	// idDisk is where message ids are written, idBytes how many of them in
	// memory become a run with the next drain, idsWake how many wake it, and with
	// idsMost there are no more until it has written some; tests
	// change them.
	idDisk                    vfs.FS
	idBytes, idsWake, idsMost int
}

const (
	defaultDrainBytes  = 32 << 20
	defaultMaxBuffered = 16 << 20
	defaultWorkers     = 4
	defaultOpenFiles   = 256
	defaultGrace       = 2 * time.Second
)

func (c *Config) fill() {
	if c.Now == nil {
		c.Now = time.Now
		if c.clocks == nil {
			c.clocks = systemClocks()
		}
	}
	if c.clocks == nil {
		started := c.Now()
		c.clocks = &clocks{
			mono:    func(now time.Time) int64 { return int64(now.Sub(started)) },
			machine: func() (string, int64) { return "", 0 },
		}
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DrainBytes <= 0 {
		c.DrainBytes = defaultDrainBytes
	}
	if c.Limits.MaxBuffered <= 0 {
		c.Limits.MaxBuffered = defaultMaxBuffered
	}
	if c.Workers <= 0 {
		c.Workers = defaultWorkers
	}
	if c.InterestGrace == 0 {
		c.InterestGrace = defaultGrace
	}
	c.InterestGrace = max(c.InterestGrace, 0)
	if c.OpenFiles <= 0 {
		c.OpenFiles = defaultOpenFiles
	}
	if c.newestFormat == 0 {
		c.newestFormat = Format
	}
	if c.idDisk == nil {
		c.idDisk = vfs.OS{}
	}
	if c.idBytes <= 0 {
		c.idBytes = defaultIDBytes
	}
	if c.idsWake <= 0 {
		c.idsWake = 3 * c.idBytes
	}
	if c.idsMost <= 0 {
		c.idsMost = idsMostRatio * c.idBytes
	}
	c.files = edgestore.NewFilePool(c.OpenFiles)
	if c.CacheBytes <= 0 {
		c.CacheBytes = defaultCacheBytes
	}
	c.caches = edgestore.NewCachePool(c.CacheBytes)
	if c.disk == nil {
		c.disk = &diskWatch{logger: c.Logger}
	}
	if c.DiskReserve > 0 || c.MaxDisk > 0 {
		if c.Journal.FS == nil {
			c.Journal.FS = vfs.OS{}
		}
		c.guard = &diskGuard{FS: c.Journal.FS, dir: c.Dir, journalDir: c.journalDir(), reserve: c.DiskReserve, most: c.MaxDisk, logger: c.Logger}
		c.Journal.FS, c.Journal.SharedDisk = c.guard, true
	}
	if c.backend == nil {
		c.backend = diskBackend{c}
	}
}

// journalDir is where the journal is.
func (c *Config) journalDir() string {
	if c.Journal.Dir != "" {
		return c.Journal.Dir
	}
	return filepath.Join(c.Dir, journalFolder)
}

// Engine is JetStream of one server: all streams and consumers of all
// accounts, and the goroutines that serve them.
//
// Its goroutines: the journal's committer and applier, the memory log's
// applier, the drainer, the clock, the outbox, API workers and consumer
// workers. None belongs to one stream or consumer.
type Engine struct {
	// Fixed at construction.
	cfg     Config
	logger  *slog.Logger
	journal fileLog
	table   table
	mem     *memoryLog
	out     *outbox
	api     *api.Server
	drain   *drainer
	work    *workers
	clock   *clock
	fetch   *origins.Fetchers
	scratch sync.Pool
	line    *timeline     // of the journal, with what is in it
	local   *timeline     // of all else; the same unless others share the journal
	replay  *replay       // while it recovers
	index   journalIndex  // the same, if it is needed
	partly  int           // the same: see storeWatch.again
	quit    chan struct{} // closed when nobody waits for operations any more

	room  roomWaiter
	loops loops

	nextIncarnation atomic.Uint64
	configs         asset.Reader
	damage          damage.Register
	catChain        edgestore.Chain // of the operations of the catalogue in the journal
	recovered       bool            // there were streams in files
	leading         atomic.Bool     // a log that is shared: see leadsLog
	latest          int64           // stamp of an operation in the journal; owned by whoever applies
	quota           quota           // of all accounts together
	coming          [2]atomic.Int64 // bytes of messages that are on their way into streams, in files and in memory
	clockSaid       minutely        // that the log does not take what the clock was set by
	closing         atomic.Bool
	leaving         atomic.Bool // pull requests are refused

	rand struct {
		sync.Mutex
		*rand.Rand
	}
	mu struct {
		sync.RWMutex
		accounts map[string]*account
		streams  map[uint64]*stream
		cat      catalogue
		// offline are the streams that could not be opened.
		offline map[uint64]*offline
	}
}

// New opens the folder, recovers what is in it, and starts the engine. Streams
// take messages once their account is enabled.
func New(c Config) (*Engine, error) {
	e, err := open(c)
	if err != nil {
		return nil, err
	}
	e.run()
	return e, nil
}

// open is New without the start: it has no goroutine, and does nothing by itself.
func open(c Config) (*Engine, error) {
	c.fill()
	e := &Engine{cfg: c, logger: c.Logger, quit: make(chan struct{})}
	e.quota.setLimits(max(c.Limits.MaxStore, 0), max(c.Limits.MaxMemory, 0))
	e.line = newTimeline(&c)
	e.local = e.line
	e.rand.Rand = c.Rand
	c.disk.report = e.report
	c.disk.use = e.diskText
	e.scratch.New = func() any { return new(publishScratch) }
	e.mu.accounts = make(map[string]*account)
	e.mu.streams = make(map[uint64]*stream)
	e.mu.offline = make(map[uint64]*offline)
	e.nextIncarnation.Store(1) // 0 is the catalogue
	mem := &applier{e: e}
	e.mem = newMemoryLog(c.Limits.MaxBuffered, mem.apply)
	e.out = newOutbox()
	e.work = newWorkers()
	e.api = e.newAPI()
	e.clock = newClock(e)
	e.fetch = e.newFetchers()
	if c.Dir == "" {
		e.line.begin(new(timetable), 0, false)
		return e, nil
	}
	if err := refuseForeign(c.Dir, c.journalDir()); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	newest, err := e.recover()
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	e.recovered = len(e.mu.streams)+len(e.mu.offline) > 0
	e.drain = newDrainer(e, newest)
	write := e.writeStart
	if e.damage.Dirty() {
		// What the recovery decided about damage must not be decided again
		// by the next one, which may see more or less of it. Which start it was
		// that told goes with it.
		e.mu.cat.rows = append(e.mu.cat.rows, e.mu.cat.started.row())
		write = e.drain.drain
	}
	if err := write(); err != nil {
		e.logger.Warn("recovery: what was found is not written down yet", "err", err)
	}
	return e, nil
}

// run starts the goroutines.
func (e *Engine) run() {
	e.mem.start()
	if e.journal != nil {
		e.drain.start()
		file := &applier{e: e, durable: true}
		e.journal.Lost(file.lost)
		e.journal.Start(file.apply)
		e.checkClock() // before anything has a stamp
		e.retryNotes()
		for _, s := range e.allStreams() {
			s.logForgotten()
		}
	}
	// Only now is everything in place that the others use.
	e.out.start()
	e.work.start(e.cfg.Workers)
	e.api.Start(e.cfg.Workers)
	e.clock.start()
	e.fetch.Start()
	for _, s := range e.allStreams() {
		e.api.Do(s.tidy)
	}
}

// EndRequests ends all pull requests, and those that still come, with "409
// Server Shutdown", so that clients do not wait for a server that goes. It is
// called while they can be told; Close comes later.
func (e *Engine) EndRequests() {
	e.leaving.Store(true)
	for _, s := range e.allStreams() {
		for _, m := range s.members() {
			m.end(consumer.ServerShutdown)
		}
	}
}

// Close stops taking messages and requests, makes everything that was
// appended durable, and drains it into the stores, as far as there is time, so
// that the next start is quick. It returns what went wrong; nothing acknowledged depends on it.
func (e *Engine) Close() error {
	if e.closing.Swap(true) {
		return nil
	}
	// Requests that wait for a disk which does not answer must not hold up
	// the end for ever.
	var once sync.Once
	giveUp := func() { once.Do(func() { close(e.quit) }) }
	late := time.AfterFunc(requestGrace, giveUp)
	for _, a := range e.accounts() {
		a.leave()
	}
	late.Stop()
	giveUp()
	e.fetch.Close()
	e.api.Close()
	e.work.close()
	for _, s := range e.allStreams() {
		for _, m := range s.members() {
			m.end(consumer.ServerShutdown)
		}
	}
	e.clock.close()
	e.noteLine()
	var errs []error
	if e.mem != nil {
		e.mem.close()
	}
	if e.journal != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		errs = append(errs, e.journal.Sync(ctx))
		for range 3 { // answers that wait for notes, which were logged meanwhile
			if !e.holding() || e.journal.Sync(ctx) != nil {
				break
			}
		}
		cancel()
		errs = append(errs, e.drain.close())
		errs = append(errs, e.journal.Close())
	}
	e.loseHeld()
	e.out.close()
	for _, s := range e.allStreams() {
		s.mu.Lock()
		errs = append(errs, s.store.Close())
		s.mu.Unlock()
	}
	e.closeTrash()
	if e.table != nil {
		errs = append(errs, e.table.Close())
	}
	return errors.Join(errs...)
}

const (
	// requestGrace is how long Close waits for requests that are being
	// answered, closeTimeout how long for the journal.
	requestGrace = 5 * time.Second
	closeTimeout = 30 * time.Second
)

func (e *Engine) accounts() []*account {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]*account, 0, len(e.mu.accounts))
	for _, a := range e.mu.accounts {
		all = append(all, a)
	}
	return all
}

// allStreams are in the order in which they were made.
func (e *Engine) allStreams() []*stream {
	e.mu.RLock()
	all := make([]*stream, 0, len(e.mu.streams))
	for _, s := range e.mu.streams {
		all = append(all, s)
	}
	e.mu.RUnlock()
	slices.SortFunc(all, func(a, b *stream) int { return cmp.Compare(a.incarnation, b.incarnation) })
	return all
}

func (e *Engine) stream(incarnation uint64) *stream {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.mu.streams[incarnation]
}

// account finds an account or makes room for it.
func (e *Engine) account(name string) *account {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.mu.accounts[name]
	if a == nil {
		a = newAccount(e, name)
		e.mu.accounts[name] = a
	}
	return a
}

// EnableAccount gives an account JetStream: its streams begin to take
// messages and its API begins to answer.
func (e *Engine) EnableAccount(b Bus) error {
	return e.account(b.Account()).enable(b)
}

// DisableAccount stops an account's streams and API. What they hold stays.
func (e *Engine) DisableAccount(name string) { e.account(name).disable() }

func (e *Engine) logFor(s asset.Storage) Log {
	if s == asset.MemoryStorage {
		return e.mem
	}
	return e.journal
}

func usageIndex(memory bool) int {
	if memory {
		return 1
	}
	return 0
}

// random is the source of subject transforms.
func (e *Engine) random(n int) int {
	e.rand.Lock()
	defer e.rand.Unlock()
	return e.rand.IntN(n)
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// token makes a random name of n characters.
func (e *Engine) token(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = base62[e.random(len(base62))]
	}
	return string(b)
}
