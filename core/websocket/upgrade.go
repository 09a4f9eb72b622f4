package websocket

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"nhooyr.io/websocket"
)

// Options are what a listener is told to be. They are fixed while it is used.
type Options struct {
	// SameOrigin lets in only pages of the host that they connect to, Origins only
	// those in it; both together ask for both. A request without an origin is no page.
	SameOrigin bool
	Origins    map[Origin]bool
	// Compression offers permessage-deflate (RFC 7692), without context takeover.
	Compression bool
	// Header is added to the answer that opens a WebSocket.
	Header map[string]string
	// Serves reports whether something is spoken at that path, and the subprotocol
	// that is told to who asks for it, if it has one.
	Serves func(path string) (subprotocol string, ok bool)
}

// Request is what is worth to be known of the request that opened a WebSocket.
type Request struct {
	Path    string            // as it came, escaped
	Cookies map[string]string // the first of each name
	// Forwarded is the address that a proxy says the client has; invalid where there
	// is none, or more than one. Whoever connects may say anything.
	Forwarded netip.Addr
}

// maxRequest bounds a request with its header fields.
const maxRequest = 64 << 10

// RequestError is a request that opens no WebSocket. The client was told the status.
type RequestError struct {
	Status int
	Err    error
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("WebSocket request refused with %d: %v", e.Status, e.Err)
}

// Unwrap is what was wrong.
func (e *RequestError) Unwrap() error { return e.Err }

// Upgrade reads a request from raw, which is a socket or TLS on it, and answers. It
// waits no longer than the deadlines of raw say. An error is a *RequestError, or of
// raw; raw is open still.
func Upgrade(raw net.Conn, overTLS bool, o *Options) (*Conn, *Request, error) {
	b := &base{Conn: raw, left: maxRequest}
	b.out.conn = raw
	br := bufio.NewReader(b)
	r, err := http.ReadRequest(br)
	switch {
	case b.left < 0:
		return nil, nil, refuse(raw, http.StatusRequestHeaderFieldsTooLarge, errTooLarge)
	case err != nil && b.failed == nil:
		return nil, nil, refuse(raw, http.StatusBadRequest, err)
	case err != nil:
		return nil, nil, err
	}
	b.left = 0
	subprotocol, status, err := o.judge(r, overTLS)
	if err == nil && br.Buffered() > 0 {
		// A proxy in between may not have seen the end of the request there.
		err = errBytesBehind
	}
	if err != nil {
		return nil, nil, refuse(raw, status, err)
	}
	w := &answer{raw: raw, base: b, br: br, header: http.Header{}}
	for name, value := range o.Header {
		w.header.Set(name, value)
	}
	// What is decided by judge is decided: the library checks no origin.
	accept := &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled}
	if subprotocol != "" {
		accept.Subprotocols = []string{subprotocol}
	}
	if o.Compression {
		accept.CompressionMode = websocket.CompressionNoContextTakeover
	}
	// It wants exactly what judge has found to be in it.
	r.Header.Set("Sec-Websocket-Version", "13")
	ws, err := websocket.Accept(w, r, accept)
	if err != nil {
		return nil, nil, &RequestError{http.StatusBadRequest, err}
	}
	b.out.compress = w.header.Get("Sec-Websocket-Extensions") != ""
	ws.SetReadLimit(-1) // nothing gathers a message: it is read as it comes
	return &Conn{Conn: raw, base: b, br: br, ws: ws}, describe(r), nil
}

var (
	errTooLarge    = fmt.Errorf("more than %d bytes", maxRequest)
	errBytesBehind = errors.New("bytes behind the request, before the answer")
)

// judge is the order of checks of nats-server, whose clients know its answers.
func (o *Options) judge(r *http.Request, overTLS bool) (subprotocol string, status int, err error) {
	subprotocol, ok := o.Serves(r.URL.EscapedPath())
	if !ok {
		return "", http.StatusNotFound, fmt.Errorf("nothing is served at path %q", r.URL.EscapedPath())
	}
	bad := func(what string) (string, int, error) { return "", http.StatusBadRequest, errors.New(what) }
	switch {
	case r.Method != http.MethodGet:
		return "", http.StatusMethodNotAllowed, fmt.Errorf("method is %s, not GET", r.Method)
	case r.Host == "":
		return bad("no host")
	case !hasToken(r.Header["Upgrade"], "websocket"):
		return bad("no 'websocket' in the header Upgrade: this is a WebSocket listener")
	case !hasToken(r.Header["Connection"], "upgrade"):
		return bad("no 'Upgrade' in the header Connection")
	case !validKey(r.Header["Sec-Websocket-Key"]):
		return bad("the header Sec-WebSocket-Key is not 16 bytes in base64")
	case !hasToken(r.Header["Sec-Websocket-Version"], "13"):
		return bad("version 13 is not in the header Sec-WebSocket-Version")
	case !r.ProtoAtLeast(1, 1):
		return bad("HTTP below 1.1")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		origin = r.Header.Get("Sec-Websocket-Origin") // of drafts before the standard
	}
	if err := o.check(origin, r.Host, overTLS); err != nil {
		return "", http.StatusForbidden, fmt.Errorf("origin %q: %w", origin, err)
	}
	return subprotocol, http.StatusBadRequest, nil
}

// hasToken looks for a token in comma-separated lists.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for t := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

func validKey(keys []string) bool {
	if len(keys) != 1 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(b) == 16
}

func describe(r *http.Request) *Request {
	q := &Request{Path: r.URL.EscapedPath(), Cookies: make(map[string]string)}
	for _, c := range r.Cookies() {
		if _, there := q.Cookies[c.Name]; !there {
			q.Cookies[c.Name] = c.Value
		}
	}
	if f := r.Header["X-Forwarded-For"]; len(f) > 0 {
		q.Forwarded, _ = netip.ParseAddr(strings.TrimSpace(f[0]))
	}
	return q
}

// refuse answers a request that opens nothing. A browser shows its user the status
// at most, so the text says no more than that; the log has the reason.
func refuse(raw net.Conn, status int, why error) error {
	text := http.StatusText(status)
	_, err := fmt.Fprintf(raw, "HTTP/1.1 %d %s\r\nSec-Websocket-Version: 13\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n",
		status, text, len(text)+1, text)
	return &RequestError{status, errors.Join(why, err)}
}

// answer is how the library answers the request.
type answer struct {
	raw    net.Conn
	base   *base
	br     *bufio.Reader
	header http.Header
	err    error
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) Write(b []byte) (int, error) { return w.raw.Write(b) }

func (w *answer) WriteHeader(status int) {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	w.header.Write(&b)
	b.WriteString("\r\n")
	_, w.err = io.WriteString(w.raw, b.String())
}

func (w *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.base, bufio.NewReadWriter(w.br, bufio.NewWriter(w.base)), w.err
}
