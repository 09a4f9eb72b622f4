package core_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
)

// Whoever starts a server twice is told of the folder, not of a port that the
// first one has too.
func TestServer_findsItsFolderInUseFirst(t *testing.T) {
	store := servertest.JetStream(t)
	monitored := servertest.With(func(o *config.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", -1 })
	first := servertest.Start(t, store, monitored)
	second, err := servertest.New(t, store, servertest.With(func(o *config.Options) {
		o.Port = first.ClientAddr().(*net.TCPAddr).Port
		o.HTTPHost, o.HTTPPort = "127.0.0.1", first.MonitorAddr().(*net.TCPAddr).Port
	}))
	if err != nil {
		t.Fatal(err)
	}
	err = second.Start()
	servertest.Stop(t, second)
	if !errors.Is(err, edgestore.ErrLocked) || !strings.HasPrefix(err.Error(), "opening the store ") {
		t.Errorf("second server: %v", err)
	}
}

// A server that can't start must leave nothing behind, and say which option
// names another port.
func TestServer_makesNothingBeforeItsPortsAreFree(t *testing.T) {
	first := servertest.Start(t, servertest.With(func(o *config.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", -1 }))
	used := first.ClientAddr().(*net.TCPAddr).Port
	for option, set := range map[string]func(*config.Options){
		"port":           func(o *config.Options) { o.Port = used },
		"http_port":      func(o *config.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", used },
		"leafnodes.port": func(o *config.Options) { o.Leaf.Host, o.Leaf.Port = "127.0.0.1", used },
		"mqtt.port":      func(o *config.Options) { o.MQTT.Host, o.MQTT.Port = "127.0.0.1", used },
	} {
		dir := t.TempDir()
		s, err := servertest.New(t, servertest.With(func(o *config.Options) {
			o.JetStream.Enabled, o.JetStream.StoreDir = true, dir
			set(o)
		}))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Start()
		servertest.Stop(t, s)
		var port *core.PortError
		if !errors.As(err, &port) || port.Option != option || !strings.Contains(err.Error(), fmt.Sprintf("127.0.0.1:%d", used)) {
			t.Errorf("%s: %v", option, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left behind %v", option, left)
		}
	}
}

// Scripts wait for these lines.
func TestServer_announcesTheConfiguredHost(t *testing.T) {
	log := new(testkit.Log)
	s := servertest.Start(t, servertest.Logger(slog.New(core.NewLog(log, &config.Log{}))), servertest.With(func(o *config.Options) {
		o.Host, o.HTTPHost, o.HTTPPort = "localhost", "localhost", -1
	}))
	for _, want := range []string{
		fmt.Sprintf("Listening for client connections on localhost:%d\n", s.ClientAddr().(*net.TCPAddr).Port),
		fmt.Sprintf("Starting http monitor on localhost:%d\n", s.MonitorAddr().(*net.TCPAddr).Port),
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line %q in\n%s", want, log.String())
		}
	}
}

func TestMonitoring_jetstream(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", -1
	}))
	for name, config := range map[string]string{
		"F": `{"name":"F","subjects":["f"],"max_bytes":1000}`,
		"M": `{"name":"M","subjects":["m"],"storage":"memory","max_bytes":2000}`,
		"X": `{"name":"Y"}`,
	} {
		if _, err := s.Request(t.Context(), "$JS.API.STREAM.CREATE."+name, []byte(config)); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"f", "m"} {
		if b, err := s.Request(t.Context(), subject, []byte("hello")); err != nil || !strings.Contains(string(b), `"seq":1`) {
			t.Fatalf("%s: %s, %v", subject, b, err)
		}
	}
	v := mustGet[monitor.Varz](t, s, "/varz").JetStream
	got := *v.Stats
	// As the stock server counts a message of 1 and 5 bytes.
	want := monitor.JetStreamStats{
		Memory: 22, Store: 36, ReservedMemory: 2000, ReservedStore: 1000, Accounts: 1,
		API: monitor.JetStreamAPIStats{Level: got.API.Level, Total: 3, Errors: 1},
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if c := v.Config; !c.SyncAlways || c.SyncInterval.Minutes() != 2 {
		t.Errorf("%+v", c)
	}
}
