package jetstream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/edgestore"
)

// stream is one stream. Publishing to it (publish.go) reads only the view;
// everything else changes under mu when an operation is applied (apply.go).
type stream struct {
	// Fixed at construction.
	e           *Engine
	acct        *account
	name        string
	incarnation uint64
	created     int64            // nanoseconds since 1970
	line        *timeline        // of its stamps
	chain       *edgestore.Chain // of the log; nil in memory
	watch       *storeWatch      // nil in memory
	head        *head            // recovery: what the catalogue says of the store, when it has less

	view atomic.Pointer[streamView]

	// mu is held for writing while operations are applied, for reading by
	// whoever must not see half of one.
	mu sync.RWMutex
	// Guarded by mu.
	store     edgestore.Store
	last      uint64 // sequence of the newest message ever stored
	lastMsgID []byte
	dedup     *dedup          // nil: no message had an id
	applied   edgestore.LSN   // of the newest operation applied
	skipUpTo  edgestore.LSN   // recovery: the store has these already
	states    []consumerState // recovery: of the store that was put aside
	dirtyFrom edgestore.LSN   // of the oldest operation that is not in the store's files; 0 none
	failed    error           // the store refused: nothing is accepted any more
	stoppedAt edgestore.LSN   // of the first operation that was not applied therefore; 0 none
	memory    bool            // fixed at construction
	deleted   bool
	role      role
	auxDirty  auxDirty
	// wounded: operations of it are lost, and the recovery takes the rest as
	// wounds say.
	wounded bool
	// guessed: the operation that is applied was decided without a message id that
	// could not be read.
	guessed bool
	// identified: the store says whose it is.
	identified bool
	// done is the chain behind the newest operation applied, noted what the notes
	// say that are not applied yet: last is the place of done and noted. notes are
	// those that the log does not have yet: see chain.go.
	done  edgestore.Chain
	noted int64
	notes []note
	// unsure are the notes that are not durable yet, and held the answers that
	// wait for them, both oldest first.
	unsure    []note
	held      []heldAnswer
	sealed    *sealedStream // nil: what was sealed is flushed
	wounds    notesOf
	parted    []*member           // volatile ones that went with the lead and are still on the bus
	positions map[string]position // by source
	volatiles uint64              // operations of consumers that were not logged
	expiries  *expiries           // nil: no message has a TTL
	agedUpTo  uint64              // below, only messages that live for ever are above their max_age
	subjects  subjectNames
	fx        *effects  // of the step under way; nil: none is
	in        *incoming // the message being applied; nil before the first
	consumers consumers
	clock     clockState
	newest    int64 // stamp of a message; those of mirrored ones do not count

	// stopped is failed for whoever does not hold mu: what comes now is refused, and
	// not kept in the log for a restart.
	stopped atomic.Pointer[apierror.Error]

	// bound is the first sequence that depends on a note which is not durable yet:
	// consumers get none from there on. 0: no bound. Changed under mu.
	bound atomic.Uint64

	idRoom   roomWaiter  // for publishers that wait for room for message ids
	idsFull  atomic.Bool // no more message ids are taken until some are written
	expiring atomic.Bool // an opExpire is on its way
	moving   atomic.Bool // an opClockMove is on its way
	busStale atomic.Bool // it has another role, which is not done on the bus yet
	leave    atomic.Bool // it lost the lead: what is on the bus for it has to go first
	// sweepAgain is set when messages that nobody needs could not be looked for.
	sweepAgain  atomic.Bool
	sweeping    atomic.Bool // that is being tried again
	putOffSaid  minutely    // that reads fail
	refusedSaid minutely    // that the log refuses

	// releasing counts messages whose deletion is decided and not applied yet.
	releasing atomic.Int64
	releases  atomic.Pointer[releases] // see stream.ongoing

	mirrored atomic.Uint64 // clock.mirrored, for whoever does not hold mu

	// changes is held by whoever changes the stream's consumers, from the
	// check to the answer.
	changes sync.Mutex

	// attached is guarded by acct.changes.
	attached []attachment
	direct   []func()
	origins  origins.Set
}

// sealedStream is what the catalogue is told of a stream once its store is flushed:
// how far it is, and rows of its consumers.
type sealedStream struct {
	head head
	rows []edgestore.Aux
}

// log is where its operations go.
func (s *stream) log() Log {
	if s.memory {
		return s.e.mem
	}
	return s.e.journal
}

// ttls are made with the first message that has one.
func (s *stream) ttls() *expiries {
	if s.expiries == nil {
		s.expiries = new(expiries)
	}
	return s.expiries
}

type attachment struct {
	subject string
	cancel  func()
}

// auxDirty says which values beside the messages changed since the last seal.
type auxDirty struct{ config, lastMsgID, positions bool }

// streamView is what publishers need to know of a stream. It is immutable.
type streamView struct {
	cfg       *asset.StreamConfig
	transform *subject.Transform
	republish *subject.Transform
	ackPrefix []byte // {"stream":"S","domain":"D","seq":
	maxMsg    int    // -1 for no limit
}

func newStreamView(cfg *asset.StreamConfig, domain string) (*streamView, error) {
	v := &streamView{cfg: cfg, maxMsg: int(cfg.MaxMsgSize)}
	var err error
	if t := cfg.SubjectTransform; t != nil {
		if v.transform, err = asset.NewTransform(t.Source, t.Destination); err != nil {
			return nil, fmt.Errorf("stream %q: subject transform: %w", cfg.Name, err)
		}
	}
	if r := cfg.Republish; r != nil {
		if v.republish, err = asset.NewTransform(r.Source, r.Destination); err != nil {
			return nil, fmt.Errorf("stream %q: republish: %w", cfg.Name, err)
		}
	}
	v.ackPrefix = api.AckPrefix(cfg.Name, domain)
	return v, nil
}

// subjectNames keeps the strings of subjects seen lately, so that a message on
// one of them costs no allocation.
type subjectNames struct{ m map[string]string }

const maxSubjectNames = 4096

func (n *subjectNames) get(b []byte) string {
	if s, ok := n.m[string(b)]; ok {
		return s
	}
	if n.m == nil || len(n.m) >= maxSubjectNames {
		n.m = make(map[string]string)
	}
	s := string(b)
	n.m[s] = s
	return s
}

// newStream makes a stream over an opened store. cfg, which must not change
// afterwards, is what it was created with, decoded; what the store knows beside
// its messages is newer and wins.
func newStream(e *Engine, a *account, c streamCreate, cfg *asset.StreamConfig, st edgestore.Store, w *storeWatch) (_ *stream, err error) {
	s := &stream{
		e:           e,
		acct:        a,
		name:        cfg.Name,
		incarnation: c.incarnation,
		created:     c.created,
		memory:      cfg.Storage == asset.MemoryStorage,
		store:       st,
		watch:       w,
		line:        e.line,
	}
	if s.memory {
		s.line = e.local
	}
	s.consumers.s = s
	s.skipUpTo = st.Applied()
	s.applied = s.skipUpTo
	if cfg, err = s.loadAux(cfg, c.config); err != nil {
		return nil, fmt.Errorf("stream %q: %w", s.name, err)
	}
	if err := s.openIDs(); err != nil {
		return nil, fmt.Errorf("stream %q: %w", s.name, err)
	}
	if err := s.setConfig(cfg); err != nil {
		return nil, err
	}
	s.last = st.State().LastSeq
	s.mirrored.Store(s.clock.mirrored)
	if at := st.State().LastTime; s.last > 0 && !s.foreign(s.last) && !at.IsZero() {
		s.newest = at.UnixNano()
	}
	if !s.memory {
		if s.done = st.Chain(); s.done.Seat == 0 {
			// The first operation is behind what the stream begins with, or, when
			// only messages were left of its store, behind those.
			s.done.Place = s.last
		}
		s.chain = &edgestore.Chain{Seat: s.done.Seat, Place: s.done.Place}
		s.noted = int64(s.counted()) - int64(s.done.Place)
	}
	return s, nil
}

// Aux keys of a stream beside message ids and consumers.
const (
	auxConfig    = "config"
	auxLastMsgID = "lastid"
	auxIdentity  = "identity" // as the catalogue's row
	auxPosition  = "source/"
)

// loadAux reads what the store keeps beside the messages; cfg, which encoded
// says too, is used when it has no other configuration.
func (s *stream) loadAux(cfg *asset.StreamConfig, encoded []byte) (*asset.StreamConfig, error) {
	err := s.store.Aux("", func(key string, value []byte) (err error) {
		switch {
		case key == auxConfig && bytes.Equal(value, encoded):
		case key == auxConfig:
			cfg, err = s.e.configs.Decode(value)
		case key == auxClock:
			err = s.clock.load(value)
		case key == auxIdentity:
			s.identified = true
		case key == auxLastMsgID:
			s.lastMsgID = bytes.Clone(value)
		case key == auxIDs, strings.HasPrefix(key, auxIDRow), strings.HasPrefix(key, auxOldIDs):
			err = s.ids().load(key, value)
		case strings.HasPrefix(key, auxPosition):
			var at position
			if at, err = readPosition(value); err == nil {
				s.setPosition(strings.TrimPrefix(key, auxPosition), at)
			}
		case strings.HasPrefix(key, auxExpiry):
			err = s.ttls().load(key, value)
		case key == auxNevers:
			s.ttls().nevers = true
		case strings.HasPrefix(key, auxConsumer):
			err = s.consumers.load(key, value)
		}
		return err
	})
	return cfg, err
}

// setConfig makes cfg the stream's configuration. cfg must not change
// afterwards.
func (s *stream) setConfig(cfg *asset.StreamConfig) error {
	v, err := newStreamView(cfg, s.e.cfg.Domain)
	if err != nil {
		return err
	}
	s.view.Store(v)
	s.dedup.setWindow(cfg.Duplicates)
	s.weighIDs()
	return nil
}

func (s *stream) config() *asset.StreamConfig { return s.view.Load().cfg }

// seal fixes the state of now as what the next flush of the store writes. It
// returns whether there is anything to flush.
func (s *stream) seal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirtyFrom == 0 || s.deleted || s.failed != nil {
		return false
	}
	aux := s.dedup.seal()
	s.weighIDs()
	if s.auxDirty.config {
		aux = append(aux, edgestore.Aux{Key: auxConfig, Value: asset.Encode(s.config())})
	}
	if s.auxDirty.lastMsgID {
		aux = append(aux, edgestore.Aux{Key: auxLastMsgID, Value: slices.Clone(s.lastMsgID)})
	}
	if s.auxDirty.positions {
		for source, at := range s.positions {
			aux = append(aux, edgestore.Aux{Key: auxPosition + source, Value: at.appendAux(nil)})
		}
	}
	if s.clock.dirty {
		aux = append(aux, edgestore.Aux{Key: auxClock, Value: s.clock.append(nil)})
		s.clock.dirty = false
	}
	s.auxDirty = auxDirty{}
	if !s.identified {
		aux = append(aux, edgestore.Aux{Key: auxIdentity, Value: s.row()})
		s.identified = true
	}
	if s.expiries != nil {
		aux = append(aux, s.expiries.seal()...)
	}
	aux = s.consumers.seal(aux)
	st := s.store.Index()
	rows := s.consumers.changedRows()
	if s.sealed != nil { // and not flushed
		rows = append(s.sealed.rows, rows...)
	}
	s.sealed = &sealedStream{head{s.applied, s.done, st.FirstSeq, s.last}, rows}
	s.store.Seal(s.applied, s.done, aux)
	return true
}

// undrained is the oldest operation that a restart would need from the
// journal; 0 when the store's files have everything.
func (s *stream) undrained() edgestore.LSN {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.undrainedLocked()
}

func (s *stream) undrainedLocked() edgestore.LSN {
	if s.dirtyFrom == 0 {
		return s.stoppedAt // a stream may stop when its files have all before
	}
	return s.dirtyFrom
}

// flushed is called after a flush that followed a seal. It returns how far the
// stream is in its files and what the catalogue has to be told of its consumers,
// if that is all that was sealed.
func (s *stream) flushed() (h head, rows []edgestore.Aux, ok bool) {
	var gone []*edgestore.IDRun
	defer func() { s.removeIDs(gone) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	durable := s.store.Applied()
	if durable >= s.applied {
		s.dirtyFrom = 0
	} else if s.dirtyFrom != 0 && durable >= s.dirtyFrom {
		s.dirtyFrom = durable + 1
	}
	sealed := s.sealed
	if sealed == nil || durable < sealed.head.applied {
		return head{}, nil, false
	}
	s.sealed = nil
	gone = s.dedup.flushed()
	return sealed.head, sealed.rows, true
}
