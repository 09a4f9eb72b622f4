package peers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Kind is the program that plays the server.
type Kind string

const (
	FrondKind Kind = "frond"
	StockKind Kind = "stock" // nats-server
)

// Config is what a server needs to know. It becomes a configuration file in
// nats-server's language, the same for both kinds.
type Config struct {
	Name      string
	JetStream bool
	Domain    string
	// SyncInterval goes into the file as it is; "" leaves the server's default
	// (frond: before every ack; stock: two minutes).
	SyncInterval string
	Leaf         bool // accept leaf links
	MQTT         bool
	MQTTOptions  string // further lines of the mqtt block
	HTTP         bool
	// Remotes are URLs of hubs to link to. DenyImports are subjects that are not
	// taken from them.
	Remotes     []string
	DenyImports []string
	// LeafOptions are further lines of the leafnodes block, RemoteOptions further
	// keys of each remote.
	LeafOptions   string
	RemoteOptions []string
	// Advertise is what the leaf listener tells as its address. By "" it tells
	// none, with which nats-server before 2.15 does not link.
	Advertise string
	// Extra is appended to the file. LeafExtra says that a leaf listener is in
	// it, so that its address gets read.
	Extra     string
	LeafExtra bool
}

// Server is one running nats-server or frond. Its addresses survive Restart.
type Server struct {
	Kind   Kind
	Config Config
	Dir    string // data, configuration

	binary string
	proc   *Process
	ports  ports
}

type ports struct{ client, leaf, mqtt, http string }

var (
	clientLine = regexp.MustCompile(`Listening for client connections on (127\.0\.0\.1:\d+)`)
	leafLine   = regexp.MustCompile(`Listening for leafnode connections on (127\.0\.0\.1:\d+)`)
	mqttLine   = regexp.MustCompile(`Listening for MQTT clients on mqtt://(127\.0\.0\.1:\d+)`)
	httpLine   = regexp.MustCompile(`Starting http monitor on (127\.0\.0\.1:\d+)`)
	readyLine  = regexp.MustCompile(`Server is ready`)
)

// startTimeout is long because the machine may be busy, not because a start
// may be slow.
const startTimeout = 30 * time.Second

// Start runs a server with its data and configuration in dir and waits until
// it is ready.
func Start(ctx context.Context, kind Kind, binary, dir string, c Config) (*Server, error) {
	if c.Name == "" {
		c.Name = string(kind)
	}
	s := &Server{Kind: kind, Config: c, Dir: dir, binary: binary}
	s.ports = ports{client: "127.0.0.1:-1", leaf: "127.0.0.1:-1", mqtt: "127.0.0.1:-1", http: "127.0.0.1:-1"}
	if err := s.Restart(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Restart starts the server again, after Kill or Stop, on the same folder and
// the same ports.
func (s *Server) Restart(ctx context.Context) error {
	path := filepath.Join(s.Dir, "server.conf")
	if err := os.WriteFile(path, []byte(s.text()), 0o600); err != nil {
		return err
	}
	proc, err := Spawn(s.Config.Name, s.binary, "-c", path)
	if err != nil {
		return err
	}
	s.proc = proc
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if _, err := proc.Await(ctx, readyLine); err != nil {
		proc.Kill()
		return err
	}
	for _, p := range []struct {
		want bool
		line *regexp.Regexp
		addr *string
	}{
		{true, clientLine, &s.ports.client},
		{s.Config.Leaf || s.Config.LeafExtra, leafLine, &s.ports.leaf},
		{s.Config.MQTT, mqttLine, &s.ports.mqtt},
		{s.Config.HTTP, httpLine, &s.ports.http},
	} {
		if !p.want {
			continue
		}
		m, err := proc.Await(ctx, p.line)
		if err != nil {
			proc.Kill()
			return err
		}
		*p.addr = m[1]
	}
	return nil
}

func (s *Server) text() string {
	var b strings.Builder
	c := s.Config
	fmt.Fprintf(&b, "server_name: %q\nlisten: %q\n", c.Name, s.ports.client)
	if c.HTTP {
		fmt.Fprintf(&b, "http: %q\n", s.ports.http)
	}
	if c.JetStream {
		fmt.Fprintf(&b, "jetstream {\n  store_dir: %q\n", filepath.Join(s.Dir, "data"))
		if c.Domain != "" {
			fmt.Fprintf(&b, "  domain: %q\n", c.Domain)
		}
		if c.SyncInterval != "" {
			fmt.Fprintf(&b, "  sync_interval: %s\n", c.SyncInterval)
		}
		b.WriteString("}\n")
	}
	if c.Leaf || len(c.Remotes) > 0 {
		b.WriteString("leafnodes {\n")
		b.WriteString(c.LeafOptions)
		if c.Leaf {
			// An edge must not learn a way around the fault proxy.
			advertise := "no_advertise: true"
			if c.Advertise != "" {
				advertise = fmt.Sprintf("advertise: %q", c.Advertise)
			}
			fmt.Fprintf(&b, "  listen: %q\n  %s\n", s.ports.leaf, advertise)
		}
		if len(c.Remotes) > 0 {
			b.WriteString("  reconnect: 1\n  remotes: [\n")
			for _, r := range c.Remotes {
				options := append([]string{fmt.Sprintf("url: %q", r), "deny_imports: [" + strings.Join(quoted(c.DenyImports), ", ") + "]"}, c.RemoteOptions...)
				fmt.Fprintf(&b, "    { %s }\n", strings.Join(options, ", "))
			}
			b.WriteString("  ]\n")
		}
		b.WriteString("}\n")
	}
	if c.MQTT {
		fmt.Fprintf(&b, "mqtt {\nlisten: %q\n%s\n}\n", s.ports.mqtt, c.MQTTOptions)
	}
	b.WriteString(c.Extra)
	return b.String()
}

// URL is where NATS clients connect.
func (s *Server) URL() string { return "nats://" + s.ports.client }

// ClientAddr is host:port of the NATS client listener.
func (s *Server) ClientAddr() string { return s.ports.client }

// LeafAddr is host:port of the leaf listener.
func (s *Server) LeafAddr() string { return s.ports.leaf }

// MQTTAddr is host:port of the MQTT listener.
func (s *Server) MQTTAddr() string { return s.ports.mqtt }

// HTTPAddr is host:port of the monitoring listener.
func (s *Server) HTTPAddr() string { return s.ports.http }

// Pid is the process id of the running server.
func (s *Server) Pid() int { return s.proc.Pid() }

// Log is what the running process printed so far.
func (s *Server) Log() string { return s.proc.Output() }

// Kill ends it with SIGKILL.
func (s *Server) Kill() { s.proc.Kill() }

// Stop ends it with SIGTERM and returns its exit error.
func (s *Server) Stop() error { return s.proc.Stop(20 * time.Second) }

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return out
}
