//go:build !lite

package config

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

func exportTable() *block[Export] {
	type e = Export
	kind := func(service bool) func(*decoder, *e, item) {
		return func(d *decoder, e *e, it item) {
			switch {
			case e.Subject != "":
				d.errorf(it.pos, "Detected %s %q but already saw a %s", kindName(service), it.v.Str, kindName(e.Service))
			case it.v.Kind != KindString || !validSubject(it.v.Str):
				d.errorf(it.pos, "Subject %q is not a valid subject", it.v.text())
			default:
				e.Subject, e.Service = it.v.Str, service
			}
		}
	}
	return &block[e]{unknown: unknownField, fields: []field[e]{
		row(Live, "stream", "subject", "", "messages that others may take; or", "b", kind(false)),
		row(Live, "service", "subject", "", "questions that others may ask", "b", kind(true)),
		row(Live, "accounts", "list of names", "all", "who may import it", "[A]", setSubjects(func(e *e) *[]string { return &e.Accounts })),
		row(Live, "response response_type", "singleton, stream or chunked", "singleton", "one answer to a question, or more", "stream", func(d *decoder, e *e, it item) {
			switch it.v.text() {
			case "single", "singleton":
				e.Response = "singleton"
			case "stream", "chunk", "chunked":
				e.Response = it.v.Str
			default:
				d.errorf(it.pos, "Unknown response type: %q", it.v.text())
			}
		}),
		row(Live, "threshold response_threshold", "duration", "2m", "how long an answer may take, or the next one", `"1s"`, setThreshold),
		row(Live, "response_max_time response_time", "duration", "2m", "the same", `"1s"`, setThreshold),
		row(Live, "account_token_position", "integer", "0, none", "the token of the subject, counted from 1, that must be the name of who imports", "1", setInt(func(e *e) *int { return &e.TokenPosition }, 0, math.MaxInt32)),
		row(Live, "latency", "subject or {sampling, subject}", "", "where it is told how long answers take; sampling is a percentage, or headers", "lat.x", setLatency),
		without[e]("allow_trace", "messages are not traced yet"),
	}}
}

func setThreshold(d *decoder, e *Export, it item) {
	n, err := time.ParseDuration(it.v.Str)
	if it.v.Kind != KindString || err != nil || n <= 0 {
		d.errorf(it.pos, "Expected response threshold to be a parseable time duration, got %q", it.v.text())
		return
	}
	e.Threshold = n
}

func setLatency(d *decoder, e *Export, it item) {
	l := Latency{Percent: 100}
	switch it.v.Kind {
	case KindString:
		l.Subject = it.v.Str
	case KindMap:
		for _, x := range it.v.Map.Entries {
			text := x.Value.text()
			switch x.Key {
			case "subject":
				l.Subject = text
			case "sampling":
				n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
				switch {
				case strings.EqualFold(text, "headers"):
					n = 0
				case err != nil || n < 1 || n > 100:
					d.errorf(x.Pos, "bad sampling percentage, should be 1-100, or headers: %q", text)
				}
				l.Percent = n
			default:
				if !x.used {
					d.errorf(x.Pos, unknownField, x.Key)
				}
			}
		}
	default:
		d.errorf(it.pos, "Expected latency entry to be a map or a subject, got %s", it.v.Kind)
		return
	}
	if strings.ContainsAny(l.Subject, "*>") || !validSubject(l.Subject) {
		d.errorf(it.pos, "Latency subject required, but missing or none that can be published to: %q", l.Subject)
	}
	e.Latency = l
}

func kindName(service bool) string {
	if service {
		return "service"
	}
	return "stream"
}

func importTable() *block[Import] {
	type i = Import
	kind := func(service bool) func(*decoder, *i, item) {
		return func(d *decoder, i *i, it item) {
			if i.Account != "" {
				d.errorf(it.pos, "Detected %s but already saw a %s", kindName(service), kindName(i.Service))
				return
			}
			if it.v.Kind != KindMap {
				d.errorf(it.pos, "%s entry should be an account map, got %s", it.key, it.v.Kind)
				return
			}
			for _, e := range it.v.Map.Entries {
				switch {
				case e.Value.Kind == KindString && e.Key == "account":
					i.Account = e.Value.Str
				case e.Value.Kind == KindString && e.Key == "subject":
					i.Subject = e.Value.Str
				case !e.used:
					d.errorf(e.Pos, unknownField, e.Key)
				}
			}
			if i.Service = service; i.Account == "" || !validSubject(i.Subject) {
				d.errorf(it.pos, "Expect an account name and a subject")
			}
		}
	}
	return &block[i]{unknown: unknownField, fields: []field[i]{
		row(Live, "stream", "{account, subject}", "", "messages to take from another account; or", "{account: B, subject: c}", kind(false)),
		row(Live, "service", "{account, subject}", "", "questions to ask there", "{account: B, subject: c}", kind(true)),
		row(Live, "prefix", "subject", "", "of a stream: what its subjects begin with here", "p", setString(func(i *i) *string { return &i.Prefix })),
		row(Live, "to", "subject", "as there", "its subject here; $1 or {{wildcard(1)}} is the first wildcard", "x", setString(func(i *i) *string { return &i.To })),
		row(Live, "share", "boolean", "false", "tell the service who asks", "true", setBool(func(i *i) *bool { return &i.Share })),
		without[i]("allow_trace", "messages are not traced yet"),
	}}
}

func setExports(d *decoder, a *Account, it item) {
	fresh := Export{Threshold: 2 * time.Minute, Response: "singleton"}
	a.Exports = mapsOf(d, it, "Export Items should be a map with type entry, got %s", exportTable(), fresh, func(e *Export, it item) {
		_, replies := d.positions[it.path+".response"]
		_, waits := d.positions[it.path+".threshold"]
		_, takes := d.positions[it.path+".response_max_time"]
		switch {
		case e.Subject == "":
			d.errorf(it.pos, "an export needs a stream or a service")
		case !e.Service && (replies || waits || takes):
			d.errorf(it.pos, "Detected response directive on non-service")
		case !e.Service && e.Latency.Subject != "":
			d.errorf(it.pos, "Detected latency directive on non-service")
		case e.Latency.Subject != "" && e.Response != "singleton":
			d.errorf(it.pos, "latency is measured of services with one answer: bad service response type")
		}
	})
}

func setImports(d *decoder, a *Account, it item) {
	local := map[string]Import{} // services
	a.Imports = mapsOf(d, it, "Import Items should be a map with type entry, got %s", importTable(), Import{}, func(i *Import, it item) {
		to := cmp.Or(i.To, i.Subject)
		old, taken := local[to]
		switch {
		case i.Subject == "":
			d.errorf(it.pos, "an import needs a stream or a service")
		case !i.Service && i.Prefix != "" && i.To != "":
			d.errorf(it.pos, "Stream import can not have a 'prefix' and a 'to' property")
		case i.Service && i.Prefix != "":
			d.errorf(it.pos, "a service import has no prefix, but to")
		case i.Service && taken:
			d.errorf(it.pos, "Duplicate service import subject %s, previously used in import for account %q, subject %q", strconv.Quote(to), old.Account, old.Subject)
		}
		if i.Service {
			local[to] = *i
		}
	})
}
