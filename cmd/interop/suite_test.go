package interop

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
)

var (
	serversFlag = flag.String("servers", "stock,frond", "servers to run the scripts against")
	rewriteFlag = flag.Bool("rewrite", false, "record the raw transcripts from the stock server again")
)

// binaries are built at most once per run, in a folder that TestMain removes.
var binaries struct {
	dir               string
	frond, stock, cli func() (string, error)
}

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	binaries.dir = dir
	binaries.frond = sync.OnceValues(func() (string, error) { return peers.Frond(ctx, dir) })
	binaries.stock = sync.OnceValues(func() (string, error) { return peers.Stock(ctx) })
	binaries.cli = sync.OnceValues(func() (string, error) { return peers.CLI(ctx) })
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func binary(t testing.TB, kind peers.Kind) string {
	t.Helper()
	build := binaries.frond
	if kind == peers.StockKind {
		build = binaries.stock
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// eachServer runs f once for every server under test, in parallel.
func eachServer(t *testing.T, f func(t *testing.T, kind peers.Kind)) {
	t.Helper()
	t.Parallel()
	for _, name := range strings.Split(*serversFlag, ",") {
		kind := peers.Kind(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, kind)
		})
	}
}

// eachCrashing is eachServer for tests that kill the server. What becomes of
// the stock server then is no matter of ours, and is looked at only by who names
// it with -servers: it brings deleted messages back, for one thing.
func eachCrashing(t *testing.T, f func(t *testing.T, kind peers.Kind)) {
	t.Helper()
	named := false
	flag.Visit(func(f *flag.Flag) { named = named || f.Name == "servers" })
	if named {
		eachServer(t, f)
		return
	}
	t.Parallel()
	f(t, peers.FrondKind)
}

func tested(kind peers.Kind) bool {
	return slices.Contains(strings.Split(*serversFlag, ","), string(kind))
}

// start runs a server for the length of the test. When the test fails the end
// of the server's log is shown.
func start(t testing.TB, kind peers.Kind, c peers.Config) *peers.Server {
	t.Helper()
	return startBinary(t, kind, binary(t, kind), c)
}

// startBinary is start with a program that the caller chooses.
func startBinary(t testing.TB, kind peers.Kind, path string, c peers.Config) *peers.Server {
	t.Helper()
	s, err := peers.Start(t.Context(), kind, path, t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s (%s), its end:\n%s", s.Config.Name, kind, tail(s.Log(), 15))
		}
		s.Kill()
	})
	return s
}

func restart(t testing.TB, s *peers.Server) {
	t.Helper()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func tail(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// link puts a fault proxy in front of a server's leaf listener.
func link(t testing.TB, target string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func connect(t testing.TB, s *peers.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.Timeout(10 * time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, opts...)
	nc, err := nats.Connect(s.URL(), opts...)
	if err != nil {
		t.Fatalf("connect to %s: %v\n%s", s.Config.Name, err, tail(s.Log(), 20))
	}
	t.Cleanup(nc.Close)
	return nc
}

func stream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// within is the context of one step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// step is how long one step may take on a busy machine.
const step = 20 * time.Second

// eventually waits until f returns nil, looking every 20 ms; it fails with the
// last error.
func eventually(t testing.TB, d time.Duration, f func() error) {
	t.Helper()
	ctx := within(t, d)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v: %v", d, err)
		}
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cli is the `nats` command line client against s.
func cli(t testing.TB, s *peers.Server) peers.Nats {
	t.Helper()
	path, err := binaries.cli()
	if err != nil {
		t.Fatal(err)
	}
	return peers.Nats{Binary: path, URL: s.URL(), Home: filepath.Join(t.TempDir(), "home")}
}
