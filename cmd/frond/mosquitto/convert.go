package mosquitto

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// File is a text and the name that notes call it by.
type File struct{ Name, Text string }

// Note is a line that is not carried, and why.
type Note struct {
	File string
	Line int // 0: the file as a whole
	Text string
	Why  string
}

func (n Note) String() string {
	if n.Line == 0 {
		return n.File + ": " + n.Why
	}
	return fmt.Sprintf("%s:%d: %s: %s", n.File, n.Line, n.Text, n.Why)
}

// line is one that says something.
type line struct {
	file       string
	n          int
	key, value string
}

func (f File) lines() (all []line) {
	for i, text := range strings.Split(f.Text, "\n") {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(text, " ")
		all = append(all, line{f.Name, i + 1, key, strings.TrimSpace(value)})
	}
	return all
}

// Input are the files. Open reads one that the configuration names.
type Input struct {
	Conf        File
	Passwd, ACL *File // nil: those that Conf names
	Open        func(name string) (string, error)
}

// converter gathers what the lines say.
type converter struct {
	in    Input
	notes []Note

	listeners []*listener
	current   *listener // whose lines follow
	each      bool      // listeners have settings of their own
	settings            // of all listeners, or of the one that has no line of its own
	mqtt, top []string  // lines of the new configuration
	bridge    bool      // the lines of a bridge follow
}

// settings say who may come in.
type settings struct {
	anonymous *bool
	passwd    *File
	acl       *File
}

type listener struct {
	line             line
	port, host, path string
	tls              []string
	maxConns         string // "" for no limit
	who              *settings
}

// Convert makes a configuration of frond. What it can't carry is among the notes.
func Convert(in Input) (conf string, notes []Note) {
	c := &converter{in: in}
	c.passwd, c.acl = in.Passwd, in.ACL
	for _, l := range in.Conf.lines() {
		c.line(l)
	}
	if len(c.listeners) == 0 {
		// mosquitto's own default: this machine only, without users.
		c.listeners = append(c.listeners, &listener{port: "1883", host: "127.0.0.1", who: &c.settings})
		if c.anonymous == nil && c.passwd == nil {
			yes := true
			c.anonymous = &yes
		}
	}
	users, stand := c.users(c.whoIs())
	var b strings.Builder
	fmt.Fprintf(&b, "# Made of %s by frond import mosquitto. What is not carried was told there.\n", in.Conf.Name)
	b.WriteString("listen: \"127.0.0.1:4222\" # NATS clients, of this machine\njetstream { store_dir: \"/var/lib/frond\" }\n")
	for _, t := range c.top {
		b.WriteString(t + "\n")
	}
	b.WriteString("mqtt {\n")
	c.listen(&b, stand)
	for _, t := range c.mqtt {
		b.WriteString("  " + t + "\n")
	}
	b.WriteString("}\n")
	if users != "" {
		b.WriteString("authorization {\n" + users + "}\n")
	}
	return b.String(), c.told()
}

// told are the notes: what is read for several listeners is told once.
func (c *converter) told() (notes []Note) {
	for _, n := range c.notes {
		if !slices.Contains(notes, n) {
			notes = append(notes, n)
		}
	}
	return notes
}

func (c *converter) note(l line, why string) {
	text := strings.TrimSpace(l.key + " " + l.value)
	if l.key == "remote_password" || l.key == "bridge_psk" || l.key == "password" {
		text = l.key + " ..."
	}
	c.notes = append(c.notes, Note{l.file, l.n, text, why})
}

// notNeeded says something about how mosquitto works that frond does otherwise, or not
// at all, without anybody missing it.
var notNeeded = words("persistence autosave_interval autosave_on_changes persistence_file persistence_location set_tcp_nodelay protocol " +
	"pid_file user socket_domain")

// reasons are those of what has no place in a configuration of frond.
var reasons = map[string]string{
	"cafile":                     "stands in front of the listener that it is for",
	"certfile":                   "stands in front of the listener that it is for",
	"keyfile":                    "stands in front of the listener that it is for",
	"tls_version":                "TLS 1.2 and later: see min_version of a tls block",
	"max_queued_bytes":           "see mqtt { max_kept_bytes }: who publishes more is refused, and nothing is dropped",
	"include_dir":                "join the files to one first",
	"plugin":                     "there are no plug-ins",
	"auth_plugin":                "there are no plug-ins",
	"http_dir":                   "files are not served",
	"max_queued_messages":        "see mqtt { max_kept_messages }: who publishes more is refused, and nothing is dropped",
	"psk_file":                   "there are no pre-shared keys: use certificates",
	"psk_hint":                   "there are no pre-shared keys: use certificates",
	"use_identity_as_username":   "certificates name no users of MQTT",
	"use_subject_as_username":    "certificates name no users of MQTT",
	"crlfile":                    "certificates that are called back are not looked at",
	"capath":                     "name one file of certificates as cafile",
	"mount_point":                "a listener has no prefix of its own",
	"queue_qos0_messages":        "what is published with QoS 0 is not kept for who is away",
	"upgrade_outgoing_qos":       "a message comes with no higher QoS than it was published with",
	"check_retain_source":        "a retained message stays when its publisher loses the right to publish it",
	"retain_expiry_interval":     "a retained message expires by the interval that it was published with",
	"retain_available":           "retained messages are kept where JetStream is on",
	"clientid_prefixes":          "client identifiers are not bounded: see %c in permissions",
	"allow_zero_length_clientid": "clients without an identifier get one, as the protocol has it",
	"log_dest":                   "see log_file, syslog, and frond -h",
	"log_type":                   "see debug and trace",
}

func words(s string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

func (c *converter) line(l line) {
	switch {
	case l.key == "connection":
		c.bridge = true
		c.note(l, "bridges to MQTT brokers are not carried: a frond or nats-server is linked by leafnodes { remotes }")
		return
	case l.key == "listener":
		c.bridge = false
		c.listener(l)
		return
	case c.bridge:
		c.note(l, "of a bridge, which is not carried")
		return
	case c.listenerOption(l), notNeeded[l.key]:
		return
	}
	switch l.key {
	case "port":
		c.listeners = append([]*listener{{line: l, port: l.value, host: "0.0.0.0", who: &c.settings}}, c.listeners...)
	case "per_listener_settings":
		c.each = l.value == "true"
	case "allow_anonymous":
		yes := l.value == "true"
		c.of().anonymous = &yes
	case "password_file":
		c.file(l, c.in.Passwd, &c.of().passwd)
	case "acl_file":
		c.file(l, c.in.ACL, &c.of().acl)
	case "max_inflight_messages":
		if l.value == "0" {
			l.value = "65535"
		}
		c.number(l, &c.mqtt, "max_ack_pending", 1, 65535)
	case "max_packet_size", "message_size_limit":
		if l.value != "0" {
			c.number(l, &c.top, "max_payload", 1024, 64<<20)
		}
	case "max_connections", "global_max_connections":
		if c.current != nil && l.key == "max_connections" {
			c.limit(l)
		} else if l.value != "-1" {
			c.number(l, &c.top, "max_connections", 1, 1<<20)
		}
	case "persistent_client_expiration":
		c.expiration(l)
	case "use_identity_as_username", "use_subject_as_username", "queue_qos0_messages", "upgrade_outgoing_qos", "check_retain_source":
		if l.value != "false" {
			c.note(l, reasons[l.key])
		}
	case "retain_available", "allow_zero_length_clientid":
		if l.value != "true" {
			c.note(l, reasons[l.key])
		}
	case "retain_expiry_interval":
		if l.value != "0" {
			c.note(l, reasons[l.key])
		}
	case "max_queued_messages", "max_queued_bytes":
		if l.value != "0" {
			c.note(l, reasons[l.key])
			break
		}
		key := strings.Replace(l.key, "queued", "kept", 1)
		c.mqtt = append(c.mqtt, key+": 0")
	case "sys_interval":
		c.sysInterval(l)
	case "max_keepalive":
		if l.value != "0" {
			c.seconds(l, "max_keepalive", 1, 65535)
		}
	case "connection_messages":
		c.mqtt = append(c.mqtt, "connection_messages: "+strconv.FormatBool(l.value == "true"))
	default:
		why, ok := reasons[l.key]
		if !ok {
			why = "frond has nothing like it"
		}
		c.note(l, why)
	}
}

// of are the settings that a line is about.
func (c *converter) of() *settings {
	if c.each && c.current != nil {
		return c.current.who
	}
	return &c.settings
}

// whoIs are the settings of NATS clients, which mosquitto has not: those of all, or of
// the first listener that has users.
func (c *converter) whoIs() *settings {
	for _, n := range c.listeners {
		if c.each && (n.who.passwd != nil || n.who.acl != nil) {
			return n.who
		}
	}
	if c.each && len(c.listeners) > 0 {
		return c.listeners[0].who
	}
	return &c.settings
}

// limit is of the clients of a listener.
func (c *converter) limit(l line) {
	n, err := strconv.Atoi(l.value)
	switch {
	case err != nil || n < -1 || n > 1<<20:
		c.note(l, "is no number from 1 to 1048576")
	case n > 0:
		c.current.maxConns = l.value
	case n == 0:
		c.note(l, "a listener that lets nobody in: leave it out")
	}
}

// file reads one that the configuration names, if none was given.
func (c *converter) file(l line, given *File, at **File) {
	if given != nil {
		*at = given
	}
	if *at != nil { // the first counts
		return
	}
	text, err := c.in.Open(l.value)
	if err != nil {
		c.note(l, "can't be read: "+err.Error())
		return
	}
	*at = &File{l.value, text}
}

// number carries one, within what frond takes. The last of several counts.
func (c *converter) number(l line, to *[]string, key string, least, most int) {
	n, err := strconv.Atoi(l.value)
	if err != nil || n < least || n > most {
		c.note(l, fmt.Sprintf("is no number from %d to %d", least, most))
		return
	}
	for i, t := range *to {
		if strings.HasPrefix(t, key+":") {
			*to = append((*to)[:i:i], (*to)[i+1:]...)
			break
		}
	}
	*to = append(*to, key+": "+strconv.Itoa(n))
}

func (c *converter) sysInterval(l line) {
	n, err := strconv.Atoi(l.value)
	if err != nil || n < 0 {
		c.note(l, "is no number of seconds")
		return
	}
	c.mqtt = append(c.mqtt, fmt.Sprintf("sys_interval: \"%ds\"", n))
}

// seconds carries a number of seconds.
func (c *converter) seconds(l line, key string, least, most int) {
	n, err := strconv.Atoi(l.value)
	if err != nil || n < least || n > most {
		c.note(l, fmt.Sprintf("is no number of seconds from %d to %d", least, most))
		return
	}
	c.mqtt = append(c.mqtt, fmt.Sprintf("%s: \"%ds\"", key, n))
}

func (c *converter) expiration(l line) {
	hours := map[byte]int{'h': 1, 'd': 24, 'w': 7 * 24, 'm': 30 * 24, 'y': 365 * 24}
	if len(l.value) > 1 {
		n, err := strconv.Atoi(l.value[:len(l.value)-1])
		if h := hours[l.value[len(l.value)-1]]; err == nil && h > 0 && n > 0 {
			c.mqtt = append(c.mqtt, fmt.Sprintf("max_kept_time: \"%dh\"", n*h))
			return
		}
	}
	c.note(l, "is no number of h, d, w, m or y")
}

func (c *converter) listener(l line) {
	f := strings.Fields(l.value)
	n := &listener{line: l, host: "0.0.0.0", who: &c.settings}
	if c.each {
		n.who = new(settings)
	}
	c.current = n
	switch {
	case len(f) == 2 && f[0] == "0":
		n.path = f[1]
	case len(f) == 2:
		n.host = f[1]
		fallthrough
	case len(f) == 1:
		n.port = f[0]
	}
	if p, err := strconv.Atoi(n.port); n.path == "" && (err != nil || p < 1 || p > 65535) {
		c.note(l, "is no port")
		return
	}
	c.listeners = append(c.listeners, n)
}

// tlsKeys are the lines of a listener that are options of its tls block.
var tlsKeys = map[string]string{"cafile": "ca_file", "certfile": "cert_file", "keyfile": "key_file"}

func (c *converter) listenerOption(l line) bool {
	at := c.current
	if at == nil && len(c.listeners) > 0 {
		at = c.listeners[0]
	}
	switch key := tlsKeys[l.key]; {
	case key != "" && at != nil:
		at.tls = append(at.tls, key+": "+quote(l.value))
	case l.key == "require_certificate" && at != nil:
		if l.value == "true" {
			at.tls = append(at.tls, "verify: true")
		}
	case l.key == "bind_address" && at != nil && at.path == "":
		at.host = l.value
	case l.key == "protocol" && l.value == "websockets":
		c.note(l, "a listener for WebSockets is not carried: see websocket {}, which speaks MQTT at the path /mqtt")
		c.drop(at)
	default:
		return false
	}
	return true
}

func (c *converter) drop(at *listener) {
	for i, n := range c.listeners {
		if n == at {
			c.listeners = append(c.listeners[:i:i], c.listeners[i+1:]...)
			return
		}
	}
}

// listen writes the listeners: a Unix socket, and one port of the block or more, each
// with what is its own. stand is who presents nothing.
func (c *converter) listen(b *strings.Builder, stand string) {
	var ports []*listener
	socket := false
	apart := c.each // nothing of a port may be that of the block
	for _, n := range c.listeners {
		switch {
		case n.path == "":
			ports = append(ports, n)
			apart = apart || n.maxConns != ""
		case socket:
			c.note(n.line, "there is one Unix socket")
		default:
			socket = true
			fmt.Fprintf(b, "  unix_socket: %s\n", quote(n.path))
			if c.each {
				c.note(n.line, "its clients have the users and rights of the authorization block at the end")
			}
		}
	}
	if stand != "" && (socket || !c.each) {
		c.mqtt = append(c.mqtt, "no_auth_user: "+quote(stand))
	}
	if !apart && len(ports) > 0 {
		fmt.Fprintf(b, "  listen: %s\n", ports[0].address())
		if len(ports[0].tls) > 0 {
			fmt.Fprintf(b, "  %s\n", ports[0].secured())
		}
		ports = ports[1:]
	}
	if len(ports) == 0 {
		return
	}
	b.WriteString("  listeners: [\n")
	for _, n := range ports {
		c.port(b, n, stand)
	}
	b.WriteString("  ]\n")
}

// port writes one of several.
func (c *converter) port(b *strings.Builder, n *listener, stand string) {
	fmt.Fprintf(b, "    {\n      listen: %s\n", n.address())
	if len(n.tls) > 0 {
		fmt.Fprintf(b, "      %s\n", n.secured())
	}
	if n.maxConns != "" {
		fmt.Fprintf(b, "      max_connections: %s\n", n.maxConns)
	}
	if c.each {
		var users string
		users, stand = c.users(n.who)
		if users == "" { // everybody, where others may have users
			users, stand = "  users: [\n    { user: "+quote(anonymousName)+" }\n  ]\n", anonymousName
			c.note(n.line, "lets in who presents nothing; who presents a name and a password has to leave them out")
		}
		fmt.Fprintf(b, "      authorization {\n%s      }\n", indented(users, "      "))
	}
	if stand != "" {
		fmt.Fprintf(b, "      no_auth_user: %s\n", quote(stand))
	}
	b.WriteString("    }\n")
}

func (n *listener) address() string { return quote(net.JoinHostPort(n.host, n.port)) }
func (n *listener) secured() string { return "tls { " + strings.Join(n.tls, ", ") + " }" }

func indented(text, by string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString(by + l)
	}
	return b.String()
}

// quote makes a string of the configuration language.
func quote(s string) string { return strconv.Quote(s) }
