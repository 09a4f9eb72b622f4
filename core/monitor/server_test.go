package monitor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// serve starts a server for one connection in memory, and returns our end.
func serve(t *testing.T) (*Server, net.Conn) {
	t.Helper()
	s := NewServer(NewHandler(&fakeSource{health: Healthz{Status: "ok", StatusCode: 200}}, ""), MaxConns)
	ours, theirs := net.Pipe()
	s.Accept(theirs, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		ours.Close()
		s.Shutdown(t.Context())
	})
	return s, ours
}

// ask sends text and returns what comes back until the server closes.
func ask(t *testing.T, text string) string {
	t.Helper()
	_, c := serve(t)
	go io.WriteString(c, text) // fails when the server closes before its end
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServer_answers(t *testing.T) {
	const host = "Host: x\r\n"
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct{ name, in, want string }{
		{"one request", "GET /healthz HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "200"},
		{"any method", "DELETE /healthz HTTP/1.1\r\n" + host + "Connection: x, Close\r\n\r\n", "200"},
		{"an absolute address", "GET http://a/healthz HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "200"},
		{"HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n", "200"},
		{"HTTP/1.0 that stays", "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n", "200 404"},
		{"bare line feeds", "GET /healthz HTTP/1.0\n\n", "200"},
		{"requests in a row", "GET /healthz HTTP/1.1\r\n" + host + "\r\nGET /x HTTP/1.1\r\n" + host + "\r\nGET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "200 404 200"},
		{"a body is read over", "POST /healthz HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhelloGET /x HTTP/1.0\r\n\r\n", "200 404"},
		{"a body that is too long", "POST /healthz HTTP/1.1\r\n" + host + "Content-Length: 65537\r\n\r\n", "413"},
		{"two lengths", "POST /healthz HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"},
		{"a negative length", "POST /healthz HTTP/1.1\r\n" + host + "Content-Length: -5\r\n\r\n", "400"},
		{"a chunked body", "POST /healthz HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET /healthz HTTP/1.1\r\n" + host + host + "\r\n", "400"},
		{"a folded line", "GET /healthz HTTP/1.1\r\n" + host + "X: y\r\n z\r\n\r\n", "400"},
		{"a name with a blank", "GET /healthz HTTP/1.1\r\n" + host + "X : y\r\n\r\n", "400"},
		{"no colon", "GET /healthz HTTP/1.1\r\n" + host + "X\r\n\r\n", "400"},
		{"a control byte", "GET /healthz HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", "400"},
		{"an empty line", "\r\n", "400"},
		{"another protocol", "INFO {}\r\n", "400"},
		{"another version", "GET / HTTP/2.0\r\n\r\n", "505"},
		{"a bad escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"an authority", "CONNECT a:80 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "404"},
		{"an asterisk", "OPTIONS * HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "404"},
		{"a long line", "GET /" + long, "431"},
		{"a long head", "GET / HTTP/1.1\r\n" + strings.Repeat("X: "+long[:8000]+"\r\n", 5), "431"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, c.in)
			var codes []string
			r := bufio.NewReader(strings.NewReader(got))
			for {
				a, err := http.ReadResponse(r, nil)
				if err != nil {
					break
				}
				b, err := io.ReadAll(a.Body)
				if err != nil || int64(len(b)) != a.ContentLength || len(b) == 0 || a.Status != fmt.Sprintf("%d %s", a.StatusCode, reason(a.StatusCode)) {
					t.Errorf("%s: %d bytes of %d, %v", a.Status, len(b), a.ContentLength, err)
				}
				if _, err := http.ParseTime(a.Header.Get("Date")); err != nil {
					t.Error(err)
				}
				codes = append(codes, fmt.Sprint(a.StatusCode))
			}
			if s := strings.Join(codes, " "); s != c.want || r.Buffered() > 0 {
				t.Errorf("got %s, want %s, in\n%s", s, c.want, got)
			}
			if !strings.Contains(got, "Connection: close\r\n") {
				t.Errorf("the end is not announced in\n%s", got)
			}
		})
	}
}

func TestServer_sends_no_body_for_HEAD(t *testing.T) {
	got := ask(t, "HEAD /healthz HTTP/1.0\r\n\r\n")
	if !strings.Contains(got, "\r\nContent-Length: 15\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("got %s", got)
	}
}

func TestServer_lets_other_sites_read_JSON(t *testing.T) {
	const allow = "\r\nAccess-Control-Allow-Origin: *\r\n"
	if got := ask(t, "GET /healthz HTTP/1.0\r\n\r\n"); !strings.Contains(got, allow) {
		t.Errorf("got %s", got)
	}
	if got := ask(t, "GET /x HTTP/1.0\r\n\r\n"); strings.Contains(got, allow) {
		t.Errorf("got %s", got)
	}
}

func TestServer_ends_slow_and_idle_connections(t *testing.T) {
	for _, c := range []struct {
		name, in string
		after    time.Duration
	}{
		{"that send nothing", "", headTimeout},
		{"in the middle of a head", "GET / HT", headTimeout},
		{"in the middle of a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", headTimeout},
		{"behind an answer", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, conn := serve(t)
				start := time.Now()
				if _, err := io.WriteString(conn, c.in); err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, conn)
				if took := time.Since(start); took != c.after {
					t.Errorf("ended after %v, want %v", took, c.after)
				}
			})
		})
	}
}

func TestServer_ends_readers_that_do_not_read(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := serve(t)
		start := time.Now()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		s.group.Wait()
		if took := time.Since(start); took != writeTimeout {
			t.Errorf("ended after %v, want %v", took, writeTimeout)
		}
	})
}

// Whoever holds connections without asking, or without reading, must not keep
// out who wants to know whether the server is well.
func TestServer_answers_when_its_connections_are_used_up(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"by those who ask nothing", ""},
		{"by half requests", "GET /healthz HT"},
		{"by half bodies", "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nx"},
		{"by those who stay after an answer", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b strings.Builder
				log := slog.New(slog.NewTextHandler(&b, nil))
				s := NewServer(NewHandler(&fakeSource{health: Healthz{Status: "ok", StatusCode: 200}}, ""), MaxConns)
				var held []net.Conn
				for range MaxConns {
					ours, theirs := net.Pipe()
					s.Accept(theirs, log)
					go io.WriteString(ours, c.in)
					held = append(held, ours)
					<-time.After(time.Millisecond) // so that one is the oldest
				}
				for range 3 {
					ours, theirs := net.Pipe()
					s.Accept(theirs, slog.New(slog.DiscardHandler))
					io.WriteString(ours, "GET /healthz HTTP/1.0\r\n\r\n")
					if a, err := io.ReadAll(ours); !strings.HasPrefix(string(a), "HTTP/1.1 200 ") || err != nil {
						t.Errorf("answered %q, %v", a, err)
					}
				}
				if n := strings.Count(b.String(), "closed to make room"); n == 0 || n > 3 {
					t.Errorf("log %q", b.String())
				}
				if _, err := io.Copy(io.Discard, held[0]); err != nil {
					t.Errorf("the oldest: %v", err)
				}
				for _, h := range held {
					h.Close()
				}
				s.Shutdown(t.Context())
			})
		})
	}
}

func TestServer_tells_of_what_it_refuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for in, want := range map[string]string{
			"GET / HT":    `level=WARN msg="HTTP connection closed: no whole request in time"`,
			"INFO {}\r\n": `level=WARN msg="HTTP request refused" err=`,
			"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n": "", // it stays idle until it is closed
			"": "",
		} {
			var b strings.Builder
			s := NewServer(NewHandler(&fakeSource{health: Healthz{Status: "ok", StatusCode: 200}}, ""), MaxConns)
			ours, theirs := net.Pipe()
			s.Accept(theirs, slog.New(slog.NewTextHandler(&b, nil)))
			io.WriteString(ours, in)
			io.Copy(io.Discard, ours)
			s.Shutdown(t.Context())
			if got := b.String(); !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%q: logged %q", in, got)
			}
		}
	})
}

func TestServer_shutdown_lets_an_answer_end(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := serve(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait() // it writes, and nobody reads
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Shutdown(t.Context())
		}()
		synctest.Wait()
		b, err := io.ReadAll(conn)
		if err != nil || !strings.HasSuffix(string(b), "</html>\n") {
			t.Errorf("got %q, %v", b, err)
		}
		<-ended
	})
}

func TestServer_shutdown_is_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := serve(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait() // it writes, and nobody reads
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		ours, theirs := net.Pipe()
		s.Accept(theirs, slog.New(slog.DiscardHandler))
		if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v from a server that has ended", err)
		}
	})
}
