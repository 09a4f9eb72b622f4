package monitor

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"testing"
)

// What is accepted here means the same to net/http.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET /varz?x=%20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST http://a/b HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
		"OPTIONS * HTTP/1.1\nHost:\nX-Y:\tz \n\n",
		"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := readRequest(bufio.NewReaderSize(bytes.NewReader(b), maxLine))
		var bad *requestError
		if errors.As(err, &bad) && (bad.code < 400 || bad.reason == "") {
			t.Fatalf("error without words: %+v", bad)
		}
		if err != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", b, err)
		}
		if r.Method != q.method || r.Close != q.close || r.ContentLength != q.body || r.ProtoAtLeast(1, 1) == q.old ||
			q.method != "CONNECT" && r.URL.Path != q.url.Path || r.URL.RawQuery != q.url.RawQuery {
			t.Fatalf("%q: got %+v of %v, net/http %+v", b, q, q.url, r)
		}
	})
}
