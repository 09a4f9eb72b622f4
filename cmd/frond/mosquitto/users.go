package mosquitto

import (
	"fmt"
	"slices"
	"strings"
)

// rights are what a user, or everybody, may do: subjects by access.
type rights struct{ publish, subscribe, deny []string }

// anonymousName is the user of those who present nothing.
const anonymousName = "anonymous"

// users writes the users of an authorization block, and who stands for those who present
// nothing; "" where everybody is welcome.
func (c *converter) users(s *settings) (text, stand string) {
	anonymous := s.anonymous != nil && *s.anonymous
	names, hashes := c.passwords(s.passwd)
	given, patterns := c.rights(s.acl, hashes)
	if s.passwd == nil && s.acl == nil && anonymous {
		return "", ""
	}
	var b strings.Builder
	if s.acl != nil {
		b.WriteString("  # A subscription that is wider than the rights of its user is refused; mosquitto\n  # narrows what is heard.\n")
	}
	b.WriteString("  users: [\n")
	write := func(name, hash string, r *rights) {
		fmt.Fprintf(&b, "    { user: %s", quote(name))
		if hash != "" {
			fmt.Fprintf(&b, ", password: %s", quote(hash))
		}
		if s.acl != nil {
			all := patterns
			if r != nil {
				all = rights{append(slices.Clone(r.publish), patterns.publish...), append(slices.Clone(r.subscribe), patterns.subscribe...), append(slices.Clone(r.deny), patterns.deny...)}
			}
			b.WriteString("\n      permissions " + all.String())
		}
		b.WriteString(" }\n")
	}
	for _, name := range names {
		write(name, hashes[name], given[name])
	}
	if anonymous {
		stand = anonymousName
		patterns = patterns.ofNobody()
		write(anonymousName, "", given[""])
	} else if len(names) == 0 {
		c.notes = append(c.notes, Note{File: c.in.Conf.Name, Why: "lets nobody in, for it has neither users nor allow_anonymous: make users, or take the authorization block away"})
		write("nobody", "", nil)
	}
	b.WriteString("  ]\n")
	return b.String(), stand
}

// ofNobody are the patterns of who has no user name.
func (r rights) ofNobody() rights {
	named := func(s string) bool { return slices.Contains(strings.Split(s, "."), "%u") }
	for _, l := range []*[]string{&r.publish, &r.subscribe, &r.deny} {
		*l = slices.DeleteFunc(slices.Clone(*l), named)
	}
	return r
}

// passwords are the users of the password file, in its order.
func (c *converter) passwords(of *File) (names []string, hashes map[string]string) {
	hashes = make(map[string]string)
	if of == nil {
		return nil, hashes
	}
	for i, text := range strings.Split(of.Text, "\n") {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(text, ":")
		shown := Note{of.Name, i + 1, name, ""}
		switch {
		case !ok || name == "":
			shown.Text, shown.Why = "...", "is no user and hash"
		case !strings.HasPrefix(hash, "$7$"):
			shown.Why = "only hashes that begin with $7$ are known, those of mosquitto 2: make one with frond passwd or mosquitto_passwd"
		case hashes[name] != "":
			shown.Why = "stands there twice"
		default:
			names, hashes[name] = append(names, name), hash
			continue
		}
		c.notes = append(c.notes, shown)
	}
	return names, hashes
}

// rights are those of each user of the ACL file, "" for who presents nothing, and the
// patterns, which are everybody's.
func (c *converter) rights(file *File, known map[string]string) (of map[string]*rights, patterns rights) {
	of = make(map[string]*rights)
	if file == nil {
		return of, patterns
	}
	user := ""
	for _, l := range file.lines() {
		if l.key == "user" {
			if user = l.value; known[user] == "" {
				c.note(l, "has rights and no password")
			}
			continue
		}
		if l.key != "topic" && l.key != "pattern" {
			c.note(l, "is no user, topic or pattern")
			continue
		}
		if of[user] == nil {
			of[user] = new(rights)
		}
		to := of[user]
		if l.key == "pattern" {
			to = &patterns
		}
		if why := to.add(l.value, l.key == "pattern"); why != "" {
			c.note(l, why)
		}
	}
	return of, patterns
}

// add takes one rule, or says why not.
func (r *rights) add(rule string, pattern bool) (why string) {
	access, topic := "readwrite", rule
	if a, rest, ok := strings.Cut(rule, " "); ok && slices.Contains([]string{"read", "write", "readwrite", "deny"}, a) {
		access, topic = a, strings.TrimSpace(rest)
	}
	subjects, why := subjectsOf(topic, pattern)
	if why != "" {
		return why
	}
	if access == "read" || access == "readwrite" {
		r.subscribe = append(r.subscribe, subjects...)
	}
	if access == "write" || access == "readwrite" {
		r.publish = append(r.publish, subjects...)
	}
	if access == "deny" {
		r.deny = append(r.deny, subjects...)
	}
	return ""
}

// subjectsOf are the subjects of a topic filter: two for "a/#", which takes "a" too.
func subjectsOf(topic string, pattern bool) (subjects []string, why string) {
	if topic == "" {
		return nil, "has no topic"
	}
	levels := strings.Split(topic, "/")
	out := make([]string, 0, len(levels))
	for i, l := range levels {
		named := strings.Contains(l, "%u") || strings.Contains(l, "%c")
		switch {
		case l == "+":
			l = "*"
		case l == "#" && i == len(levels)-1:
			l = ">"
		case strings.ContainsAny(l, "+#"):
			return nil, "a wildcard is not a level of its own"
		case named && pattern && l != "%u" && l != "%c":
			return nil, "%u and %c have to be levels of their own"
		case named && !pattern:
			return nil, "%u and %c stand for names in permissions, and are none in a line that is no pattern"
		case l == "" || strings.ContainsAny(l, " \t*>"):
			return nil, "an empty level, a blank, * or > in it: write the subject by hand (frond help mqtt)"
		default:
			l = strings.ReplaceAll(l, ".", "//")
		}
		out = append(out, l)
	}
	subjects = []string{strings.Join(out, ".")}
	if n := len(out) - 1; out[n] == ">" && n > 0 {
		subjects = append(subjects, strings.Join(out[:n], "."))
	}
	return subjects, ""
}

// String is the permissions block. Without a right there is none: an empty list would
// allow everything.
func (r rights) String() string {
	side := func(name string, allow []string) string {
		if len(allow) == 0 {
			return fmt.Sprintf("%s: { deny: \">\" }", name)
		}
		s := fmt.Sprintf("%s: { allow: %s", name, list(allow))
		if len(r.deny) > 0 {
			s += ", deny: " + list(r.deny)
		}
		return s + " }"
	}
	return "{ " + side("publish", r.publish) + ", " + side("subscribe", r.subscribe) + " }"
}

func list(all []string) string {
	q := make([]string, len(all))
	for i, s := range all {
		q[i] = quote(s)
	}
	return "[" + strings.Join(q, ", ") + "]"
}
