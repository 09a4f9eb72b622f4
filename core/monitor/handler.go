package monitor

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
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

// missing are the pages of nats-server that this version does not have. They
// are told apart from a wrong address.
var missing = map[string]bool{
	"/routez": true, "/gatewayz": true, "/leafz": true, "/subsz": true, "/subscriptionsz": true,
	"/accountz": true, "/accstatz": true, "/jsz": true, "/ipqueuesz": true, "/raftz": true,
	"/stacksz": true, "/debug/vars": true,
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := strings.CutPrefix(r.URL.Path, h.base)
	if !ok {
		http.NotFound(w, r)
		return
	}
	q := query{values: r.URL.Query()}
	switch {
	case p == "" && h.base != "", p == "/" && h.base == "":
		h.count("/")
		h.index(w)
	case p == "/varz":
		h.count(p)
		v := h.src.Varz()
		v.HTTPReqStats = h.Requests()
		reply(w, http.StatusOK, v, "  ")
	case p == "/connz":
		h.count(p)
		h.connz(w, &q)
	case p == "/healthz":
		h.count(p)
		h.healthz(w, &q)
	case missing[p]:
		http.Error(w, "404 "+p+" is not supported yet by this version of frond", http.StatusNotFound)
	default:
		http.NotFound(w, r)
	}
}

func (h *Handler) connz(w http.ResponseWriter, q *query) {
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
	if q.failed(w) {
		return
	}
	z, err := h.src.Connz(o)
	if err != nil {
		refuse(w, err.Error())
		return
	}
	reply(w, http.StatusOK, z, "  ")
}

func (h *Handler) healthz(w http.ResponseWriter, q *query) {
	o := &HealthzOptions{
		JSEnabledOnly: q.boolean("js-enabled-only"),
		JSEnabled:     q.boolean("js-enabled"),
		JSServerOnly:  q.boolean("js-server-only"),
		JSMetaOnly:    q.boolean("js-meta-only"),
		Account:       q.values.Get("account"),
		Stream:        q.values.Get("stream"),
		Consumer:      q.values.Get("consumer"),
		Details:       q.boolean("details"),
	}
	if q.failed(w) {
		return
	}
	z := *h.src.Healthz(o)
	code := z.StatusCode
	if code == 0 {
		code = http.StatusOK
	}
	z.StatusCode = 0 // it is the status line
	reply(w, code, &z, "")
}

// index is a page for people, with what is there.
func (h *Handler) index(w http.ResponseWriter) {
	// Links are relative to the page, whose address ends without a slash.
	prefix := "."
	if h.base != "" {
		prefix = path.Base(h.base)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, "<!doctype html>\n<html lang=\"en\">\n<head><title>frond</title></head>\n<body>\n<h1>frond</h1>\n<ul>\n")
	for _, l := range [...][2]string{{"varz", "General"}, {"connz", "Connections"}, {"healthz", "Health"}} {
		fmt.Fprintf(w, "<li><a href=\"%s/%s\">%s</a></li>\n", html.EscapeString(prefix), l[0], l[1])
	}
	fmt.Fprint(w, "</ul>\n</body>\n</html>\n")
}

// reply sends v as JSON, like nats-server with indent and without a newline at
// the end.
func reply(w http.ResponseWriter, code int, v any, indent string) {
	text, err := json.MarshalIndent(v, "", indent)
	if indent == "" {
		text, err = json.Marshal(v)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.WriteHeader(code)
	w.Write(text) // an error means that the asker is gone
}

func refuse(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusBadRequest)
	w.Write([]byte(text))
}

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

func (q *query) failed(w http.ResponseWriter) bool {
	if q.wrong != "" {
		refuse(w, q.wrong)
	}
	return q.wrong != ""
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
