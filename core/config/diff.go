package config

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Change is one option that differs between two sets of options.
type Change struct {
	// Path is that of Pos, with a name instead of a number where a list has names:
	// "max_payload", "authorization.users[bob].password".
	Path string
	// Old and New are for the eye. Of a secret they say only whether there is one,
	// of a block "on" or "off".
	Old, New string
	Reload   Reload   // Live or Restart
	Pos      Position // in the file of the new options, of the key or of the block around it; zero if there is none
}

// masked is shown instead of a secret.
const masked = "***"

// Diff is what differs, in the order of Options. The keys of a block that is
// switched on or off are not told one by one.
func Diff(from, to *Options) []Change {
	d := &differ{to: to, sections: map[string]Section{}}
	for _, s := range Reference() {
		d.sections[s.Name] = s
	}
	d.structs(place{}, reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem())
	return d.out
}

// Refused is an error for each change below path that a reload can't make, nil if
// there is none. "" is everything.
func Refused(changes []Change, path string) error {
	var errs Errors
	for i := range changes {
		c := &changes[i]
		if c.Reload != Live && c.Below(path) {
			errs = append(errs, &Error{Pos: c.Pos, Reason: fmt.Sprintf("config reload not supported for %s: old=%s, new=%s", c.Path, c.Old, c.New)})
		}
	}
	if errs == nil {
		return nil
	}
	return errs
}

// Below reports whether the option is path, or stands in that block.
func (c *Change) Below(path string) bool {
	rest, ok := strings.CutPrefix(c.Path, path)
	return path == "" || ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// differ walks over two values of one type. The tags of Options name the keys:
// the first is the key, the others set it too, from the top level if they begin
// with a slash. Beside names a tag may say what
// kind of field it is: "-" has no key, "" is a part of the block around it, "on!"
// says whether the block is there, and "secret!" is not shown.
type differ struct {
	to       *Options
	sections map[string]Section
	out      []Change
}

// place is where the differ is: the path as shown, as Pos knows it, and the table.
type place struct{ path, pos, section string }

func (p place) key(name string) place {
	return place{join(p.path, name), join(p.pos, name), join(p.section, name)}
}

// sectionOf are the tables of blocks that stand in several places.
var sectionOf = map[reflect.Type]string{
	reflect.TypeFor[UnixSocket]():  "unix_socket",
	reflect.TypeFor[TLS]():         "tls",
	reflect.TypeFor[CertPair]():    "tls.certs[]",
	reflect.TypeFor[Permissions](): "permissions",
	reflect.TypeFor[Rules]():       "permissions.publish",
	reflect.TypeFor[Responses]():   "permissions.allow_responses",
	reflect.TypeFor[Compression](): "compression",
}

func (d *differ) structs(at place, a, b reflect.Value) {
	if s := sectionOf[a.Type()]; s != "" {
		at.section = s
	}
	for i := range a.NumField() {
		f := a.Type().Field(i)
		tag, ok := f.Tag.Lookup("key")
		names := strings.Fields(tag)
		switch {
		case !f.IsExported(), tag == "-", tag == "on!":
		case !ok:
			panic("config: no key for " + f.Name) // a test walks over all of them
		case tag == "":
			d.structs(at, a.Field(i), b.Field(i))
		default:
			d.field(at, names, a.Field(i), b.Field(i))
		}
	}
}

func (d *differ) field(block place, names []string, a, b reflect.Value) {
	at := block.key(names[0])
	secret := slices.Contains(names, "secret!")
	switch {
	case a.Kind() == reflect.Pointer && a.Type().Elem().Kind() == reflect.Struct:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				d.change(block, names, onOff(!a.IsNil()), onOff(!b.IsNil()))
			}
			return
		}
		d.structs(at, a.Elem(), b.Elem())
	case a.Kind() == reflect.Struct:
		if was, is := isOn(a), isOn(b); was != is {
			d.change(block, names, onOff(was), onOff(is))
			return
		}
		d.structs(at, a, b)
	case a.Type() == reflect.TypeFor[[]User]() || a.Type() == reflect.TypeFor[[]Remote]() || a.Type() == reflect.TypeFor[[]Account](),
		a.Type() == reflect.TypeFor[[]MQTTListener]():
		d.list(block, names, a, b)
	case !reflect.DeepEqual(a.Interface(), b.Interface()):
		if n := len(d.out); n > 0 && d.out[n-1].Path == at.path {
			return // two fields of one key
		}
		old, now := shown(a.Interface()), shown(b.Interface())
		if secret {
			old, now = mask(old), mask(now)
		}
		d.change(block, names, old, now)
	}
}

// list compares lists whose elements have names: the order does not matter.
func (d *differ) list(block place, names []string, a, b reflect.Value) {
	at := block.key(names[0])
	old, now := elements(a), elements(b)
	same := len(old.ids) == len(now.ids)
	for _, id := range old.ids {
		same = same && slices.Contains(now.ids, id)
	}
	if !same {
		d.change(block, names, fmt.Sprint(old.shown), fmt.Sprint(now.shown))
	}
	for i, id := range old.ids {
		j := slices.Index(now.ids, id)
		if j < 0 {
			continue
		}
		d.structs(place{
			path:    at.path + "[" + now.shown[j] + "]",
			pos:     fmt.Sprintf("%s[%d]", at.pos, j),
			section: at.section + "[]",
		}, a.Index(i), b.Index(j))
	}
}

type names struct{ ids, shown []string }

func elements(list reflect.Value) (n names) {
	for i := range list.Len() {
		switch e := list.Index(i).Addr().Interface().(type) {
		case *User:
			n.add(e.User+e.NKey, e.User+e.NKey)
		case *Remote:
			n.add(e.identity(), e.shown())
		case *Account:
			n.add(e.Name, e.Name)
		case *MQTTListener:
			n.add(e.ID(), e.ID())
		}
	}
	return n
}

func (n *names) add(id, shown string) {
	n.ids, n.shown = append(n.ids, id), append(n.shown, shown)
}

// change notes one. Positions of a file are by the names that were used.
func (d *differ) change(block place, names []string, old, now string) {
	c := Change{Path: join(block.path, names[0]), Old: old, New: now, Reload: Restart}
	s := d.sections[block.section]
	for i := range s.Keys {
		if s.Keys[i].Name == names[0] {
			c.Reload = s.Keys[i].Reload
		}
	}
	for _, n := range names {
		at := join(block.pos, n)
		if n[0] == '/' {
			at = n[1:]
		}
		if c.Pos.IsZero() {
			c.Pos = d.to.Pos(at)
		}
	}
	for up := block.pos; c.Pos.IsZero() && up != ""; {
		c.Pos = d.to.Pos(up)
		up = up[:max(strings.LastIndexAny(up, ".["), 0)]
	}
	d.out = append(d.out, c)
}

// Blocks are the rows of the blocks of modules that are on, in the order of the
// table.
func (o *Options) Blocks() (on []Key) {
	v := reflect.ValueOf(o).Elem()
	for _, f := range topTable().fields {
		if f.Module == "" {
			continue
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("key") == f.Name && isOn(v.Field(i)) {
				on = append(on, f.Key)
			}
		}
	}
	return on
}

// isOn reports whether a block is there that has a field for that; others always
// are.
func isOn(v reflect.Value) bool {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("key") == "on!" {
			return v.Field(i).Bool()
		}
	}
	return true
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func mask(s string) string {
	if s == "" {
		return ""
	}
	return masked
}

// shown is a value as somebody reads it.
func shown(v any) string {
	switch v := v.(type) {
	case []*url.URL:
		texts := make([]string, len(v))
		for i, u := range v {
			texts[i] = ShownURL(u)
		}
		return fmt.Sprint(texts)
	case []PeerUser:
		texts := make([]string, len(v))
		for i, p := range v {
			if p.UID != "" {
				texts[i] += "uid " + p.UID + " "
			}
			if p.GID != "" {
				texts[i] += "gid " + p.GID + " "
			}
			texts[i] += "user " + p.User
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case uint32: // of rights
		return fmt.Sprintf("%04o", v)
	case uint16:
		return tls.VersionName(v)
	case []uint16:
		texts := make([]string, len(v))
		for i, id := range v {
			texts[i] = tls.CipherSuiteName(id)
		}
		return fmt.Sprint(texts)
	}
	return fmt.Sprint(v)
}

// identity says which of several remotes it is: with the same one, a remote is
// changed, and else it is another.
func (r *Remote) identity() string {
	ids := make([]string, len(r.URLs))
	for i, u := range r.URLs {
		ids[i] = u.String()
	}
	slices.Sort(ids)
	return strings.Join(append(ids, r.Account, r.Credentials), "\n")
}

// shown names a remote without its secrets.
func (r *Remote) shown() string {
	var text string
	if len(r.URLs) > 0 {
		text = ShownURL(r.URLs[0])
	}
	if r.Account != GlobalAccount {
		text += " account " + r.Account
	}
	if r.Credentials != "" {
		text += " " + r.Credentials
	}
	return text
}
