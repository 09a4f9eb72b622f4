package monitor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/frondmq/frond/core/transport"
)

// MaxConns is how many connections a server holds where it may.
const MaxConns = 64

const (
	maxBody      = 64 << 10 // of a request; bodies are read over
	headTimeout  = 5 * time.Second
	idleTimeout  = time.Minute
	writeTimeout = 30 * time.Second // for one piece
	writePiece   = 16 << 10
)

// Server answers HTTP/1.1 with a Handler. It is this small because net/http,
// which can do so much more, makes the program 0.65 MB bigger on a small
// machine, and 1 MB with HTTP/2.
//
// It has a goroutine a connection, until Shutdown.
type Server struct {
	handler *Handler
	most    int            // connections; others are closed
	group   sync.WaitGroup // of connections

	mu struct {
		sync.Mutex
		conns   map[net.Conn]*conn
		closing bool
	}
}

// conn is a connection and what became of it. Guarded by the server's lock.
type conn struct {
	net.Conn
	log   *slog.Logger
	owes  bool      // a request, whole or in part; else it is answered
	since time.Time // since when
	cut   bool      // to make room
}

// NewServer answers with h, over at most most connections at once.
func NewServer(h *Handler, most int) *Server {
	s := &Server{handler: h, most: most}
	s.mu.conns = make(map[net.Conn]*conn)
	return s
}

// Accept takes a connection over and returns at once; log is what knows of it.
// When there are too many, the one that has owed a request for the longest time
// is closed, or, if none does, the one that takes longest to read its answer:
// they must not keep out who asks for health.
func (s *Server) Accept(nc net.Conn, log *slog.Logger) {
	c := &conn{Conn: nc, log: log, owes: true, since: time.Now()}
	var oldest *conn
	s.mu.Lock()
	refused := s.mu.closing
	if !refused && len(s.mu.conns) >= s.most {
		oldest = s.oldestLocked()
		oldest.cut = true
		delete(s.mu.conns, oldest.Conn)
	}
	if !refused {
		s.mu.conns[nc] = c
		s.group.Add(1)
	}
	s.mu.Unlock()
	if oldest != nil {
		oldest.log.Warn("HTTP connection closed to make room: too many", "owed_request", oldest.owes)
		oldest.kill()
	}
	if refused {
		nc.Close()
		return
	}
	go s.serve(c)
}

func (s *Server) oldestLocked() *conn {
	var oldest *conn
	for _, c := range s.mu.conns {
		if oldest == nil || c.owes && !oldest.owes || c.owes == oldest.owes && c.since.Before(oldest.since) {
			oldest = c
		}
	}
	return oldest
}

// kill closes without a farewell, for which TLS would wait.
func (c *conn) kill() {
	transport.Socket(c.Conn).Close()
}

// Shutdown ends idle connections at once and others behind their answer, or
// when ctx is done. It returns when all have ended. The caller has closed his
// listener before.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.mu.closing = true
	for c := range s.mu.conns {
		c.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.mu.conns {
			c.Close()
		}
	})
	defer stop()
	s.group.Wait()
}

func (s *Server) serve(c *conn) {
	defer s.group.Done()
	defer s.drop(c)
	r := bufio.NewReaderSize(c, maxLine)
	for wait := headTimeout; s.allow(c, wait); wait = idleTimeout {
		if _, err := r.Peek(1); err != nil || !s.allow(c, headTimeout) {
			return // nothing was asked
		}
		if !s.answer(c, r) {
			return
		}
	}
}

func (s *Server) drop(c *conn) {
	s.mu.Lock()
	delete(s.mu.conns, c.Conn)
	s.mu.Unlock()
	c.Close()
}

// owes says whether the connection owes a request from now on, and reports
// whether it was cut meanwhile.
func (s *Server) owes(c *conn, owes bool) (cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.owes, c.since = owes, time.Now()
	return c.cut
}

// allow gives a connection some time, unless Shutdown took it.
func (s *Server) allow(c *conn, d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.closing {
		c.SetDeadline(time.Now().Add(d))
	}
	return !s.mu.closing
}

func (s *Server) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.closing
}

// answer serves one request, and reports whether another may follow.
func (s *Server) answer(c *conn, r *bufio.Reader) bool {
	q, err := readRequest(r)
	if err == nil && q.body > maxBody {
		err = &requestError{413, "the body of the request is too long"}
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, r, q.body)
	}
	if s.owes(c, false) {
		return false
	}
	defer s.owes(c, true)
	var a Answered
	var bad *requestError
	switch {
	case errors.As(err, &bad):
		c.log.Warn("HTTP request refused", "err", err)
		q, a = &request{close: true}, text(bad.code, bad.reason+"\n")
	case errors.Is(err, os.ErrDeadlineExceeded) && !s.closing():
		c.log.Warn("HTTP connection closed: no whole request in time")
		return false
	case err != nil:
		return false
	default:
		a = s.handler.Answer(q.url)
	}
	b := appendHead(make([]byte, 0, 256+len(a.Body)), q, &a, time.Now())
	if q.method != "HEAD" {
		b = append(b, a.Body...)
	}
	return write(c, b) == nil && !q.close
}

// write gives a slow link time for each piece.
func write(c net.Conn, b []byte) error {
	for len(b) > 0 {
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
		n, err := c.Write(b[:min(len(b), writePiece)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func appendHead(b []byte, q *request, a *Answered, now time.Time) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(a.Code), 10)
	b = append(b, ' ')
	b = append(b, reason(a.Code)...)
	b = append(b, "\r\nContent-Type: "...)
	b = append(b, a.Type...)
	if a.Type == typeJSON {
		b = append(b, "\r\nAccess-Control-Allow-Origin: *"...)
	}
	b = append(b, "\r\nDate: "...)
	b = now.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(a.Body)), 10)
	if q.close {
		b = append(b, "\r\nConnection: close"...)
	} else if q.old {
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	return append(b, "\r\n\r\n"...)
}

// reason names the codes that are answered here.
func reason(code int) string {
	switch code {
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 404:
		return "Not Found"
	case 413:
		return "Content Too Large"
	case 431:
		return "Request Header Fields Too Large"
	case 501:
		return "Not Implemented"
	case 503:
		return "Service Unavailable"
	case 505:
		return "HTTP Version Not Supported"
	default:
		return "Internal Server Error"
	}
}
