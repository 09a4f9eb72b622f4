package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// reachedAt is how another machine names an address we listen on.
func reachedAt(host string, port int) string {
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "THIS-HOST"
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}

// lookTimeout bounds looking at the stream for the banner.
const lookTimeout = 10 * time.Second

// explain says what listens where and what to try.
func (p *preset) explain(s *core.Server, w io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	kept, err := s.EdgeStore(ctx)
	if err != nil {
		return err
	}
	o := s.Options()
	var b strings.Builder
	fmt.Fprintf(&b, "\nfrond %s %s is ready.\n", p.name, core.ProgramVersion())
	p.listening(&b, o)
	p.storing(&b, kept)
	p.warnings(&b, o)
	p.suggestions(&b, o, kept)
	fmt.Fprintln(&b)
	_, err = io.WriteString(w, b.String())
	return err
}

// listening says what listens where.
func (p *preset) listening(b *strings.Builder, o *config.Options) {
	at := func(host string, port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }
	scheme := func(plain string, t *config.TLS) string {
		if t != nil {
			return "tls"
		}
		return plain
	}
	fmt.Fprintf(b, "  NATS        %s://%s\n", scheme("nats", o.TLS), at(o.Host, o.Port))
	if o.MQTT.Port != 0 {
		fmt.Fprintf(b, "  MQTT        %s://%s\n", scheme("mqtt", o.MQTT.TLS), at(o.MQTT.Host, o.MQTT.Port))
	}
	if o.Leaf.Port != 0 {
		fmt.Fprintf(b, "  Leaf nodes  %s://%s\n", scheme("nats-leaf", o.Leaf.TLS), at(o.Leaf.Host, o.Leaf.Port))
	}
	switch {
	case o.HTTPPort != 0:
		fmt.Fprintf(b, "  Monitoring  http://%s\n", at(o.HTTPHost, o.HTTPPort))
	case o.HTTPSPort != 0:
		fmt.Fprintf(b, "  Monitoring  https://%s\n", at(o.HTTPHost, o.HTTPSPort))
	}
	fmt.Fprintf(b, "  Streams     in %s\n", o.JetStream.StoreDir)
	if o.JetStream.Domain != "" {
		fmt.Fprintf(b, "  Domain      %s\n", o.JetStream.Domain)
	}
	for i := range o.Leaf.Remotes {
		fmt.Fprintf(b, "  Hub         %s\n", config.ShownURL(o.Leaf.Remotes[i].URLs[0]))
	}
}

// storing says what the stream keeps, and what it no longer does.
func (p *preset) storing(b *strings.Builder, kept core.KeptStream) {
	if len(kept.Subjects) == 0 {
		return
	}
	from := ""
	if len(p.store) == 0 {
		from = ", as before"
	}
	fmt.Fprintf(b, "  Stream %s keeps %s%s (%d messages in it)\n", core.EdgeStream, strings.Join(kept.Subjects, ", "), from, kept.Messages)
	if len(kept.Dropped) > 0 {
		fmt.Fprintf(b, "  It no longer keeps %s: what is in the stream of it stays, what comes now is not stored.\n", strings.Join(kept.Dropped, ", "))
	}
}

// warnings say what is open that perhaps should not be.
func (p *preset) warnings(b *strings.Builder, o *config.Options) {
	switch {
	case isLoopback(o.Host) && o.Auth.User != "":
		fmt.Fprintf(b, "\nOnly this machine can connect. To open it: --listen ADDR.\n")
	case isLoopback(o.Host):
		fmt.Fprintf(b, "\nOnly this machine can connect. To open it: --user USER --pass PASSWORD --listen ADDR,\nor a configuration file (frond -c FILE).\n")
	case o.TLS == nil:
		fmt.Fprintf(b, "\nWARNING: without TLS, passwords and messages can be read on the way:\n--tls-cert FILE --tls-key FILE encrypt all ports.\n")
	}
}

// suggestions are commands to try.
func (p *preset) suggestions(b *strings.Builder, o *config.Options, kept core.KeptStream) {
	login, device, leafLogin := "", "", ""
	if p.user != "" {
		login = " --user " + p.user + " --password ..."
		device = " -u " + p.user + " -P ..."
		leafLogin = url.User(p.user).String() + ":...@"
	}
	host := o.Host
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = loopback
	}
	server := ""
	if o.TLS != nil {
		server = " -s tls://" + net.JoinHostPort(host, fmt.Sprint(o.Port))
	} else if o.Port != config.DefaultPort || host != loopback {
		server = " -s " + net.JoinHostPort(host, fmt.Sprint(o.Port))
	}
	fmt.Fprintf(b, "\nTry:\n  nats%s%s sub 'plant.>'\n  nats%s%s pub plant.line1.temp 21.5\n", server, login, server, login)
	if o.MQTT.Port != 0 {
		where := ""
		if host != loopback {
			where = " -h " + host
		}
		if o.MQTT.Port != mqttPort {
			where += fmt.Sprintf(" -p %d", o.MQTT.Port)
		}
		if o.MQTT.TLS != nil {
			where += " --cafile ..."
		}
		fmt.Fprintf(b, "  mosquitto_pub%s%s -t plant/line1/temp -m 21.5 -q 1\n", where, device)
	}
	if p.edge && len(kept.Subjects) == 0 {
		fmt.Fprintf(b, "To keep messages: frond edge --store 'plant.>'\n")
	}
	// On loopback only this machine can link to it.
	if o.Leaf.Port != 0 && !isLoopback(o.Host) {
		scheme := "nats-leaf"
		if o.Leaf.TLS != nil {
			scheme = "tls"
		}
		fmt.Fprintf(b, "  frond edge --hub %s://%s%s   (on another machine)\n", scheme, leafLogin, reachedAt(o.Host, o.Leaf.Port))
	}
}
