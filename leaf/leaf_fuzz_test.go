package leaf

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/transport"
)

// FuzzListener sends anything to the acceptor: handshake, interest, messages,
// plain or compressed.
func FuzzListener(f *testing.F) {
	for _, s := range []string{
		"CONNECT {}\r\n",
		"CONNECT {\"name\":\"E\",\"cluster\":\"E\",\"headers\":true,\"deny_pub\":[\"a.>\"]}\r\nLS+ a.*\r\nLS+ q g 2\r\nLS- q g\r\nPING\r\nLMSG a.b 1\r\nx\r\n",
		"CONNECT {\"is_hub\":true}\r\nLMSG q + r g 1\r\nx\r\nHMSG a 12 13\r\nNATS/1.0\r\n\r\nx\r\nINFO {\"leafnode_urls\":[\"h:1\"]}\r\n-ERR 'Loop detected'\r\n",
		"INFO {\"compression\":\"s2_auto\"}\r\n\xff\x06\x00\x00S2sTwO\x01\x10\x00\x00\x00\x00\x00\x00CONNECT {}\r\n",
		"INFO {\"compression\":\"off\"}\r\nCONNECT {}\r\n",
		"GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := newNode(t, "HUB")
		n.Opts.Leaf.Compression = config.DefaultLeafCompression()
		m := New()
		m.services, m.log = n, slog.New(slog.DiscardHandler)
		l := &listener{m: m, ln: transport.NewListener(nowhere{})}
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(io.Discard, there)
		}()
		go func() {
			_, _ = there.Write(in)
			there.Close()
		}()
		l.handle(context.Background(), here)
		<-done
		if got := n.Acc.Subscriptions(); got > 1 {
			t.Errorf("%d subscriptions are left", got)
		}
		if len(m.snapshot()) != 0 {
			t.Error("a link is left")
		}
	})
}

// nowhere is a listener that only has an address.
type nowhere struct{}

func (nowhere) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (nowhere) Close() error              { return nil }
func (nowhere) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7422} }

// FuzzInfo reads what peers tell of themselves and makes rules of it.
func FuzzInfo(f *testing.F) {
	f.Add([]byte(`{"server_id":"N","client_id":5,"nonce":"0123456789abcde","compression":"s2_auto","leafnode_urls":["127.0.0.1:7422"]}`))
	f.Add([]byte(`{"connect_info":true,"import":{"allow":["b.\u003e"],"deny":["b.c"]},"export":{"allow":["a.>"]}}`))
	f.Add([]byte(`{"user":"u","pass":"p","deny_pub":["x.in"],"isolate":true,"is_hub":true}`))
	f.Add([]byte(`{"import":{"allow":["..",""," ","a b",">.a"]}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if i, err := parseInfo(in); err == nil {
			line, err := i.line()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := parseInfo(line[len("INFO "):]); err != nil || again.ConnID != i.ConnID {
				t.Fatalf("%q does not come back: %v", line, err)
			}
			if user, err := newPermissions(i.Export, i.Import); err == nil {
				r, err := newRules(false, false, user, side{}, side{domain: i.Domain}, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.sends([]byte("a.b"))
				r.takes([]byte("a.b"))
				r.announces("a.*")
			}
			_, _ = negotiate(config.CompressAuto, i.Compression)
		}
		if c, err := parseConnect(in); err == nil {
			line, err := c.line()
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(line[len("CONNECT "):]) {
				t.Fatalf("%q is not JSON", line)
			}
			_, _ = newRules(!c.Hub, true, nil, side{}, side{}, c.DenyPub, nil)
			_ = olderThan(c.Version, "2.8.0")
		}
	})
}

// FuzzOlderThan holds versions of any shape against each other.
func FuzzOlderThan(f *testing.F) {
	f.Add("2.10.0", "2.9.25")
	f.Add("v3", "2.8.0-beta.1")
	f.Fuzz(func(t *testing.T, a, b string) {
		if olderThan(a, b) && olderThan(b, a) {
			t.Errorf("%q and %q are each older than the other", a, b)
		}
	})
}

var _ account.Sink = (*link)(nil)
