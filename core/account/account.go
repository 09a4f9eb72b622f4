package account

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/subject"
)

// ErrBadSubject says that a subscription has an invalid subject.
var ErrBadSubject = errors.New("invalid subject")

// Account is one tenant. All methods may be called from any goroutine.
type Account struct {
	name  string
	index *subject.Index[*Sub]

	mappings atomic.Pointer[Mappings]
	present  present

	halfRead          atomic.Pointer[time.Time] // see HalfRead
	inMsgs, inBytes   atomic.Int64
	outMsgs, outBytes atomic.Int64
	subs              atomic.Int64

	// mu orders changes of interest and their events. Watchers are called
	// under it: a link must have heard of a subscription before Subscribe
	// returns, or a request could overtake the interest in its reply.
	mu struct {
		sync.Mutex
		watchers []*watching
		watched  map[string][]*subjectWatch
	}
}

// New makes an account without interest.
func New(name string) *Account {
	return &Account{name: name, index: subject.NewIndex[*Sub]()}
}

// HalfRead notes that at that time bytes came over a link of a message that
// takes long and is not whole yet: what the peer sent behind it is not lost,
// but on its way.
func (a *Account) HalfRead(at time.Time) { a.halfRead.Store(&at) }

// HalfReadAt is the newest time given to HalfRead, zero for none.
func (a *Account) HalfReadAt() time.Time {
	if at := a.halfRead.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Name never changes.
func (a *Account) Name() string { return a.name }

// Subscribe adds interest. When it returns, every watcher has seen it.
func (a *Account) Subscribe(s *Sub) error {
	if !subject.Valid(s.Subject) {
		return ErrBadSubject
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.in.Load() != nil {
		return nil
	}
	s.in.Store(a)
	a.index.Insert(s.Subject, s.Queue, s)
	a.subs.Add(s.counts())
	a.notifyLocked(Event{Sub: s, Delta: 1})
	return nil
}

// Unsubscribe takes interest away. A delivery already under way may still
// arrive after it returns. Unknown subscriptions are ignored.
func (a *Account) Unsubscribe(s *Sub) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.in.Load() != a {
		return
	}
	s.in.Store(nil)
	a.index.Remove(s.Subject, s.Queue, s)
	a.subs.Add(-s.counts())
	a.notifyLocked(Event{Sub: s, Delta: -1})
}

// SetWeight changes the number of queue members that s stands for.
func (a *Account) SetWeight(s *Sub, w int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if atomic.SwapInt32(&s.Weight, w) == w || s.in.Load() != a {
		return
	}
	a.notifyLocked(Event{Sub: s, Delta: 0})
}

// HasInterest reports whether anyone is subscribed to the literal subject.
func (a *Account) HasInterest(subject string) bool { return a.index.HasInterest(subject) }

// Subscriptions is the number of subscriptions now, without those of RoleLocal and RoleKept.
func (a *Account) Subscriptions() int64 { return a.subs.Load() }

// Traffic is what was routed since the start. Bytes are headers and payload.
type Traffic struct{ InMsgs, InBytes, OutMsgs, OutBytes int64 }

// Traffic counts what publishers have flushed.
func (a *Account) Traffic() Traffic {
	return Traffic{
		InMsgs: a.inMsgs.Load(), InBytes: a.inBytes.Load(),
		OutMsgs: a.outMsgs.Load(), OutBytes: a.outBytes.Load(),
	}
}

// EachPlain calls f with each subscription without a queue group that a literal
// subject has now. f must not change the interest of the account.
func (a *Account) EachPlain(subject []byte, f func(*Sub)) {
	for _, s := range a.index.Match(subject).Plain {
		f(s)
	}
}

// Listeners is how many subscriptions messages on a literal subject reach, with queue
// those of that queue group. Those of RoleLocal do not count.
func (a *Account) Listeners(literal, queue string) (n int) {
	r := a.index.Match([]byte(literal))
	if queue == "" {
		for _, s := range r.Plain {
			n += int(s.counts())
		}
	}
	for i := range r.Queues {
		for _, s := range r.Queues[i].Members {
			if queue == "" || queue == r.Queues[i].Name {
				n += s.Members()
			}
		}
	}
	return n
}

// Interest is how many subscriptions the index has now, those of the server itself
// too, and how often one came or went.
func (a *Account) Interest() (now, changes uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return uint64(a.index.Len()), a.index.Generation()
}
