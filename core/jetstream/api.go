package jetstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
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

	// maxAPIQueue is how many requests wait, and maxAPIBytes how large they are
	// together; at the limit new ones are dropped.
	maxAPIQueue = 10000
	maxAPIBytes = 16 << 20
)

// apiSubjects is where requests arrive. DIRECT.GET and CONSUMER.MSG.NEXT are
// not among them: only what exists subscribes to those, so that a client learns
// at once, by "no responders", that there is nothing.
var apiSubjects = []string{
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

// apiPool answers requests on a few goroutines: an answer may wait for the
// disk, and the goroutine that routes messages must not.
//
// Reads have goroutines of their own: they never wait for the disk to sync, and
// must not wait for those that do.
type apiPool struct {
	e     *Engine
	queue chan *apiRequest
	reads chan *apiRequest
	wg    sync.WaitGroup
	once  sync.Once
	bytes atomic.Int64 // of what waits
	// warned is when a dropped request was logged last.
	warned atomic.Int64
	quit   chan struct{}
}

// apiRequest is one request, copied from the message it came in.
type apiRequest struct {
	acct    *account
	subject string
	rest    string // subject without "$JS.API."
	reply   string
	header  []byte
	body    []byte
	job     func() // in place of all others: work of the engine itself

	answerHeader []byte // of the answer, set by its handler; nil for none
}

// size is about what a request takes while it waits.
func (r *apiRequest) size() int64 {
	const overhead = 256
	return overhead + int64(len(r.subject)+len(r.reply)+len(r.header)+len(r.body))
}

func newAPIPool(e *Engine) *apiPool {
	return &apiPool{
		e:     e,
		queue: make(chan *apiRequest, maxAPIQueue),
		reads: make(chan *apiRequest, maxAPIQueue),
		quit:  make(chan struct{}),
	}
}

func (p *apiPool) start(workers int) {
	p.wg.Add(2 * workers)
	for range workers {
		go p.run(p.queue)
		go p.run(p.reads)
	}
}

// do runs a job of the engine's own on a worker. It reports whether there was
// room for it.
func (p *apiPool) do(job func()) bool {
	select {
	case p.queue <- &apiRequest{job: job}:
		return true
	default:
		return false
	}
}

// request takes a request on the goroutine that routes it.
func (p *apiPool) request(a *account, m *wire.Msg) {
	if p.bytes.Load() > maxAPIBytes {
		p.dropped(a, m)
		return
	}
	r := copyRequest(a, m)
	queue := p.queue
	if strings.HasPrefix(r.rest, "DIRECT.GET.") || strings.HasPrefix(r.rest, "STREAM.MSG.GET.") {
		queue = p.reads
	}
	p.bytes.Add(r.size())
	select {
	case queue <- r:
	default:
		p.bytes.Add(-r.size())
		p.dropped(a, m)
	}
}

// dropped tells of it once a second at most: whoever asks too much asks often.
func (p *apiPool) dropped(a *account, m *wire.Msg) {
	now := p.e.now()
	if last := p.warned.Load(); now-last > int64(time.Second) && p.warned.CompareAndSwap(last, now) {
		p.e.logger.Warn("api requests dropped: too many are waiting", "account", a.name, "subject", string(m.Subject))
	}
}

// inactive deletes a consumer that nobody uses any more.
func (p *apiPool) inactive(m *member) {
	job := func() {
		defer m.ending.Store(false)
		if err := p.e.deleteConsumer(m); err != nil && err != errConsumerNotFound {
			p.e.logger.Warn("inactive consumer stays for now", "stream", m.s.name, "consumer", m.name, "err", err)
		}
	}
	if !p.do(job) {
		m.ending.Store(false) // it will say so again
	}
}

func copyRequest(a *account, m *wire.Msg) *apiRequest {
	r := &apiRequest{
		acct:    a,
		subject: string(m.Subject),
		reply:   string(m.Reply),
		header:  bytes.Clone(m.Header),
		body:    bytes.Clone(m.Body),
	}
	r.rest = strings.TrimPrefix(r.subject, asset.APIPrefix)
	return r
}

func (p *apiPool) run(queue <-chan *apiRequest) {
	defer p.wg.Done()
	pubs := new(publishers)
	for {
		select {
		case <-p.quit:
			return
		case r := <-queue:
			if r.job != nil {
				r.job()
				continue
			}
			p.bytes.Add(-r.size())
			if strings.HasPrefix(r.rest, "DIRECT.GET.") {
				p.e.directGet(r, pubs)
			} else {
				p.e.answer(r, pubs)
			}
			pubs.flush()
		}
	}
}

func (p *apiPool) close() {
	p.once.Do(func() { close(p.quit) })
	p.wg.Wait()
}

// response is the head of every answer.
type response struct {
	Type  string          `json:"type"`
	Error *apierror.Error `json:"error,omitempty"`
}

// paged are the members of answers that list.
type paged struct {
	Total  int `json:"total"`
	Offset int `json:"offset"`
	Limit  int `json:"limit"`
}

type successResponse struct {
	response
	Success bool `json:"success,omitempty"`
}

// unfitAnswer stands for an answer that is too long for the link to whoever
// asked.
func unfitAnswer(text []byte, why string) []byte {
	var r response
	_ = json.Unmarshal(text, &r) // we wrote it
	b, _ := json.Marshal(&response{Type: r.Type, Error: &apierror.Error{Code: 413, ErrCode: errMessageTooLarge.ErrCode, Description: "answer not sent: " + why}})
	return b
}

// answer runs the handler of a request and sends what it says.
func (e *Engine) answer(r *apiRequest, pubs *publishers) {
	a := r.acct
	a.apiInflight.Add(1)
	v, failed := e.handle(r)
	a.apiInflight.Add(^uint64(0))
	if v == nil {
		return
	}
	// Reading a message is counted only when it fails.
	if failed || !strings.HasPrefix(r.rest, "STREAM.MSG.GET.") {
		a.apiTotal.Add(1)
		if failed {
			a.apiErrors.Add(1)
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		e.logger.Error("api answer", "subject", r.subject, "err", err)
		return
	}
	if p := pubs.of(a); p != nil && r.reply != "" {
		m := wire.Msg{Subject: []byte(r.reply), Header: r.answerHeader, Body: text}
		if p.Publish(&m); m.Unfit != "" {
			p.Publish(&wire.Msg{Subject: m.Subject, Header: m.Header, Body: unfitAnswer(text, m.Unfit)})
		}
	}
	if !strings.HasPrefix(r.rest, "STREAM.MSG.GET.") {
		e.auditAdvisory(r, text, pubs)
	}
}

// handle finds the handler by the subject. A nil answer is silence.
func (e *Engine) handle(r *apiRequest) (v any, failed bool) {
	h, typ, arg := findHandler(r.rest)
	if h == nil {
		return nil, false
	}
	base := response{Type: typePrefix + typ}
	if !e.levelMet(r.header) && !asksToSource(r) {
		base.Error = errAPILevel
		return base, true
	}
	v, err := h(e, r, base, arg)
	return v, err != nil
}

// levelMet checks the API level that a request asks for.
func (e *Engine) levelMet(header []byte) bool {
	if len(header) == 0 {
		return true
	}
	want := wire.HeaderGet(header, hdrRequiredLevel)
	if want == nil {
		return true
	}
	n, err := strconv.Atoi(string(want))
	return err == nil && n <= e.cfg.APILevel
}

// apiHandler answers one kind of request; arg is the part of the subject
// behind its verb. It returns the answer, and the error in it.
type apiHandler func(e *Engine, r *apiRequest, base response, arg string) (any, *apierror.Error)

// findHandler goes through the verbs. arg has as many tokens as the verb wants.
func findHandler(rest string) (h apiHandler, typ, arg string) {
	if rest == "INFO" {
		return (*Engine).accountInfo, "account_info_response", ""
	}
	for _, x := range apiVerbs() {
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

// apiVerb is one kind of request. tokens is how many tokens follow the verb;
// a negative number is at least that many.
type apiVerb struct {
	verb   string
	tokens int
	typ    string
	h      apiHandler
}

func apiVerbs() []apiVerb {
	return []apiVerb{
		{"STREAM.CREATE.", 1, "stream_create_response", (*Engine).streamCreate},
		{"STREAM.UPDATE.", 1, "stream_update_response", (*Engine).streamUpdate},
		{"STREAM.NAMES", 0, "stream_names_response", (*Engine).streamNames},
		{"STREAM.LIST", 0, "stream_list_response", (*Engine).streamList},
		{"STREAM.INFO.", 1, "stream_info_response", (*Engine).streamInfo},
		{"STREAM.DELETE.", 1, "stream_delete_response", (*Engine).streamDelete},
		{"STREAM.PURGE.", 1, "stream_purge_response", (*Engine).streamPurge},
		{"STREAM.MSG.GET.", 1, "stream_msg_get_response", (*Engine).msgGet},
		{"STREAM.MSG.DELETE.", 1, "stream_msg_delete_response", (*Engine).msgDelete},
		{"STREAM.SNAPSHOT.", 1, "stream_snapshot_response", unsupported(errStreamSnapshot, "snapshots")},
		{"STREAM.RESTORE.", 1, "stream_restore_response", unsupported(errStreamRestore, "restores")},
		{"STREAM.LEADER.STEPDOWN.", 1, "stream_leader_stepdown_response", clusterOnly},
		{"STREAM.PEER.REMOVE.", 1, "stream_remove_peer_response", clusterOnly},
		{"CONSUMER.CREATE.", -1, "consumer_create_response", (*Engine).consumerCreate},
		{"CONSUMER.DURABLE.CREATE.", 2, "consumer_create_response", (*Engine).durableCreate},
		{"CONSUMER.NAMES.", 1, "consumer_names_response", (*Engine).consumerNames},
		{"CONSUMER.LIST.", 1, "consumer_list_response", (*Engine).consumerList},
		{"CONSUMER.INFO.", 2, "consumer_info_response", (*Engine).consumerInfo},
		{"CONSUMER.DELETE.", 2, "consumer_delete_response", (*Engine).consumerDelete},
		{"CONSUMER.PAUSE.", 2, "consumer_pause_response", (*Engine).consumerPause},
		{"CONSUMER.UNPIN.", 2, "consumer_unpin_response", (*Engine).consumerUnpin},
		{"CONSUMER.LEADER.STEPDOWN.", 2, "consumer_leader_stepdown_response", clusterOnly},
	}
}

// clusterOnly answers what a server alone can't do.
func clusterOnly(_ *Engine, _ *apiRequest, base response, _ string) (any, *apierror.Error) {
	base.Error = errClusterRequired
	return base, base.Error
}

// unsupported answers what this server does not do.
func unsupported(code *apierror.Error, what string) apiHandler {
	return func(_ *Engine, _ *apiRequest, base response, _ string) (any, *apierror.Error) {
		base.Error = code.With("%s: %s are not supported by this server", code.Description, what)
		return base, base.Error
	}
}

// decode reads a request's JSON. In strict mode members that are not known
// are errors.
func (e *Engine) decode(body []byte, v any) *apierror.Error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if e.cfg.Strict {
		d.DisallowUnknownFields()
	}
	err := d.Decode(v)
	for err == nil {
		// What follows must be right too.
		if err = d.Decode(v); err == io.EOF {
			return nil
		}
	}
	return jsonError(err)
}

// decodeOptional is decode for requests that may come without a body: what
// does not begin like JSON counts as none.
func (e *Engine) decodeOptional(body []byte, v any) *apierror.Error {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return nil
	}
	return e.decode(body, v)
}

func jsonError(err error) *apierror.Error {
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return errInvalidJSON.With("invalid JSON: %v at offset %d", err, syntax.Offset)
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return errInvalidJSON.With("invalid JSON: json: cannot unmarshal %s into %s", wrong.Value, jsonPlace(wrong))
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return errInvalidJSON.With("invalid JSON: %v", err)
}

// jsonPlace is where a value does not fit, in the words of JSON: the names of
// our types say nothing to a client.
func jsonPlace(e *json.UnmarshalTypeError) string {
	t := e.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kind := t.Kind().String()
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		kind = "object"
	case reflect.Slice, reflect.Array:
		kind = "array"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		kind = "integer"
	}
	// Structs that are embedded are in the path too; no member of the protocol
	// begins with a capital letter.
	path := slices.DeleteFunc(strings.Split(e.Field, "."), func(name string) bool {
		return name == "" || name[0] >= 'A' && name[0] <= 'Z'
	})
	if len(path) == 0 {
		return kind
	}
	return "field " + strings.Join(path, ".") + " of type " + kind
}

// emptyBody reports whether a request has nothing to say.
func emptyBody(b []byte) bool {
	if len(b) == 0 || string(b) == "{}" {
		return true
	}
	var m map[string]json.RawMessage
	return json.Unmarshal(b, &m) == nil && m != nil && len(m) == 0 // null is something
}

// page cuts one page out of n entries.
func page(n, offset, limit int) (from, to int, p paged) {
	from = min(max(offset, 0), n)
	to = min(from+limit, n)
	return from, to, paged{Total: n, Offset: from, Limit: limit}
}
