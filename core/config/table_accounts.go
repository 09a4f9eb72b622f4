//go:build !lite

package config

import (
	"math"
	"strconv"
	"strings"
)

// accountRows are the tenants at the top of a file.
func accountRows() []field[Options] {
	type o = Options
	return []field[o]{
		row(Live, "accounts", "map of maps, or list of names", "everyone is in $G", "tenants, each with a world of subjects of its own", "{A: {users: [{user: u, password: p}]}}", setAccounts),
		row(Live, "mappings maps", "map", "", "other subjects for what is published in $G: a subject, {destination, weight, cluster}, or a list of these", "{a: b}", func(d *decoder, o *o, it item) { o.Mappings = d.mappings(it) }),
		row(Restart, "system_account system", "string", "$SYS", "the account of server events, one of accounts", "SYS", func(d *decoder, o *o, it item) {
			if it.v.Kind != KindString {
				d.errorf(it.pos, "system account name must be a string")
				return
			}
			o.SystemAccount = it.v.Str
		}),
	}
}

func accountSections() []Section {
	return []Section{
		accountTable().section("accounts[]"),
		accountLimitsTable().section("accounts[].limits"),
		accountJetStreamTable().section("accounts[].jetstream"),
		exportTable().section("accounts[].exports[]"),
		importTable().section("accounts[].imports[]"),
	}
}

func accountTable() *block[Account] {
	type a = Account
	return &block[a]{unknown: unknownField, fields: []field[a]{
		row(Live, "users", "list of maps", "", "who is in the account, as in authorization", "[{user: b, password: p}]", func(d *decoder, a *a, it item) { a.Users = d.users(it, userTable()) }),
		row(Live, "default_permissions", "map", "all", "permissions of users without own ones", "{publish: a}", func(d *decoder, a *a, it item) { setPermissions(d, &a.DefaultPermissions, it) }),
		row(Live, "limits", "map", "none", "how much the account may have", "{max_subs: 5}", func(d *decoder, a *a, it item) {
			if it.v.Kind != KindMap {
				d.errorf(it.pos, "Expected account limits to be a map/struct, got %s", it.v.Kind)
				return
			}
			accountLimitsTable().decode(d, &a.Limits, it.path, it.v.Map)
		}),
		row(Live, "jetstream", "map, boolean, enabled or disabled", "disabled", "streams in the account, where the server has JetStream", "enabled", setAccountJetStream),
		row(Live, "mappings maps", "map", "", "as at the top of the file", "{a: b}", func(d *decoder, a *a, it item) { a.Mappings = d.mappings(it) }),
		row(Live, "exports", "list of maps", "", "what other accounts may import", "[{stream: b}]", setExports),
		row(Live, "imports", "list of maps", "", "what is taken from other accounts", "[{stream: {account: B, subject: c}}]", setImports),
		notYet[a]("msg_trace trace_dest", "traces of messages", ""),
		without[a]("nkey", "it is for operator mode and auth callouts, which this version has not"),
	}}
}

func accountLimitsTable() *block[AccountLimits] {
	type l = AccountLimits
	limit := func(names, help string, at func(*l) *int) field[l] {
		return row(Live, names, "integer", "none", help, "5", func(d *decoder, l *l, it item) {
			if n, ok := d.integer(it, -1, math.MaxInt32); ok {
				*at(l) = int(max(n, 0))
			}
		})
	}
	return &block[l]{unknown: "Unknown field %q parsing account limits", fields: []field[l]{
		limit("max_connections max_conn", "clients", func(l *l) *int { return &l.MaxConns }),
		limit("max_subscriptions max_subs", "subscriptions of each connection", func(l *l) *int { return &l.MaxSubs }),
		limit("max_payload max_pay", "bytes of one message", func(l *l) *int { return &l.MaxPayload }),
		limit("max_leafnodes max_leafs", "leaf links to this server", func(l *l) *int { return &l.MaxLeafs }),
	}}
}

func accountJetStreamTable() *block[AccountJetStream] {
	type j = AccountJetStream
	size := func(names, help string, at func(*j) *int64) field[j] {
		return row(Live, names, "size", "-1", help+"; -1: what the server has, 0: none", "5MB", func(d *decoder, j *j, it item) {
			before := len(d.errs)
			if setSize(at)(d, j, it); len(d.errs) > before {
				d.errs = d.errs[:before]
				d.errorf(it.pos, "Expected a parseable size for %q, got %s", it.key, it.v.text())
			}
		})
	}
	count := func(names, help string, at func(*j) *int) field[j] {
		return row(Live, names, "integer", "-1", help, "5", setInt(at, -1, math.MaxInt32))
	}
	return &block[j]{unknown: unknownField, fields: []field[j]{
		size("max_memory max_mem mem memory", "bytes of streams in memory", func(j *j) *int64 { return &j.MaxMemory }),
		size("max_store max_file max_disk store disk", "bytes of streams in files", func(j *j) *int64 { return &j.MaxStore }),
		count("max_streams streams", "streams", func(j *j) *int { return &j.MaxStreams }),
		count("max_consumers consumers", "consumers of a stream", func(j *j) *int { return &j.MaxConsumers }),
		notYet[j]("max_bytes_required max_stream_bytes max_bytes", "streams must have max_bytes", ""),
		notYet[j]("mem_max_stream_bytes memory_max_stream_bytes", "bytes of one stream in memory", ""),
		notYet[j]("disk_max_stream_bytes store_max_stream_bytes", "bytes of one stream in files", ""),
		notYet[j]("max_ack_pending", "unacknowledged messages of a consumer", ""),
		notYet[j]("cluster_traffic", "whose account replication uses", "no build has clusters yet"),
	}}
}

func setAccounts(d *decoder, o *Options, it item) {
	o.Accounts = nil
	add := func(name string, pos Position) *Account {
		switch {
		case name == GlobalAccount:
			d.errorf(pos, "%q is a Reserved Account", name)
		case name == "" || strings.ContainsAny(name, " \t\r\n"):
			// It would not fit into the subjects that name it.
			d.errorf(pos, "%q is no name of an account", name)
		case o.AccountNamed(name) != nil:
			d.errorf(pos, "Duplicate Account Entry: %s", name)
		}
		d.positions[it.path+"["+strconv.Itoa(len(o.Accounts))+"]"] = pos
		o.Accounts = append(o.Accounts, Account{Name: name, JetStream: noAccountJetStream})
		return &o.Accounts[len(o.Accounts)-1]
	}
	switch it.v.Kind {
	case KindList:
		for _, x := range it.v.List {
			if x.Kind != KindString {
				d.errorf(x.Pos, "%q must hold names, got %s", it.key, x.Kind)
				continue
			}
			add(x.Str, x.Pos)
		}
	case KindMap:
		t := accountTable()
		for _, e := range it.v.Map.Entries {
			if e.Value.Kind != KindMap {
				if !e.used {
					d.errorf(e.Pos, "Expected map entries for accounts")
				}
				continue
			}
			path := it.path + "[" + strconv.Itoa(len(o.Accounts)) + "]"
			t.decode(d, add(e.Key, e.Pos), path, e.Value.Map)
		}
	default:
		d.wrongType(it, "a map of accounts or a list of names")
	}
}

var noAccountJetStream = AccountJetStream{MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: -1}

func setAccountJetStream(d *decoder, a *Account, it item) {
	a.JetStream = noAccountJetStream
	switch it.v.Kind {
	case KindBool:
		a.JetStream.On = it.v.Bool
	case KindString:
		switch strings.ToLower(it.v.Str) {
		case "enabled", "enable":
			a.JetStream.On = true
		case "disabled", "disable":
		default:
			d.errorf(it.pos, "Expected 'enabled' or 'disabled' for string value, got '%s'", it.v.Str)
		}
	case KindMap:
		a.JetStream.On = true
		accountJetStreamTable().decode(d, &a.JetStream, it.path, it.v.Map)
	default:
		d.errorf(it.pos, "Expected map, bool or string to define JetStream, got %s", it.v.Kind)
	}
}

// mappings reads sources with their destinations.
func (d *decoder) mappings(it item) (list []Mapping) {
	if it.v.Kind != KindMap {
		d.wrongType(it, "a map")
		return nil
	}
	for _, e := range it.v.Map.Entries {
		if e.used {
			continue // a variable of the file
		}
		if !validSubject(e.Key) {
			d.errorf(e.Pos, "Subject %q is not a valid subject", e.Key)
			continue
		}
		m := Mapping{Source: e.Key}
		switch e.Value.Kind {
		case KindString:
			m.Dests = []Destination{{Subject: e.Value.Str, Weight: 100}}
		case KindMap:
			m.Dests = append(m.Dests, d.destination(e.Value))
		case KindList:
			for _, x := range e.Value.List {
				if x.Kind != KindMap {
					d.errorf(x.Pos, "Expected an entry for the mapping destination")
					continue
				}
				m.Dests = append(m.Dests, d.destination(x))
			}
		default:
			d.errorf(e.Value.Pos, "Expected an entry for the mapping destination")
			continue
		}
		d.positions[it.path+"["+strconv.Itoa(len(list))+"]"] = e.Pos
		list = append(list, m)
	}
	return list
}

func (d *decoder) destination(v *Value) (to Destination) {
	weighed := false
	for _, e := range v.Map.Entries {
		switch strings.ToLower(e.Key) {
		case "dest", "destination", "cluster":
			if e.Value.Kind != KindString {
				d.errorf(e.Pos, "%q must be a string, got %s", e.Key, e.Value.Kind)
			} else if strings.EqualFold(e.Key, "cluster") {
				to.Cluster = e.Value.Str
			} else {
				to.Subject = e.Value.Str
			}
		case "weight":
			n, err := strconv.Atoi(strings.TrimSuffix(e.Value.text(), "%"))
			if weighed = true; err != nil || n < 0 || n > 100 || e.Value.Kind != KindInt && e.Value.Kind != KindString {
				d.errorf(e.Pos, "Invalid weight %s for mapping destination", e.Value.text())
				return to
			}
			to.Weight = n
		default:
			if !e.used {
				d.errorf(e.Pos, "Unknown field %q for mapping destination", e.Key)
			}
		}
	}
	switch {
	case to.Subject == "":
		d.errorf(v.Pos, "a mapping destination has no subject")
	case !weighed:
		d.errorf(v.Pos, "Missing weight for mapping destination %q", to.Subject)
	}
	return to
}

// text is a number or a string as it stands in a file.
func (v *Value) text() string {
	switch v.Kind {
	case KindString:
		return v.Str
	case KindInt:
		return strconv.FormatInt(v.Int, 10)
	}
	return v.Kind.String()
}
