package servertest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
)

// Option changes the options of a server before it is made.
type Option func(*setup)

type setup struct {
	options *config.Options
	modules []core.Module
	log     *slog.Logger
}

// With changes the configuration.
func With(f func(o *config.Options)) Option { return func(s *setup) { f(s.options) } }

// Modules gives the server modules.
func Modules(m ...core.Module) Option {
	return func(s *setup) { s.modules = append(s.modules, m...) }
}

// Logger sends the log somewhere. It is discarded by default.
func Logger(l *slog.Logger) Option { return func(s *setup) { s.log = l } }

// JetStream turns streams on, in a folder of the test.
func JetStream(t testing.TB) Option {
	dir := t.TempDir()
	return With(func(o *config.Options) {
		o.JetStream.Enabled = true
		o.JetStream.StoreDir = dir
		o.JetStream.MaxStore = 1 << 30
		o.JetStream.MaxMemory = 64 << 20
	})
}

// stopTimeout bounds a clean shutdown, on a machine that is busy with other
// things.
const stopTimeout = 30 * time.Second

// New makes a server that is not started, on a free port of the loopback
// interface.
func New(t testing.TB, opts ...Option) (*core.Server, error) {
	t.Helper()
	s := &setup{options: config.Defaults()}
	s.options.Host = "127.0.0.1"
	s.options.Port = -1
	for _, o := range opts {
		o(s)
	}
	return core.New(s.options, s.modules, s.log)
}

// Start runs a server until the end of the test. Then it is shut down, and the
// test fails if goroutines of it are left.
func Start(t testing.TB, opts ...Option) *core.Server {
	t.Helper()
	s, err := New(t, opts...)
	if err != nil {
		t.Fatalf("new server: %v", err)
	}
	before := goroutines()
	t.Cleanup(func() {
		Stop(t, s)
		checkLeaks(t, before)
	})
	if err := s.Start(); err != nil {
		t.Fatalf("start server: %v", err)
	}
	return s
}

// Stop shuts a server down; again is harmless.
func Stop(t testing.TB, s *core.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("shut server down: %v", err)
	}
}

// Dial opens a plain connection to the client port; it is closed at the end of
// the test.
func Dial(t testing.TB, s *core.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.ClientAddr().String())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Eventually waits until f holds and fails the test if it does not in time.
func Eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	testkit.Eventually(t, what, f)
}

// goroutines are the stacks of all of them, by their number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := map[string]string{}
	for _, stack := range strings.Split(string(buf), "\n\n") {
		head, rest, _ := strings.Cut(stack, "\n")
		var id int
		if _, err := fmt.Sscanf(head, "goroutine %d ", &id); err == nil {
			all[fmt.Sprint(id)] = rest
		}
	}
	return all
}

// ofTest reports whether a stack is that of a test, which starts its servers.
func ofTest(stack string) bool {
	return strings.Contains(stack, "testing.tRunner") || strings.Contains(stack, "testing.(*F)") || strings.Contains(stack, "testing.(*B)")
}

// creator is the number of the goroutine that started the one with this stack,
// "" when the stack does not say.
func creator(stack string) string {
	i := strings.LastIndex(stack, " in goroutine ")
	if i < 0 {
		return ""
	}
	id, _, _ := strings.Cut(stack[i+len(" in goroutine "):], "\n")
	return id
}

// leaked are the goroutines that run our code and began since before.
func leaked(before map[string]string) (left []string) {
	for id, stack := range goroutines() {
		// One that has not run yet does not say whose it is, but it was there.
		_, old := before[id]
		// What a goroutine from before has started belongs to another server
		// of this test, which still runs.
		by, others := before[creator(stack)]
		if !old && (!others || ofTest(by)) && !ofTest(stack) && strings.Contains(stack, "github.com/frondmq/frond/") {
			left = append(left, stack)
		}
	}
	return left
}

func checkLeaks(t testing.TB, before map[string]string) {
	t.Helper()
	var left []string
	ok := testkit.Within(5*time.Second, func() bool {
		left = leaked(before)
		return len(left) == 0
	})
	if !ok {
		t.Errorf("%d goroutines left:\n%s", len(left), strings.Join(left, "\n\n"))
	}
}
