//go:build !lite

package core

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/subject"
)

// imported is an import that is checked. Two that are equal are the same one.
type imported struct {
	importing, exporting string
	subject, local       string // patterns, there and here
	prefix, to           string // as configured
	service              bool
	share, many          bool
	threshold            int64
	latency              config.Latency
}

// checkImports finds what is wrong with the imports of all accounts, and what each
// comes to.
func checkImports(o *config.Options) (all []imported, err error) {
	known, g := byName(o), graph{}
	for i := range o.Accounts {
		a := &o.Accounts[i]
		path := "accounts[" + strconv.Itoa(i) + "]"
		for j := range a.Exports {
			e := &a.Exports[j]
			at := path + ".exports[" + strconv.Itoa(j) + "]"
			for _, name := range e.Accounts {
				if known[name] == nil && !o.HasAccount(name) {
					return nil, optionError(o, at, fmt.Errorf("%q account not defined for %s export", name, importKind(e.Service)))
				}
			}
			if p := e.TokenPosition; p != 0 && (p > subject.Tokens(e.Subject) || strings.Split(e.Subject, ".")[p-1] != "*") {
				return nil, optionError(o, at, fmt.Errorf("account_token_position %d of %q is no wildcard", p, e.Subject))
			}
		}
		for j := range a.Imports {
			x, err := checkImport(known, a, &a.Imports[j])
			if err == nil && !g.add(&x) {
				err = errors.New("import forms a cycle")
			}
			if err != nil {
				return nil, optionError(o, path+".imports["+strconv.Itoa(j)+"]", fmt.Errorf("Error adding %s import %q: %w", importKind(a.Imports[j].Service), a.Imports[j].Subject, err))
			}
			all = append(all, x)
		}
	}
	return all, nil
}

// byName is for whoever asks for many accounts.
func byName(o *config.Options) map[string]*config.Account {
	known := make(map[string]*config.Account, len(o.Accounts))
	for i := range o.Accounts {
		known[o.Accounts[i].Name] = &o.Accounts[i]
	}
	return known
}

func importKind(service bool) string {
	if service {
		return "service"
	}
	return "stream"
}

func checkImport(known map[string]*config.Account, a *config.Account, i *config.Import) (x imported, err error) {
	from := known[i.Account]
	if from == nil {
		return x, fmt.Errorf("%q account not defined for %s import", i.Account, importKind(i.Service))
	}
	at := slices.IndexFunc(from.Exports, func(e config.Export) bool { return exports(&e, a.Name, i) })
	if at < 0 || from == a {
		return x, errors.New(importKind(i.Service) + " import not authorized")
	}
	e := &from.Exports[at]
	x = imported{
		importing: a.Name, exporting: from.Name, subject: i.Subject, prefix: i.Prefix, service: i.Service, share: i.Share,
		many: e.Service && e.Response != "singleton", threshold: int64(e.Threshold), latency: e.Latency,
	}
	switch {
	case i.Prefix != "":
		if !subject.ValidLiteral(i.Prefix) {
			return x, errors.New("stream import prefix can not contain wildcard tokens")
		}
		x.to = numbered(i.Prefix + "." + i.Subject)
	case i.To != "":
		x.to = numbered(i.To)
	default:
		x.to = numbered(i.Subject)
	}
	there, err := subject.NewImportTransform(x.subject, x.to)
	if err != nil {
		return x, err
	}
	here, err := there.Reverse()
	if err != nil {
		return x, err
	}
	x.local = here.Source()
	return x, nil
}

// numbered gives wildcards of a local subject that stand for those of the other in
// their order the form that says so.
func numbered(to string) string {
	tokens, n := strings.Split(to, "."), 0
	for i, t := range tokens {
		if t == "*" {
			n++
			tokens[i] = "$" + strconv.Itoa(n)
		}
	}
	return strings.Join(tokens, ".")
}

// exports reports whether name may import i by e.
func exports(e *config.Export, name string, i *config.Import) bool {
	if e.Service != i.Service || !subject.Covers(e.Subject, i.Subject) {
		return false
	}
	if p := e.TokenPosition; p > 0 && strings.Split(i.Subject, ".")[p-1] != name {
		return false
	}
	return len(e.Accounts) == 0 || slices.Contains(e.Accounts, name)
}

// place is where messages of a kind are: those of streams or of services in an account.
type place struct {
	account string
	service bool
}

// graph is the imports by where messages enter them. A stream goes to who imports, a
// question to who exports.
type graph map[place][]*imported

// ways tells where a message enters x and leaves it.
func (x *imported) ways() (from place, enters string, to place, leaves string) {
	from, to = place{x.exporting, x.service}, place{x.importing, x.service}
	if x.service {
		return to, x.local, from, x.subject
	}
	return from, x.subject, to, x.local
}

// add reports false if what crosses by x might come back to it by others.
func (g graph) add(x *imported) bool {
	from, _, to, leaves := x.ways()
	g[from] = append(g[from], x)
	type step struct {
		place
		subj string
	}
	been := map[step]bool{} // there may be many ways to one place
	var back func(at step, depth int) bool
	back = func(at step, depth int) bool {
		if been[at] {
			return false
		}
		been[at] = true
		for _, next := range g[at.place] {
			_, enters, to, leaves := next.ways()
			if !subject.Collide(enters, at.subj) {
				continue
			}
			if next == x || depth > maxImportChain || back(step{to, leaves}, depth+1) {
				return true
			}
		}
		return false
	}
	return !back(step{to, leaves}, 0)
}

// maxImportChain is how many imports in a row are looked at. Subjects that get longer
// with each would go on for ever.
const maxImportChain = 1 << 10

// crossings are the imports that are in effect, by what they are.
type crossings map[imported]func()

// follow makes them those of all.
func (c crossings) follow(s *Server, all []imported) error {
	stay := make(map[imported]bool, len(all))
	for _, x := range all {
		stay[x] = true
	}
	for x, end := range c {
		if !stay[x] {
			end()
			delete(c, x)
		}
	}
	var errs []error
	for _, x := range all {
		if c[x] != nil {
			continue
		}
		end, err := s.cross(&x)
		if err != nil {
			errs = append(errs, fmt.Errorf("import of %s from account %s into %s: %w", x.subject, x.exporting, x.importing, err))
			continue
		}
		c[x] = end
	}
	return errors.Join(errs...)
}

// cross begins one import.
func (s *Server) cross(x *imported) (end func(), err error) {
	here, ok := s.accounts.Lookup(x.importing)
	there, ok2 := s.accounts.Lookup(x.exporting)
	t, err := subject.NewImportTransform(x.subject, x.to)
	if err != nil || !ok || !ok2 {
		return nil, fmt.Errorf("%w: accounts %t, %t", err, ok, ok2)
	}
	if x.service {
		back, err := t.Reverse()
		if err != nil {
			return nil, err
		}
		v, err := account.NewService(here, there, x.local, applied(back), x.share, x.many, time.Duration(x.threshold))
		if err != nil {
			return nil, err
		}
		if x.latency.Subject != "" {
			v.Measure(s.system.measure(there, x))
		}
		return v.Close, nil
	}
	sub := &account.Sub{Subject: x.subject, Sink: &account.Crossing{To: here, Subject: applied(t)}}
	if err := there.Subscribe(sub); err != nil {
		return nil, err
	}
	return sub.End, nil
}

// applied gives subjects that fit their name at the other side.
func applied(t *subject.Transform) func(string) string {
	return func(subj string) string {
		s, _ := t.Apply(subj, nil)
		return s
	}
}
