package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/frondmq/frond/core/config"
)

// configText is a configuration file that does what the flags do. Paths are
// made absolute: the file may be used from anywhere.
func (p *preset) configText(o *config.Options) string {
	w := &configWriter{}
	w.line("# frond %s, as a configuration file: frond -c FILE", p.name)
	if p.pass != "" || len(o.Leaf.Remotes) > 0 {
		w.line("# It holds passwords: let nobody else read it.")
	}
	at := func(host string, port int) string { return quoted(net.JoinHostPort(host, fmt.Sprint(port))) }
	if o.ServerName != "" {
		w.line("# Each server has a name and a domain of its own: change both in a copy.")
		w.line("server_name: %s", quoted(o.ServerName))
	}
	w.line("listen: %s", at(o.Host, o.Port))
	switch {
	case o.HTTPPort != 0:
		w.line("http: %s", at(o.HTTPHost, o.HTTPPort))
	case o.HTTPSPort != 0:
		w.line("https: %s", at(o.HTTPHost, o.HTTPSPort))
	}
	if o.MaxPending != config.Defaults().MaxPending {
		w.line("max_pending: %d", o.MaxPending)
	}
	if o.MaxPendingTotal != 0 {
		w.line("max_pending_total: %d", o.MaxPendingTotal)
	}
	w.tls(o.TLS)
	if o.Auth.User != "" {
		w.line("authorization { user: %s, password: %s }", quoted(o.Auth.User), quoted(o.Auth.Password))
	}
	w.jetStream(o)
	if o.MQTT.Set {
		w.open("mqtt")
		w.line("listen: %s", at(o.MQTT.Host, o.MQTT.Port))
		w.tls(o.MQTT.TLS)
		w.close()
	}
	if o.Leaf.Set {
		w.leaf(o, at)
	}
	return w.b.String()
}

type configWriter struct {
	b     strings.Builder
	depth int
}

func (w *configWriter) line(format string, args ...any) {
	w.b.WriteString(strings.Repeat("  ", w.depth))
	fmt.Fprintf(&w.b, format+"\n", args...)
}

func (w *configWriter) open(name string) {
	w.line("%s {", name)
	w.depth++
}

func (w *configWriter) close() {
	w.depth--
	w.line("}")
}

func (w *configWriter) jetStream(o *config.Options) {
	j := &o.JetStream
	w.open("jetstream")
	w.line("store_dir: %s", quoted(absolute(j.StoreDir)))
	if j.Domain != "" {
		w.line("domain: %s", quoted(j.Domain))
	}
	if j.MaxMemory >= 0 {
		w.line("max_memory_store: %d", j.MaxMemory)
	}
	if j.MaxStore >= 0 {
		w.line("max_file_store: %d", j.MaxStore)
	}
	w.close()
	if len(o.EdgeStore) > 0 {
		w.line("edge_store: [%s]", quotedList(o.EdgeStore))
	}
}

func (w *configWriter) leaf(o *config.Options, at func(string, int) string) {
	l := &o.Leaf
	w.open("leafnodes")
	if l.Port != 0 {
		w.line("listen: %s", at(l.Host, l.Port))
		w.tls(l.TLS)
	}
	if l.Isolate {
		w.line("isolate_leafnode_interest: true")
	}
	if l.Collect != "" {
		w.line("collect: %s", quoted(l.Collect))
	}
	if l.UniqueDomains {
		w.line("unique_domains: true")
	}
	if len(l.Remotes) > 0 {
		w.line("remotes: [")
		w.depth++
		for i := range l.Remotes {
			r := &l.Remotes[i]
			w.line("{")
			w.depth++
			w.line("url: %s", quoted(r.URLs[0].String()))
			if r.Credentials != "" {
				w.line("credentials: %s", quoted(absolute(r.Credentials)))
			}
			w.line("ignore_discovered_servers: %t", r.IgnoreDiscovered)
			if len(r.DenyImports) > 0 {
				w.line("deny_imports: [%s]", quotedList(r.DenyImports))
			}
			w.tls(r.TLS)
			w.close()
		}
		w.depth--
		w.line("]")
	}
	w.close()
}

func (w *configWriter) tls(t *config.TLS) {
	if t == nil {
		return
	}
	w.open("tls")
	for _, f := range []struct{ key, path string }{{"cert_file", t.CertFile}, {"key_file", t.KeyFile}, {"ca_file", t.CAFile}} {
		if f.path != "" {
			w.line("%s: %s", f.key, quoted(absolute(f.path)))
		}
	}
	if t.Optional {
		w.line("verify: optional")
	}
	w.close()
}

// absolute is the path, or path itself where the working folder is unknown.
func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

func quotedList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quoted(s)
	}
	return strings.Join(out, ", ")
}

// quoted is text as the configuration language reads it back.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, "\\x%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
