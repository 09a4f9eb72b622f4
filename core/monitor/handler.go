package monitor

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Handler serves monitoring over HTTP. Any method is answered like GET.
type Handler struct {
	src  Source
	base string // cleaned, without a slash at the end

	mu struct {
		sync.Mutex
		requests map[string]uint64 // by bare path
	}
}

// NewHandler serves src under basePath, "" for the root.
func NewHandler(src Source, basePath string) *Handler {
	h := &Handler{src: src, base: strings.TrimSuffix(path.Clean("/"+basePath), "/")}
	h.mu.requests = make(map[string]uint64)
	return h
}

// Requests counts the requests so far, for Varz.HTTPReqStats.
func (h *Handler) Requests() map[string]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]uint64, len(h.mu.requests))
	for k, v := range h.mu.requests {
		out[k] = v
	}
	return out
}

func (h *Handler) count(path string) {
	h.mu.Lock()
	h.mu.requests[path]++
	h.mu.Unlock()
}

// Answered is an answer over HTTP.
type Answered struct {
	Code int
	Type string // of the body
	Body []byte
}

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
)

// Answer is what there is at an address.
func (h *Handler) Answer(at *url.URL) Answered {
	p, ok := strings.CutPrefix(at.Path, h.base)
	if !ok {
		return notFound()
	}
	q := query{values: at.Query()}
	switch {
	case p == "" && h.base != "", p == "/" && h.base == "":
		h.count("/")
		return h.index()
	case p == "/varz":
		h.count(p)
		v := h.src.Varz()
		v.HTTPReqStats = h.Requests()
		return pretty(v)
	case p == "/connz":
		h.count(p)
		return h.connz(&q)
	case p == "/leafz":
		h.count(p)
		return h.leafz(&q)
	case p == "/healthz":
		h.count(p)
		return h.healthz(&q)
	case p == "/livez":
		// That this is answered is the answer; see Healthz for the rest.
		h.count(p)
		return Answered{200, typeJSON, []byte(`{"status":"ok"}`)}
	}
	if a, ok := h.full(p, &q); ok {
		return a
	}
	return notFound()
}

func (h *Handler) connz(q *query) Answered {
	o := &ConnzOptions{
		Sort:       q.values.Get("sort"),
		Auth:       q.boolean("auth"),
		Offset:     q.integer("offset"),
		Limit:      q.integer("limit"),
		CID:        q.uint64("cid"),
		User:       q.values.Get("user"),
		Account:    q.values.Get("acc"),
		MQTTClient: q.values.Get("mqtt_client"),
	}
	if strings.EqualFold(q.values.Get("subs"), "detail") {
		o.Subscriptions, o.SubsDetail = true, true
	} else {
		o.Subscriptions = q.boolean("subs")
	}
	o.State = q.state()
	if q.wrong != "" {
		return text(400, q.wrong)
	}
	z, err := h.src.Connz(o)
	if err != nil {
		return text(400, err.Error())
	}
	return pretty(z)
}

func (h *Handler) leafz(q *query) Answered {
	o := &LeafzOptions{Subscriptions: q.boolean("subs"), Account: q.values.Get("acc")}
	if q.wrong != "" {
		return text(400, q.wrong)
	}
	return pretty(h.src.Leafz(o))
}

func (h *Handler) healthz(q *query) Answered {
	o := &HealthzOptions{
		JSEnabledOnly: q.boolean("js-enabled-only"),
		JSEnabled:     q.boolean("js-enabled"),
		JSServerOnly:  q.boolean("js-server-only"),
		JSMetaOnly:    q.boolean("js-meta-only"),
		Account:       q.values.Get("account"),
		Stream:        q.values.Get("stream"),
		Consumer:      q.values.Get("consumer"),
		Details:       q.boolean("details"),
		LeafRemotes:   q.boolean("leaf-remotes-connected"),
	}
	if q.wrong != "" {
		return text(400, q.wrong)
	}
	z := *h.src.Healthz(o)
	code := z.StatusCode
	if code == 0 {
		code = 200
	}
	z.StatusCode = 0 // it is the status line
	b, err := json.Marshal(&z)
	return encoded(code, b, err)
}

// index is a page for people, with what is there.
func (h *Handler) index() Answered {
	// Links are relative to the page, whose address ends without a slash.
	prefix := "."
	if h.base != "" {
		prefix = (&url.URL{Path: path.Base(h.base)}).EscapedPath()
	}
	b := []byte("<!doctype html>\n<html lang=\"en\">\n<head><title>frond</title></head>\n<body>\n<h1>frond</h1>\n<ul>\n")
	pages := append([][2]string{{"varz", "General"}, {"connz", "Connections"}, {"leafz", "Leaf nodes"}, {"healthz", "Health"}}, fullPages...)
	for _, l := range pages {
		b = fmt.Appendf(b, "<li><a href=\"%s/%s\">%s</a></li>\n", prefix, l[0], l[1])
	}
	return Answered{200, typeHTML, append(b, "</ul>\n</body>\n</html>\n"...)}
}

// pretty is v as JSON, like nats-server with indent and without a newline at
// the end.
func pretty(v any) Answered {
	b, err := json.MarshalIndent(v, "", "  ")
	return encoded(200, b, err)
}

func encoded(code int, b []byte, err error) Answered {
	if err != nil {
		return text(500, err.Error()+"\n")
	}
	return Answered{code, typeJSON, b}
}

func text(code int, s string) Answered { return Answered{code, typeText, []byte(s)} }

func notFound() Answered { return text(404, "404 page not found\n") }

// query reads parameters and keeps the first that can't be read.
type query struct {
	values url.Values
	wrong  string
}

func (q *query) fail(format string, args ...any) {
	if q.wrong == "" {
		q.wrong = fmt.Sprintf(format, args...)
	}
}

func (q *query) boolean(name string) bool {
	s := q.values.Get(name)
	if s == "" {
		return false
	}
	v, err := strconv.ParseBool(s)
	if err != nil {
		q.fail("Error decoding boolean for '%s': %v", name, err)
	}
	return v
}

func (q *query) integer(name string) int {
	s := q.values.Get(name)
	if s == "" {
		return 0
	}
	v, err := strconv.Atoi(s)
	if err != nil {
		q.fail("Error decoding int for '%s': %v", name, err)
	}
	return v
}

func (q *query) uint64(name string) uint64 {
	s := q.values.Get(name)
	if s == "" {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		q.fail("Error decoding uint64 for '%s': %v", name, err)
	}
	return v
}

func (q *query) state() ConnState {
	switch s := q.values.Get("state"); strings.ToLower(s) {
	case "", "open":
		return ConnOpen
	case "closed":
		return ConnClosed
	case "any", "all":
		return ConnAll
	default:
		q.fail("Error decoding state for %s", s)
		return ConnOpen
	}
}
