package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
)

const (
	typePrefix = "io.nats.jetstream.api.v1."

	// maxQueue is how many requests wait, and maxBytes how large they are
	// together; at the limit new ones are dropped.
	maxQueue = 10000
	maxBytes = 16 << 20

	// HdrRequiredLevel is the API level that a request asks for.
	HdrRequiredLevel = "Nats-Required-Api-Level"
)

// Subjects is where requests arrive. DIRECT.GET and CONSUMER.MSG.NEXT are
// not among them: only what exists subscribes to those, so that a client learns
// at once, by "no responders", that there is nothing.
func Subjects() []string {
	return []string{
		"$JS.API.INFO",
		"$JS.API.STREAM.>",
		"$JS.API.CONSUMER.CREATE.>",
		"$JS.API.CONSUMER.DURABLE.CREATE.>",
		"$JS.API.CONSUMER.NAMES.*",
		"$JS.API.CONSUMER.LIST.*",
		"$JS.API.CONSUMER.INFO.*.*",
		"$JS.API.CONSUMER.DELETE.*.*",
		"$JS.API.CONSUMER.PAUSE.*.*",
		"$JS.API.CONSUMER.UNPIN.*.*",
		"$JS.API.CONSUMER.LEADER.STEPDOWN.*.*",
	}
}

// Options are what a Server needs to know.
type Options struct {
	Level              int           // of the API that is served
	MaxDuplicates      time.Duration // longest window for message ids, 0 for any
	Strict             bool          // refuse members of requests that are not known
	ServerName, Domain string
	Version            string
	Logger             *slog.Logger

	Now   func() int64       // nanoseconds that only go on
	Clock func() time.Time   // as advisories show it
	Token func(n int) string // n random letters

	// Outlet is called once for each goroutine that answers.
	Outlet func() Outlet
	// DirectGet answers a direct get: with messages, and none of them in JSON.
	DirectGet func(r *Request, out Outlet)
}

// Server answers requests on a few goroutines: an answer may wait for the disk,
// and the goroutine that routes messages must not.
//
// Reads have goroutines of their own: they never wait for the disk to sync, and
// must not wait for those that do.
type Server struct {
	o     Options
	queue chan *Request
	reads chan *Request
	wg    sync.WaitGroup
	once  sync.Once
	bytes atomic.Int64 // of what waits
	// warned is when a dropped request was logged last.
	warned atomic.Int64
	quit   chan struct{}
}

// Counts are the requests of an account.
type Counts struct {
	// Total are those that were answered, Errors those of them that were refused.
	// A message that was read is in neither.
	Total, Errors atomic.Uint64
	Inflight      atomic.Uint64
}

// Request is one request, copied from the message it came in.
type Request struct {
	Account Account
	Subject string
	Rest    string // Subject without "$JS.API."
	Reply   string
	Header  []byte
	Body    []byte
	job     func() // in place of all others: work of the engine itself
	settle  Stream // to be settled before it is read from; nil for none

	answerHeader []byte // of the answer, set by its handler; nil for none
}

// size is about what a request takes while it waits.
func (r *Request) size() int64 {
	const overhead = 256
	return overhead + int64(len(r.Subject)+len(r.Reply)+len(r.Header)+len(r.Body))
}

// New makes a Server, which takes requests and begins to answer with Start.
func New(o Options) *Server {
	return &Server{
		o:     o,
		queue: make(chan *Request, maxQueue),
		reads: make(chan *Request, maxQueue),
		quit:  make(chan struct{}),
	}
}

// Start begins to answer, with that many goroutines, and as many for reads.
func (s *Server) Start(workers int) {
	s.wg.Add(2 * workers)
	for range workers {
		go s.run(s.queue)
		go s.run(s.reads)
	}
}

// Do runs a job of the engine's own on a worker. It reports whether there was
// room for it.
func (s *Server) Do(job func()) bool {
	select {
	case s.queue <- &Request{job: job}:
		return true
	default:
		return false
	}
}

// Request takes a request on the goroutine that routes it; it does not wait. m is
// borrowed.
func (s *Server) Request(a Account, m *wire.Msg) {
	if s.bytes.Load() > maxBytes {
		s.dropped(a, m)
		return
	}
	r := copyRequest(a, m)
	queue := s.queue
	if readsFrom(r.Rest) != "" || looks(r.Rest) {
		queue = s.reads
	}
	s.bytes.Add(r.size())
	select {
	case queue <- r:
	default:
		s.bytes.Add(-r.size())
		s.dropped(a, m)
	}
}

// dropped tells of it once a second at most: whoever asks too much asks often.
func (s *Server) dropped(a Account, m *wire.Msg) {
	now := s.o.Now()
	if last := s.warned.Load(); now-last > int64(time.Second) && s.warned.CompareAndSwap(last, now) {
		s.o.Logger.Warn("api requests dropped: too many are waiting", "account", a.Name(), "subject", string(m.Subject))
	}
}

func copyRequest(a Account, m *wire.Msg) *Request {
	r := &Request{
		Account: a,
		Subject: string(m.Subject),
		Reply:   string(m.Reply),
		Header:  bytes.Clone(m.Header),
		Body:    bytes.Clone(m.Body),
	}
	r.Rest = strings.TrimPrefix(r.Subject, asset.APIPrefix)
	return r
}

func (s *Server) run(queue <-chan *Request) {
	defer s.wg.Done()
	out := s.o.Outlet()
	for {
		select {
		case <-s.quit:
			return
		case r := <-queue:
			s.do(r, out)
		}
	}
}

// do works on what was taken from a queue.
func (s *Server) do(r *Request, out Outlet) {
	if r.job != nil {
		r.job()
		return
	}
	if r.settle != nil {
		r.settle.Settle()
	} else if s.later(r) {
		return
	}
	s.bytes.Add(-r.size())
	if strings.HasPrefix(r.Rest, "DIRECT.GET.") {
		s.o.DirectGet(r, out)
	} else {
		s.answer(r, out)
	}
	out.Flush()
}

// Next does one thing that waits, if anything does, on the goroutine that calls it:
// for whoever does not call Start, to have all of it in the order that he says.
func (s *Server) Next(out Outlet) bool {
	for _, queue := range [...]chan *Request{s.queue, s.reads} {
		select {
		case r := <-queue:
			s.do(r, out)
			return true
		default:
		}
	}
	return false
}

// readsFrom is the stream whose messages a request reads or counts, "" that it does
// not.
func readsFrom(rest string) string {
	for _, verb := range [...]string{"DIRECT.GET.", "STREAM.MSG.GET.", "STREAM.INFO."} {
		if name, ok := strings.CutPrefix(rest, verb); ok {
			name, _, _ = strings.Cut(name, ".")
			return name
		}
	}
	return ""
}

// looks reports whether a request asks for what is known at once, and for no
// messages.
func looks(rest string) bool {
	for _, verb := range [...]string{"CONSUMER.INFO.", "CONSUMER.NAMES.", "CONSUMER.LIST."} {
		if strings.HasPrefix(rest, verb) {
			return true
		}
	}
	return rest == "INFO" || rest == "STREAM.NAMES" || rest == "STREAM.LIST"
}

// later has a read wait where it may, for what was acknowledged before it: whoever
// asks must not see that.
func (s *Server) later(r *Request) bool {
	name := readsFrom(r.Rest)
	if name == "" {
		return false
	}
	x, err := r.Account.Stream(name)
	if err != nil || !x.Unsettled() {
		return false
	}
	r.settle = x
	select {
	case s.queue <- r:
		return true
	default:
		return false
	}
}

// Close ends the goroutines, and waits for what they are at. What waits to be
// answered is not.
func (s *Server) Close() {
	s.once.Do(func() { close(s.quit) })
	s.wg.Wait()
}

// unfitAnswer stands for an answer that is too long for the link to whoever
// asked.
func unfitAnswer(text []byte, why string) []byte {
	var r response
	_ = json.Unmarshal(text, &r) // we wrote it
	b, _ := json.Marshal(&response{Type: r.Type, Error: &apierror.Error{Code: 413, ErrCode: apierror.ErrMessageTooLarge.ErrCode, Description: "answer not sent: " + why}})
	return b
}

// answer runs the handler of a request and sends what it says.
func (s *Server) answer(r *Request, out Outlet) {
	n := r.Account.Counts()
	n.Inflight.Add(1)
	v, failed := s.handle(r)
	n.Inflight.Add(^uint64(0))
	if v == nil {
		return
	}
	// Reading a message is counted only when it fails.
	if failed || !strings.HasPrefix(r.Rest, "STREAM.MSG.GET.") {
		n.Total.Add(1)
		if failed {
			n.Errors.Add(1)
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		s.o.Logger.Error("api answer", "subject", r.Subject, "err", err)
		return
	}
	if r.Reply != "" {
		m := wire.Msg{Subject: []byte(r.Reply), Header: r.answerHeader, Body: text}
		if out.Send(r.Account, &m); m.Unfit != "" {
			out.Send(r.Account, &wire.Msg{Subject: m.Subject, Header: m.Header, Body: unfitAnswer(text, m.Unfit)})
		}
	}
	if !strings.HasPrefix(r.Rest, "STREAM.MSG.GET.") {
		s.audit(r, text, out)
	}
}

// handle finds the handler by the subject. A nil answer is silence.
func (s *Server) handle(r *Request) (v any, failed bool) {
	h, typ, arg := findHandler(r.Rest)
	if h == nil {
		return nil, false
	}
	base := response{Type: typePrefix + typ}
	if !LevelMet(r.Header, s.o.Level) && !asksToSource(r) {
		base.Error = errAPILevel
		return base, true
	}
	if name, _, _ := strings.Cut(arg, "."); !r.Account.Answers(name) {
		return nil, false
	}
	v, err := h(s, r, base, arg)
	return v, err != nil
}

// NotEnabled is the answer to a request in an account without JetStream, nil where
// there is none.
func NotEnabled(subject string) []byte {
	h, typ, _ := findHandler(strings.TrimPrefix(subject, asset.APIPrefix))
	if h == nil {
		return nil
	}
	b, _ := json.Marshal(&response{Type: typePrefix + typ, Error: errNotEnabled})
	return b
}

// LevelMet reports whether a server whose API is at a level may take a request,
// which may ask for one in its header.
func LevelMet(header []byte, level int) bool {
	if len(header) == 0 {
		return true
	}
	want := wire.HeaderGet(header, HdrRequiredLevel)
	if want == nil {
		return true
	}
	n, err := strconv.Atoi(string(want))
	return err == nil && n <= level
}

// handler answers one kind of request; arg is the part of the subject
// behind its verb. It returns the answer, and the error in it.
type handler func(s *Server, r *Request, base response, arg string) (any, *apierror.Error)

// findHandler goes through the verbs. arg has as many tokens as the verb wants.
func findHandler(rest string) (h handler, typ, arg string) {
	if rest == "INFO" {
		return (*Server).accountInfo, "account_info_response", ""
	}
	for _, x := range verbs() {
		arg, ok := strings.CutPrefix(rest, x.verb)
		if !ok || x.tokens == 0 && arg != "" {
			continue
		}
		if n := strings.Count(arg, ".") + 1; x.tokens > 0 && n != x.tokens || x.tokens < 0 && n < -x.tokens {
			continue
		}
		return x.h, x.typ, arg
	}
	return nil, "", ""
}

// verb is one kind of request. tokens is how many tokens follow the verb;
// a negative number is at least that many.
type verb struct {
	verb   string
	tokens int
	typ    string
	h      handler
}

func verbs() []verb {
	return []verb{
		{"STREAM.CREATE.", 1, "stream_create_response", (*Server).streamCreate},
		{"STREAM.UPDATE.", 1, "stream_update_response", (*Server).streamUpdate},
		{"STREAM.NAMES", 0, "stream_names_response", (*Server).streamNames},
		{"STREAM.LIST", 0, "stream_list_response", (*Server).streamList},
		{"STREAM.INFO.", 1, "stream_info_response", (*Server).streamInfo},
		{"STREAM.DELETE.", 1, "stream_delete_response", (*Server).streamDelete},
		{"STREAM.PURGE.", 1, "stream_purge_response", (*Server).streamPurge},
		{"STREAM.MSG.GET.", 1, "stream_msg_get_response", (*Server).msgGet},
		{"STREAM.MSG.DELETE.", 1, "stream_msg_delete_response", (*Server).msgDelete},
		{"STREAM.SNAPSHOT.", 1, "stream_snapshot_response", unsupported(errStreamSnapshot, "snapshots")},
		{"STREAM.RESTORE.", 1, "stream_restore_response", unsupported(errStreamRestore, "restores")},
		{"STREAM.LEADER.STEPDOWN.", 1, "stream_leader_stepdown_response", clusterOnly},
		{"STREAM.PEER.REMOVE.", 1, "stream_remove_peer_response", clusterOnly},
		{"CONSUMER.CREATE.", -1, "consumer_create_response", (*Server).consumerCreate},
		{"CONSUMER.DURABLE.CREATE.", 2, "consumer_create_response", (*Server).durableCreate},
		{"CONSUMER.NAMES.", 1, "consumer_names_response", (*Server).consumerNames},
		{"CONSUMER.LIST.", 1, "consumer_list_response", (*Server).consumerList},
		{"CONSUMER.INFO.", 2, "consumer_info_response", (*Server).consumerInfo},
		{"CONSUMER.DELETE.", 2, "consumer_delete_response", (*Server).consumerDelete},
		{"CONSUMER.PAUSE.", 2, "consumer_pause_response", (*Server).consumerPause},
		{"CONSUMER.UNPIN.", 2, "consumer_unpin_response", (*Server).consumerUnpin},
		{"CONSUMER.LEADER.STEPDOWN.", 2, "consumer_leader_stepdown_response", clusterOnly},
	}
}

// clusterOnly answers what a server alone can't do.
func clusterOnly(_ *Server, _ *Request, base response, _ string) (any, *apierror.Error) {
	base.Error = errClusterRequired
	return base, base.Error
}

// unsupported answers what this server does not do.
func unsupported(code *apierror.Error, what string) handler {
	return func(_ *Server, _ *Request, base response, _ string) (any, *apierror.Error) {
		base.Error = code.With("%s: %s are not supported by this server", code.Description, what)
		return base, base.Error
	}
}
