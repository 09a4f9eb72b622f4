package monitor

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Bounds of the head of a request. A line must fit into the reader's buffer.
const (
	maxLine = 8 << 10
	maxHead = 32 << 10
)

// request is what of an HTTP/1.x head matters here (RFC 9112, sections 2-6).
type request struct {
	method string
	url    *url.URL
	old    bool  // HTTP/1.0
	close  bool  // no further request follows
	body   int64 // bytes behind the head
}

// requestError is a request that can't be served, as its asker is told.
type requestError struct {
	code   int
	reason string
}

func (e *requestError) Error() string { return e.reason }

func badRequest(format string, args ...any) error {
	return &requestError{400, fmt.Sprintf(format, args...)}
}

var (
	errHeadTooLong = &requestError{431, "the head of the request is too long"}
	errEncoding    = &requestError{501, "a request body with a transfer encoding is not supported"}
	errVersion     = &requestError{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"}
)

// readRequest reads a head. An error that is no *requestError is the
// connection's.
func readRequest(r *bufio.Reader) (*request, error) {
	left := maxHead
	line, err := readLine(r, &left)
	if err != nil {
		return nil, err
	}
	q, err := parseRequestLine(line)
	if err != nil {
		return nil, err
	}
	hosts, lengths := 0, 0
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		name, value, colon := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !colon || !isToken(name) || !isFieldValue(value) {
			return nil, badRequest("malformed header line %.60q", line)
		}
		switch strings.ToLower(name) {
		case "host":
			hosts++
		case "connection":
			q.connection(value)
		case "content-length":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || lengths > 0 && int64(n) != q.body {
				return nil, badRequest("bad Content-Length %.60q", value)
			}
			q.body = int64(n)
			lengths++
		case "transfer-encoding":
			return nil, errEncoding
		}
	}
	if hosts > 1 || hosts == 0 && !q.old {
		return nil, badRequest("%d Host headers", hosts)
	}
	return q, nil
}

// connection takes a Connection header in. "close" wins.
func (q *request) connection(value string) {
	keep := false
	for option := range strings.SplitSeq(strings.ToLower(value), ",") {
		switch strings.Trim(option, " \t") {
		case "close":
			q.close = true
			return
		case "keep-alive":
			keep = true
		}
	}
	if keep && q.old {
		q.close = false
	}
}

func parseRequestLine(line string) (*request, error) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, ok := strings.Cut(rest, " ")
	if !ok || !isToken(method) {
		return nil, badRequest("malformed request line %.60q", line)
	}
	q := &request{method: method}
	switch version {
	case "HTTP/1.1":
	case "HTTP/1.0":
		q.old, q.close = true, true
	default:
		return nil, errVersion
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, badRequest("malformed address %.60q", target)
	}
	q.url = u
	return q, nil
}

// readLine reads a line of the head, of which at most left bytes may come.
func readLine(r *bufio.Reader, left *int) (string, error) {
	line, err := r.ReadSlice('\n')
	*left -= len(line)
	if errors.Is(err, bufio.ErrBufferFull) || *left < 0 {
		return "", errHeadTooLong
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

// isToken: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isFieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
