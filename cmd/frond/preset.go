package main

import (
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

	"github.com/frondmq/frond/cmd/frond/help"
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
	collect    string
	listen     string
	user, pass string

	port, mqttPort, httpPort, leafPort int

	tlsCert, tlsKey, tlsCA string

	help  bool
	print bool // the configuration, instead of starting
}

const (
	presetData = "frond-data"
	loopback   = "127.0.0.1"

	// What waits for clients of an edge that do not read. A box of 256 MB has to
	// survive as many of them as there are.
	edgePending      = 8 << 20
	edgePendingTotal = 24 << 20

	httpPort    = 8222
	mqttPort    = 1883
	mqttTLSPort = 8883
	leafPort    = 7422

	// unset is the value of a port that nobody gave.
	unset = -1
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
	if err := p.parse(args); err != nil {
		return fail(stderr, err)
	}
	if p.help {
		fmt.Fprint(stdout, help.Usage(p.name))
		return 0
	}
	o, err := p.options()
	if err != nil {
		return fail(stderr, err)
	}
	if !p.print && !there(p.data) {
		// Who can't start makes no folder.
		if _, err := core.New(o, modules(), nil); err != nil {
			return fail(stderr, err)
		}
		if err := core.CheckPorts(o); err != nil {
			return fail(stderr, errors.New(p.explainError(err)))
		}
	}
	if err := identify(o, !p.print); err != nil {
		return fail(stderr, err)
	}
	if p.print {
		fmt.Fprint(stdout, p.configText(o))
		return 0
	}
	r := program{options: o, words: p.explainError, ready: func(s *core.Server) error { return p.explain(s, stdout) }}
	return r.serve(stderr)
}

// flags are those of the preset.
func (p *preset) flags() *flag.FlagSet {
	f := flag.NewFlagSet("frond "+p.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&p.data, "data", presetData, "")
	f.Var(list{&p.store}, "store", "")
	f.StringVar(&p.domain, "domain", "", "")
	f.StringVar(&p.listen, "listen", "", "")
	f.StringVar(&p.user, "user", "", "")
	f.StringVar(&p.pass, "pass", "", "")
	f.IntVar(&p.port, "port", config.DefaultPort, "")
	f.IntVar(&p.httpPort, "http-port", httpPort, "")
	f.StringVar(&p.tlsCert, "tls-cert", "", "")
	f.StringVar(&p.tlsKey, "tls-key", "", "")
	f.StringVar(&p.tlsCA, "tls-ca", "", "")
	f.BoolVar(&p.print, "print-config", false, "")
	f.BoolVar(&p.help, "h", false, "")
	f.BoolVar(&p.help, "help", false, "")
	if p.edge {
		f.IntVar(&p.mqttPort, "mqtt-port", unset, "")
		f.StringVar(&p.hub, "hub", "", "")
		f.StringVar(&p.creds, "creds", "", "")
	} else {
		f.IntVar(&p.leafPort, "leaf-port", leafPort, "")
		f.StringVar(&p.collect, "collect", "", "")
	}
	return f
}

func (p *preset) parse(args []string) error {
	f := p.flags()
	if err := withoutValue(f, args); err != nil {
		return nearFlag(err, f, "frond "+p.name+" -h")
	}
	if err := f.Parse(expandStores(args)); err != nil {
		return nearFlag(err, f, "frond "+p.name+" -h")
	}
	if p.help {
		return nil
	}
	if f.NArg() > 0 {
		return fmt.Errorf("frond %s: what is %q? See frond %s -h", p.name, f.Arg(0), p.name)
	}
	return p.check()
}

// nearFlag words an error about a flag: flags have two dashes here, and of an
// unknown one it is told which was meant, or where the flags are told.
func nearFlag(err error, f *flag.FlagSet, help string) error {
	const unknown = "flag provided but not defined: -"
	text := err.Error()
	for _, before := range []string{unknown, "flag needs an argument: -", " for flag -", " for -"} {
		i := strings.LastIndex(text, before)
		if i < 0 {
			continue
		}
		i += len(before)
		name, _, _ := strings.Cut(text[i:], ":")
		if len(name) > 1 {
			text = text[:i] + "-" + text[i:]
		}
		if before != unknown {
			break
		}
		var names []string
		f.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		if near := config.Near(name, names); near != "" {
			return fmt.Errorf("%s, did you mean --%s?", text, near)
		}
		return fmt.Errorf("%s (see %s)", text, help)
	}
	return errors.New(text)
}

// explainError names the flags of a preset where the server names options.
func (p *preset) explainError(err error) string {
	flags := map[string]string{
		"port": "--port", "http_port": "--http-port", "https_port": "--http-port", "leafnodes.port": "--leaf-port", "mqtt.port": "--mqtt-port",
	}
	errs := []error{err}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		errs = all.Unwrap()
	}
	var lines []string
	for _, err := range errs {
		var port *core.PortError
		if errors.As(err, &port) && flags[port.Option] != "" {
			lines = append(lines, fmt.Sprintf("can't listen on %s: %v: %s sets another port", port.Addr, port.Err, flags[port.Option]))
		} else {
			lines = append(lines, err.Error())
		}
	}
	return strings.Join(lines, "\n")
}

// switches are the flags of a preset that take no value.
var switches = []string{"h", "help", "print-config"}

// withoutValue finds a flag behind which another one stands, in place of its
// value. A value that is named like a flag is given with "=".
func withoutValue(f *flag.FlagSet, args []string) error {
	isFlag := func(a string) (name string, ok bool) {
		name, found := strings.CutPrefix(a, "--")
		name, _, _ = strings.Cut(name, "=")
		return name, found && f.Lookup(name) != nil
	}
	for i := 0; i+1 < len(args); i++ {
		name, ok := isFlag(args[i])
		if !ok || strings.Contains(args[i], "=") || slices.Contains(switches, name) {
			continue
		}
		i++
		if next, ok := isFlag(args[i]); ok {
			return fmt.Errorf("flag needs an argument: -%s: --%s is a flag", name, next)
		}
	}
	return nil
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
			if !in && !strings.Contains(a, "=") && !slices.Contains(switches, name) && i+1 < len(args) {
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
		return fmt.Errorf("--listen %s: an address without a port; --port and the like set ports", p.listen)
	case p.user == "" && p.listen != "" && !isLoopback(p.listen):
		return fmt.Errorf("--listen %s opens the broker to everybody: give --user and --pass, or use a configuration file", p.listen)
	case (p.tlsCert == "") != (p.tlsKey == ""):
		return errors.New("--tls-cert and --tls-key belong together")
	case p.collect != "" && (p.leafPort == 0 || !has(modules(), "leafnodes")):
		return errors.New("--collect needs leaf nodes, and there are none")
	case p.tlsCA != "" && p.tlsCert == "" && p.hub == "":
		return errors.New("--tls-ca is for --tls-cert and --tls-key, or for --hub")
	}
	if err := p.checkPorts(); err != nil {
		return err
	}
	if slices.Contains(p.store, ">") {
		return errors.New(`--store ">" would store the server's own answers too: name subjects, as 'plant.>'`)
	}
	if err := core.CheckSubjects(p.store); err != nil {
		return fmt.Errorf("--store %w", err)
	}
	return nil
}

// checkPorts checks the ports; all but that of clients may be 0, which is off.
func (p *preset) checkPorts() error {
	for _, c := range []struct {
		flag      string
		port, min int
	}{{"--port", p.port, 1}, {"--http-port", p.httpPort, 0}, {"--leaf-port", p.leafPort, 0}, {"--mqtt-port", p.mqttPort, unset}} {
		if c.port < c.min || c.port > 65535 {
			return fmt.Errorf("%s %d: a port is a number from %d to 65535", c.flag, c.port, max(c.min, 0))
		}
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
	o.Port = p.port
	o.TLS = p.tls()
	switch {
	case p.httpPort == 0:
	case o.TLS != nil:
		o.HTTPHost, o.HTTPSPort = loopback, p.httpPort
	default:
		o.HTTPHost, o.HTTPPort = loopback, p.httpPort
	}
	if p.edge {
		o.MaxPending, o.MaxPendingTotal = edgePending, edgePendingTotal
	}
	o.JetStream.Enabled = true
	o.JetStream.StoreDir = p.data
	o.JetStream.Domain = p.domain
	o.EdgeStore = p.store
	mods := modules()
	if p.edge && has(mods, "mqtt") && p.mqttPort != 0 {
		o.MQTT.Set, o.MQTT.Host, o.MQTT.Port, o.MQTT.TLS = true, o.Host, p.mqttPort, p.tls()
		switch {
		case p.mqttPort == unset && o.TLS != nil:
			o.MQTT.Port = mqttTLSPort
		case p.mqttPort == unset:
			o.MQTT.Port = mqttPort
		}
	}
	switch {
	case !p.edge && has(mods, "leafnodes") && p.leafPort != 0:
		o.Leaf.Set, o.Leaf.Host, o.Leaf.Port, o.Leaf.TLS = true, o.Host, p.leafPort, p.tls()
		// Edges talk to the hub. Without this each is told at every connect what all
		// the others want.
		o.Leaf.Isolate = true
		o.Leaf.UniqueDomains = true
		o.Leaf.Collect = p.collect
	case p.hub != "":
		if !has(mods, "leafnodes") {
			return nil, errors.New("--hub: this build has no leaf links")
		}
		u, err := hubURL(p.hub)
		if err != nil {
			return nil, err
		}
		if err := readable(p.creds); err != nil {
			return nil, fmt.Errorf("--creds: %w", err)
		}
		o.Leaf.Set = true
		o.Leaf.Remotes = []config.Remote{p.newRemote(o, u)}
	}
	return o, nil
}

// tls is the block of a listener; nil without a certificate. Devices need no
// certificate of their own, but with --tls-ca one that they show must come from
// there.
func (p *preset) tls() *config.TLS {
	if p.tlsCert == "" {
		return nil
	}
	t := newTLS()
	t.CertFile, t.KeyFile, t.CAFile, t.Optional = p.tlsCert, p.tlsKey, p.tlsCA, p.tlsCA != ""
	return t
}

func (p *preset) newRemote(o *config.Options, u *url.URL) config.Remote {
	r := o.Leaf.NewRemote(u)
	r.Credentials = p.creds
	// A device reaches its hub under the name it was given, and often under no
	// other: what the hub knows of itself is behind NAT.
	r.IgnoreDiscovered = true
	// What the hub and other edges publish there is theirs to keep: taken over the
	// link, each reading would be stored on every edge.
	r.DenyImports = p.store
	if u.Scheme == "tls" || p.tlsCA != "" && p.tlsCert == "" {
		r.TLS = newTLS()
		r.TLS.CertFile, r.TLS.KeyFile, r.TLS.CAFile = p.tlsCert, p.tlsKey, p.tlsCA
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
