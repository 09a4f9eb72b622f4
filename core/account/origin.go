package account

import (
	"math/rand/v2"

	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

const (
	// maxCached bounds what one Origin remembers, of all accounts together: each
	// plan counts one, and one more for each subscription that it holds on its own.
	maxCached = 4096

	// alwaysCached is up to where an Origin remembers every subject at once.
	alwaysCached = 64

	// maxSides is of how many accounts it remembers something.
	maxSides = 8
)

// Origin is one publisher: a connection, a link, an internal worker. It holds
// the compiled matches of that publisher and the sinks it has delivered to
// since the last Flush. It is used by one goroutine.
type Origin struct {
	sink    Sink // nil for internal publishers
	role    Role
	cluster string
	rng     uint64

	home   side    // of the first account that it published to
	far    []*side // of the others
	oldest int     // of far, when it is full
	cached int
	missed *missed  // beyond alwaysCached
	depth  int      // of crossings, while a message is routed
	heard  bool     // by a crossing without a passage, same
	asker  *Account // of the first crossing, same
	onWay  pool     // what services change a message to, same

	following []following // the message that is being routed

	describe func(share bool) string // see Describe

	// epoch counts Flushes: a plan that was used in this epoch has its plain
	// sinks in touched already.
	epoch   uint64
	touched []Sink
	gates   []<-chan struct{}
}

// side is what an Origin has of one account. Messages that cross into another
// account find their plans there, beside those of the account they come from.
type side struct {
	account *Account
	plans   map[string]*plan
	last    *plan                // found last: who publishes often stays with a subject
	once    plan                 // of a subject that is not remembered
	search  subject.Search[*Sub] // what once was made from
	busy    bool                 // once is being routed by
	maps    *Mappings
	mapped  map[string]*mappedSubject

	inMsgs, inBytes   int64
	outMsgs, outBytes int64
}

// NewOrigin makes a publisher. sink is the publisher's own sink, which a link
// is never sent its own messages on; nil for internal publishers. cluster is
// the cluster name of the peer of a link.
func NewOrigin(sink Sink, role Role, cluster string) *Origin {
	o := &Origin{sink: sink, role: role, cluster: cluster, epoch: 1}
	o.Seed(rand.Uint64())
	return o
}

// Seed fixes the random choices among queue members and weighted mappings.
func (o *Origin) Seed(seed uint64) { o.rng = seed | 1 }

// Sink is the publisher's own sink, or nil.
func (o *Origin) Sink() Sink { return o.sink }

// Describe sets what services of other accounts hear of the publisher: f gives JSON,
// with share all of it. It is called for each question, on the publisher's goroutine.
func (o *Origin) Describe(f func(share bool) string) { o.describe = f }

// random is uniform enough in [0, n): xorshift64*, high bits.
func (o *Origin) random(n int) int {
	x := o.rng
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	o.rng = x
	return int((x * 2685821657736338717 >> 33) % uint64(n))
}

// Gated is a sink that can ask publishers to wait: Gate returns a channel that
// is closed when there is room again, or nil when there is room.
type Gated interface{ Gate() <-chan struct{} }

// Prompt is a sink that can write little things at once, on the caller's
// goroutine and without waiting, instead of waking its writer.
type Prompt interface{ FlushNow() }

// maxPrompt is how many sinks of one Flush may be prompt. With more, their
// writers are woken and work side by side.
const maxPrompt = 4

// Flush wakes each sink touched since the last Flush once, and adds what was
// counted to the account.
func (o *Origin) Flush() {
	o.gates = o.gates[:0]
	if len(o.touched) > 0 {
		few := len(o.touched) <= maxPrompt
		for i, s := range o.touched {
			if p, ok := s.(Prompt); few && ok {
				p.FlushNow()
			} else {
				s.Flush()
			}
			if o.role == RoleClient {
				if g, ok := s.(Gated); ok {
					if c := g.Gate(); c != nil {
						o.gates = append(o.gates, c)
					}
				}
			}
			o.touched[i] = nil
		}
		o.touched = o.touched[:0]
		o.epoch++
	}
	o.home.settle()
	for _, s := range o.far {
		s.settle()
	}
}

// settle adds what was counted to the account.
func (s *side) settle() {
	if s.inMsgs == 0 {
		return
	}
	a := s.account
	a.inMsgs.Add(s.inMsgs)
	a.inBytes.Add(s.inBytes)
	if s.outMsgs > 0 {
		a.outMsgs.Add(s.outMsgs)
		a.outBytes.Add(s.outBytes)
	}
	s.inMsgs, s.inBytes, s.outMsgs, s.outBytes = 0, 0, 0, 0
}

// Gates are the gates that were closed at the last Flush: receivers that a
// client who publishes should wait for, a little. Valid until the next Flush.
func (o *Origin) Gates() []<-chan struct{} { return o.gates }

// touch notes a sink for Flush. Twice is harmless, so only the newest few
// are looked at.
func (o *Origin) touch(s Sink) {
	for i := len(o.touched) - 1; i >= 0 && i >= len(o.touched)-4; i-- {
		if o.touched[i] == s {
			return
		}
	}
	o.touched = append(o.touched, s)
}

// side finds or makes that of a. With too many accounts the one that came first
// is forgotten, unless a message is being routed, which may need it.
func (o *Origin) side(a *Account) *side {
	for _, s := range o.far {
		if s.account == a {
			return s
		}
	}
	if o.home.account == nil {
		o.home.begin(a)
		return &o.home
	}
	s := &side{}
	s.begin(a)
	if len(o.far) < maxSides-1 || o.depth > 0 {
		o.far = append(o.far, s)
		return s
	}
	o.drop(o.far[o.oldest])
	o.far[o.oldest] = s
	o.oldest = (o.oldest + 1) % len(o.far)
	return s
}

func (s *side) begin(a *Account) {
	s.account, s.plans = a, make(map[string]*plan)
}

// drop ends what is remembered of an account. Targets that still hold the side
// see that it is nobody's.
func (o *Origin) drop(gone *side) {
	gone.settle()
	for _, p := range gone.plans {
		o.cached -= p.weight
	}
	*gone = side{}
}

func (s *side) count(m *wire.Msg, n int) {
	size := int64(len(m.Header) + len(m.Body))
	s.inMsgs++
	s.inBytes += size
	s.outMsgs += int64(n)
	s.outBytes += size * int64(n)
}
