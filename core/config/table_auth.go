package config

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

// authTable is the authorization block of the client port.
func authTable() *block[Authorization] {
	type a = Authorization
	t := &block[a]{unknown: unknownField}
	t.fields = slices.Concat(singleUserRows(), []field[a]{
		row(Live, "token", "string", "", "what everyone presents", "t", setString(func(a *a) *string { return &a.Token })),
		row(Live, "users", "list of maps", "", "who may connect", "[{user: u, password: p}]", setUsers(userTable)),
		row(Live, "default_permissions default_permission permissions", "map", "all", "permissions of users without own ones", "{publish: a}", func(d *decoder, a *a, it item) { setPermissions(d, &a.DefaultPermissions, it) }),
		notYet[a]("auth_callout auth_hook", "authentication by a service", ""),
		notYet[a]("proxy_required", "let users in through trusted proxies only", ""),
	})
	return t
}

func singleUserRows() []field[Authorization] {
	type a = Authorization
	return []field[a]{
		row(Live, "user username", "string", "", "the one user", "u", setString(func(a *a) *string { return &a.User })),
		row(Live, "password pass", "string", "", "in clear or as bcrypt hash", "p", setString(func(a *a) *string { return &a.Password })),
		row(Live, "timeout", "seconds or duration", "2s, with TLS its timeout and 1s", "time to present oneself", "5", setSeconds(func(a *a) *time.Duration { return &a.Timeout })),
	}
}

// leafAuthTable is the authorization block of the leaf port.
func leafAuthTable() *block[Authorization] {
	type a = Authorization
	t := &block[a]{unknown: unknownField}
	t.fields = slices.Concat(singleUserRows(), []field[a]{
		row(Live, "nkey", "public user key", "", "the one key", exampleNKey, func(d *decoder, a *a, it item) {
			if userKey(d, it, "Not a valid public nkey for leafnode authorization") {
				a.NKey = it.v.Str
			}
		}),
		row(Live, "account", "string", "$G", "account of the one user", "A", setString(func(a *a) *string { return &a.Account })),
		row(Live, "users", "list of maps", "", "who may link", "[{user: u, password: p}]", setUsers(leafUserTable)),
		notYet[a]("proxy_required", "let users in through trusted proxies only", ""),
	})
	return t
}

// mqttAuthTable is the authorization block of the MQTT port.
func mqttAuthTable() *block[Authorization] {
	type a = Authorization
	t := &block[a]{unknown: unknownField}
	t.fields = slices.Concat(singleUserRows(), []field[a]{
		row(Live, "token", "string", "", "what everyone presents as password", "t", setString(func(a *a) *string { return &a.Token })),
	})
	return t
}

func userRows() []field[User] {
	type u = User
	return []field[u]{
		row(Live, "user username", "string", "", "name", "u", setString(func(u *u) *string { return &u.User })),
		row(Live, "password pass", "string", "", "in clear or as bcrypt hash", "p", setString(func(u *u) *string { return &u.Password })),
		notYet[u]("proxy_required", "let the user in through a trusted proxy only", ""),
	}
}

func userTable() *block[User] {
	type u = User
	t := &block[u]{unknown: unknownField}
	t.fields = slices.Concat(userRows(), []field[u]{
		row(Live, "nkey", "public user key", "", "instead of a name", exampleNKey, func(d *decoder, u *u, it item) {
			if userKey(d, it, "Not a valid public nkey for a user") {
				u.NKey = it.v.Str
			}
		}),
		row(Live, "permissions permission authorization", "map", "all", "what the user may do", "{publish: a}", func(d *decoder, u *u, it item) { setPermissions(d, &u.Permissions, it) }),
		row(Live, "allowed_connection_types connection_types clients", "string or list", "all", "STANDARD, WEBSOCKET, LEAFNODE, LEAFNODE_WS, MQTT, MQTT_WS, IN_PROCESS", "[STANDARD]", setConnTypes),
	})
	return t
}

func leafUserTable() *block[User] {
	type u = User
	t := &block[u]{unknown: unknownField}
	t.fields = slices.Concat(userRows(), []field[u]{
		row(Live, "account", "string", "$G", "account of the user", "A", setString(func(u *u) *string { return &u.Account })),
	})
	return t
}

// exampleNKey is a public user key of nobody.
const exampleNKey = "UCBIG6VZBCTOV4ISMAUV5C2R6W34H522RWN76O2ELOHOEV57IPMTYOEE"

func userKey(d *decoder, it item, text string) bool {
	if it.v.Kind != KindString || !nkeys.IsValidPublicUserKey(it.v.Str) {
		d.errorf(it.pos, "%s", text)
		return false
	}
	return true
}

func setUsers(table func() *block[User]) func(*decoder, *Authorization, item) {
	return func(d *decoder, a *Authorization, it item) { a.Users = d.users(it, table()) }
}

func (d *decoder) users(it item, t *block[User]) []User {
	names := make(map[string]bool)
	return mapsOf(d, it, "Expected user entry to be a map/struct, got %s", t, User{}, func(u *User, it item) {
		switch {
		case u.NKey != "" && (u.User != "" || u.Password != ""):
			d.errorf(it.pos, "Nkey users do not take usernames or passwords")
		case u.NKey == "" && u.User == "":
			d.errorf(it.pos, "User entry requires a user")
		case u.NKey != "" && names[u.NKey]:
			d.errorf(it.pos, duplicateNKey, u.NKey)
		case u.NKey == "" && names["="+u.User]:
			d.errorf(it.pos, duplicateUser, u.User)
		}
		names[u.NKey], names["="+u.User] = true, true
	})
}

const (
	duplicateUser = "Duplicate user %q detected"
	duplicateNKey = "Duplicate nkey %q detected"
)

// connTypes are the doors a user may be bound to.
var connTypes = []string{"STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"}

func setConnTypes(d *decoder, u *User, it item) {
	types, _ := d.strings(it)
	u.ConnTypes = nil
	var wrong []string
	for _, t := range types {
		t = strings.ToUpper(t)
		if !slices.Contains(connTypes, t) {
			wrong = append(wrong, t)
			continue
		}
		u.ConnTypes = append(u.ConnTypes, t)
	}
	if wrong != nil {
		d.errorf(it.pos, "invalid connection types %q", wrong)
	}
}

func setAuth(d *decoder, o *Options, it item) {
	o.Auth = Authorization{}
	if authTable().decodeMap(d, &o.Auth, it) {
		checkAuth(d, &o.Auth, it, "Can not")
	}
}

// checkAuth reports ways to log in that exclude each other.
func checkAuth(d *decoder, a *Authorization, it item, cannot string) {
	single := a.User != "" || a.Password != ""
	switch {
	case single && a.Token != "":
		d.errorf(it.pos, "Cannot have a user/pass and token")
	case single && len(a.Users) > 0:
		d.errorf(it.pos, "%s have a single user/pass and a users array", cannot)
	case a.Token != "" && len(a.Users) > 0:
		d.errorf(it.pos, "%s have a token and a users array", cannot)
	case a.NKey != "" && len(a.Users) > 0:
		d.errorf(it.pos, "%s have a single nkey and a users array", cannot)
	}
}

func permissionsTable() *block[Permissions] {
	type p = Permissions
	return &block[p]{
		unknown: "Unknown field %q parsing permissions",
		fields: []field[p]{
			row(Live, "publish pub import", "subject, list, or {allow, deny}", "all", "subjects to publish to", "a", func(d *decoder, p *p, it item) { setRules(d, &p.Publish, it, false) }),
			row(Live, "subscribe sub export", "subject, list, or {allow, deny}", "all", `subjects to subscribe to, or "subject queue"`, `["a", "b q"]`, func(d *decoder, p *p, it item) { setRules(d, &p.Subscribe, it, true) }),
			row(Live, "allow_responses publish_allow_responses", "boolean or map", "false", "publish to the reply subjects of received messages", "true", setResponses),
		},
	}
}

func setPermissions(d *decoder, at **Permissions, it item) {
	p := &Permissions{}
	if permissionsTable().decodeMap(d, p, it) {
		*at = p
	}
}

// ruleSet is the form {allow: ..., deny: ...}.
type ruleSet struct {
	Rules
	queues bool
}

func rulesTable() *block[ruleSet] {
	type r = ruleSet
	return &block[r]{
		unknown: "Unknown field name %q parsing subject permissions, only 'allow' or 'deny' are permitted",
		fields: []field[r]{
			row(Live, "allow", "subject or list", "all", "only these", "a", func(d *decoder, r *r, it item) { r.Allow = d.ruleSubjects(it, r.queues) }),
			row(Live, "deny", "subject or list", "", "never these", "a", func(d *decoder, r *r, it item) { r.Deny = d.ruleSubjects(it, r.queues) }),
		},
	}
}

func setRules(d *decoder, at **Rules, it item, queues bool) {
	r := ruleSet{queues: queues}
	if it.v.Kind == KindMap {
		rulesTable().decode(d, &r, it.path, it.v.Map)
	} else {
		r.Allow = d.ruleSubjects(it, queues)
	}
	*at = &r.Rules
}

func (d *decoder) ruleSubjects(it item, queues bool) []string {
	list := []*Value{it.v}
	switch it.v.Kind {
	case KindString:
	case KindList:
		list = it.v.List
	default:
		d.errorf(it.pos, "Expected subject permissions to be a subject, or array of subjects, got %s", it.v.Kind)
		return nil
	}
	out := make([]string, 0, len(list))
	for _, x := range list {
		pos := it.pos
		if x != it.v {
			pos = x.Pos
		}
		if x.Kind != KindString {
			d.errorf(pos, "Subject in permissions array cannot be cast to string")
			continue
		}
		if problem := ruleProblem(x.Str, queues); problem != "" {
			d.errorf(pos, "%s", problem)
			continue
		}
		out = append(out, x.Str)
	}
	if it.v.Kind == KindList && len(list) == 0 && it.name != "deny" {
		d.warnf(it, "an empty list is no restriction: every subject is allowed; to allow none, deny \">\"")
	}
	return out
}

// ruleProblem checks a subject, or "subject queue" where queues are allowed.
func ruleProblem(rule string, queues bool) string {
	subj, queue, hasQueue := strings.Cut(rule, " ")
	if hasQueue && queues {
		queue = strings.TrimSpace(queue)
		if !validSubject(subj) || strings.ContainsAny(queue, " \t") {
			return `subject "` + rule + `" is not a valid subject`
		}
		if !validSubject(queue) {
			return `queue "` + queue + `" is not a valid queue`
		}
		return ""
	}
	if !validSubject(rule) {
		return `subject "` + rule + `" is not a valid subject`
	}
	return ""
}

// validSubject is the grammar of a subscription subject: no white space, no
// empty token, and ">" as a whole token only at the end. This room does not
// reach for core/subject: it stands alone.
func validSubject(s string) bool {
	if s == "" || strings.ContainsAny(s, " \t\r\n\f") {
		return false
	}
	tokens := strings.Split(s, ".")
	for i, t := range tokens {
		if t == "" || t == ">" && i < len(tokens)-1 {
			return false
		}
	}
	return true
}

func responsesTable() *block[Responses] {
	type r = Responses
	return &block[r]{
		unknown: "Unknown field %q parsing permissions",
		fields: []field[r]{
			row(Live, "max max_msgs max_messages max_responses", "integer", "1", "replies to one message; below 0 is unlimited", "5", setInt(func(r *r) *int { return &r.Max }, math.MinInt32, math.MaxInt32)),
			row(Live, "expires expiration ttl", "duration", "2m", "time to reply; below 0 is unlimited", `"1m"`, setExpires),
		},
	}
}

func setExpires(d *decoder, r *Responses, it item) {
	if it.v.Kind != KindString {
		d.errorf(it.pos, "error parsing expires, not a duration string")
		return
	}
	dur, err := time.ParseDuration(it.v.Str)
	if err != nil {
		d.errorf(it.pos, "error parsing expires: %v", err)
		return
	}
	r.Expires = dur
}

func setResponses(d *decoder, p *Permissions, it item) {
	p.Responses = nil
	r := &Responses{}
	switch it.v.Kind {
	case KindBool:
		if !it.v.Bool {
			return
		}
	case KindMap:
		responsesTable().decode(d, r, it.path, it.v.Map)
	default:
		d.errorf(it.pos, "error parsing response permissions, expected a boolean or a map")
		return
	}
	if r.Max == 0 {
		r.Max = 1
	}
	if r.Expires == 0 {
		r.Expires = 2 * time.Minute
	}
	p.Responses = r
}
