package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// preset is a server for people who do not want to write a configuration:
// an edge or a hub.
type preset struct {
	name  string
	edge  bool
	data  string
	store []string
	hub   string
	creds string

	domain     string
	listen     string
	user, pass string
}

const (
	presetData   = "frond-data"
	presetStream = "EDGE"
	loopback     = "127.0.0.1"

	// What waits for clients of an edge that do not read. A box of 256 MB has to
	// survive as many of them as there are.
	edgePending      = 8 << 20
	edgePendingTotal = 24 << 20

	httpPort = 8222
	mqttPort = 1883
	leafPort = 7422
)

// list is a flag that may be given again.
type list struct{ to *[]string }

func (l list) String() string { return "" }
func (l list) Set(s string) error {
	*l.to = append(*l.to, s)
	return nil
}

func runPreset(name string, args []string, stdout, stderr io.Writer) int {
	p := &preset{name: name, edge: name == "edge"}
	switch err := p.parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		return fail(stderr, err)
	}
	o, err := p.options()
	if err != nil {
		return fail(stderr, err)
	}
	return serve(o, nil, stderr, func(s *core.Server) error {
		if err := p.keepStream(s); err != nil {
			return err
		}
		p.explain(s, stdout)
		return nil
	})
}

func (p *preset) parse(args []string) error {
	f := flag.NewFlagSet("frond "+p.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&p.data, "data", presetData, "")
	f.Var(list{&p.store}, "store", "")
	f.StringVar(&p.domain, "domain", "", "")
	f.StringVar(&p.listen, "listen", "", "")
	f.StringVar(&p.user, "user", "", "")
	f.StringVar(&p.pass, "pass", "", "")
	if p.edge {
		f.StringVar(&p.hub, "hub", "", "")
		f.StringVar(&p.creds, "creds", "", "")
	}
	if err := f.Parse(expandStores(args)); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("frond %s: what is %q? See frond --help", p.name, f.Arg(0))
	}
	return p.check()
}

// expandStores lets --store take several subjects: each word behind the first
// gets a --store of its own.
func expandStores(args []string) []string {
	var out []string
	in := false // behind --store and its first subject
	for i := 0; i < len(args); i++ {
		a := args[i]
		name := strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-")
		switch {
		case !strings.HasPrefix(a, "-"):
			if in {
				out = append(out, "--store")
			}
			out = append(out, a)
		case name == "store" && i+1 < len(args):
			i++
			out = append(out, a, args[i])
			in = true
		default:
			out = append(out, a)
			in = strings.HasPrefix(name, "store=")
			if !in && !strings.Contains(a, "=") && i+1 < len(args) {
				// All other flags of a preset have a value.
				i++
				out = append(out, args[i])
			}
		}
	}
	return out
}

func (p *preset) check() error {
	switch {
	case (p.user == "") != (p.pass == ""):
		return errors.New("--user and --pass belong together")
	case p.creds != "" && p.hub == "":
		return errors.New("--creds are for --hub")
	case hasPort(p.listen):
		return fmt.Errorf("--listen %s: an address without a port; a configuration file sets ports", p.listen)
	case p.user == "" && p.listen != "" && !isLoopback(p.listen):
		return fmt.Errorf("--listen %s opens the broker to everybody: give --user and --pass, or use a configuration file", p.listen)
	}
	if slices.Contains(p.store, ">") {
		return errors.New(`--store ">" would store the server's own answers too: name subjects, as 'plant.>'`)
	}
	if err := core.CheckSubjects(p.store); err != nil {
		return fmt.Errorf("--store %w", err)
	}
	return nil
}

// hasPort reports whether an address ends in a port; a bare IPv6 address
// does not.
func hasPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}

// isLoopback reports whether an address is reached from this machine only.
func isLoopback(addr string) bool {
	if addr == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(addr)
	return err == nil && a.IsLoopback()
}

func (p *preset) options() (*config.Options, error) {
	o := config.Defaults()
	o.Host = loopback
	if p.user != "" {
		o.Host = config.DefaultHost
		o.Auth.User, o.Auth.Password = p.user, p.pass
	}
	if p.listen != "" {
		o.Host = p.listen
	}
	o.HTTPHost, o.HTTPPort = loopback, httpPort
	if p.edge {
		o.MaxPending, o.MaxPendingTotal = edgePending, edgePendingTotal
	}
	o.JetStream.Enabled = true
	o.JetStream.StoreDir = p.data
	o.JetStream.Domain = p.domain
	mods := modules()
	if p.edge && has(mods, "mqtt") {
		o.MQTT.Set, o.MQTT.Host, o.MQTT.Port = true, o.Host, mqttPort
	}
	switch {
	case !p.edge && has(mods, "leafnodes"):
		o.Leaf.Set, o.Leaf.Host, o.Leaf.Port = true, o.Host, leafPort
		// Edges talk to the hub. Without this each is told at every connect what all
		// the others want.
		o.Leaf.Isolate = true
	case p.hub != "":
		if !has(mods, "leafnodes") {
			return nil, errors.New("--hub: this build has no leaf links")
		}
		if o.JetStream.Domain == "" {
			// Two JetStreams in one account are told apart by their domains.
			o.JetStream.Domain = "edge"
		}
		u, err := hubURL(p.hub)
		if err != nil {
			return nil, err
		}
		if err := readable(p.creds); err != nil {
			return nil, fmt.Errorf("--creds: %w", err)
		}
		o.Leaf.Set = true
		o.Leaf.Remotes = []config.Remote{newRemote(o, u, p.creds)}
	}
	return o, nil
}

func newRemote(o *config.Options, u *url.URL, creds string) config.Remote {
	r := config.Remote{
		URLs:              []*url.URL{u},
		Account:           config.GlobalAccount,
		Credentials:       creds,
		Compression:       o.Leaf.Compression,
		DialTimeout:       o.Leaf.DialTimeout,
		ReconnectInterval: o.Leaf.Reconnect,
		// A device reaches its hub under the name it was given, and often
		// under no other: what the hub knows of itself is behind NAT.
		IgnoreDiscovered: true,
	}
	if u.Scheme == "tls" {
		r.TLS = newTLS()
	}
	return r
}

// hubURL accepts host, host:port and URLs.
func hubURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "nats-leaf://" + text
	}
	u, err := config.LeafURL(text)
	if err != nil {
		return nil, fmt.Errorf("--hub: %w", err)
	}
	return u, nil
}

// readable says what keeps a file from being read; no name is fine.
func readable(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// keepTimeout bounds making the stream at the start.
const keepTimeout = 10 * time.Second

// keepStream creates the stream for --store, or gives it other subjects.
func (p *preset) keepStream(s *core.Server) error {
	if len(p.store) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	if err := s.KeepStream(ctx, presetStream, p.store); err != nil {
		return fmt.Errorf("stream %s: %w", presetStream, err)
	}
	return nil
}

// reachedAt is how another machine names an address we listen on.
func reachedAt(host string, port int) string {
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "THIS-HOST"
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}

// explain says what listens where and what to try.
func (p *preset) explain(s *core.Server, w io.Writer) {
	o := s.Options()
	at := func(port int) string { return net.JoinHostPort(o.Host, fmt.Sprint(port)) }
	var b strings.Builder
	fmt.Fprintf(&b, "\nfrond %s is ready.\n", p.name)
	fmt.Fprintf(&b, "  NATS        nats://%s\n", at(o.Port))
	if o.MQTT.Set {
		fmt.Fprintf(&b, "  MQTT        %s\n", at(o.MQTT.Port))
	}
	if o.Leaf.Port != 0 {
		fmt.Fprintf(&b, "  Leaf nodes  nats-leaf://%s\n", at(o.Leaf.Port))
	}
	fmt.Fprintf(&b, "  Monitoring  http://%s\n", net.JoinHostPort(o.HTTPHost, fmt.Sprint(o.HTTPPort)))
	fmt.Fprintf(&b, "  Streams     in %s\n", o.JetStream.StoreDir)
	if o.JetStream.Domain != "" {
		fmt.Fprintf(&b, "  Domain      %s\n", o.JetStream.Domain)
	}
	for i := range o.Leaf.Remotes {
		fmt.Fprintf(&b, "  Hub         %s\n", o.Leaf.Remotes[i].URLs[0].Redacted())
	}
	if len(p.store) > 0 {
		fmt.Fprintf(&b, "  Stream %s keeps %s\n", presetStream, strings.Join(p.store, ", "))
	}
	if isLoopback(o.Host) {
		fmt.Fprintf(&b, "\nOnly this machine can connect. To open it: --user USER --pass PASSWORD --listen ADDR,\nor a configuration file (frond -c FILE).\n")
	}
	login, device, leafLogin := "", "", ""
	if p.user != "" {
		login = " --user " + p.user + " --password ..."
		device = " -u " + p.user + " -P ..."
		leafLogin = url.User(p.user).String() + ":...@"
	}
	fmt.Fprintf(&b, "\nTry:\n  nats%s sub 'plant.>'\n  nats%s pub plant.line1.temp 21.5\n", login, login)
	if o.MQTT.Set {
		fmt.Fprintf(&b, "  mosquitto_pub%s -t plant/line1/temp -m 21.5 -q 1\n", device)
	}
	if p.edge && len(p.store) == 0 {
		fmt.Fprintf(&b, "To keep messages: frond edge --store 'plant.>'\n")
	}
	// On loopback nobody else can link to it, and a second preset on this
	// machine would want the same ports.
	if o.Leaf.Port != 0 && !isLoopback(o.Host) {
		fmt.Fprintf(&b, "  frond edge --hub nats-leaf://%s%s   (on another machine)\n", leafLogin, reachedAt(o.Host, o.Leaf.Port))
	}
	fmt.Fprintln(&b)
	io.WriteString(w, b.String())
}
