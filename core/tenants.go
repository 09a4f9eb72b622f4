//go:build !lite

package core

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// tenants is what options make of the accounts. What can fail is done.
type tenants struct {
	s       *Server
	list    []tenant
	imports []imported
}

type tenant struct {
	account  *account.Account
	limits   account.Limits
	mappings *account.Mappings
}

// prepareTenants makes the accounts that are new, in which nobody is before the users
// are, and all that can be wrong with one. An account is never taken away: modules
// hold on to them. Without users it is empty.
func (s *Server) prepareTenants(o *config.Options) (*tenants, error) {
	t := &tenants{s: s}
	var all []*account.Account
	at := make(map[string]int, len(o.Accounts))
	for i := range o.Accounts {
		name := o.Accounts[i].Name
		all, at[name] = append(all, s.newAccount(name, o)), i
	}
	s.accounts.Add(all...)
	for _, a := range s.accounts.All() {
		next := tenant{account: a, mappings: &account.Mappings{}}
		path, list := "", o.Mappings
		if i, ok := at[a.Name()]; ok {
			c := &o.Accounts[i]
			path = "accounts[" + strconv.Itoa(i) + "]."
			l := &c.Limits
			next.limits = account.Limits{Clients: l.MaxConns, Links: l.MaxLeafs, Subs: l.MaxSubs, Payload: l.MaxPayload}
			list = c.Mappings
		} else if a != s.global {
			list = nil
		}
		if d := o.JetStream.Domain; d != "" && o.JetStream.Enabled && o.StreamsIn(a.Name()) {
			if err := next.mappings.AddDomain(d); err != nil {
				return nil, optionError(o, "jetstream.domain", err)
			}
		}
		for j := range list {
			if err := s.addMapping(next.mappings, a.Name(), o, &list[j]); err != nil {
				return nil, optionError(o, path+"mappings["+strconv.Itoa(j)+"]", err)
			}
		}
		t.list = append(t.list, next)
	}
	var err error
	t.imports, err = checkImports(o)
	return t, err
}

func (s *Server) addMapping(to *account.Mappings, name string, o *config.Options, m *config.Mapping) (err error) {
	dests := make([]account.Destination, len(m.Dests))
	for i, d := range m.Dests {
		dests[i] = account.Destination(d)
		if dests[i].Subject, err = withAccount(d.Subject, name); err != nil {
			return fmt.Errorf("mapping of %q to %q: %w", m.Source, d.Subject, err)
		}
	}
	return to.Add(m.Source, s.clusterName(o), dests)
}

// withAccount puts the hash of an account's name in the place of {{account-hash()}},
// the one function of a destination that is about the account.
func withAccount(dest, name string) (string, error) {
	tokens := strings.Split(dest, ".")
	for i, t := range tokens {
		if !strings.HasPrefix(t, "{{") || !strings.HasSuffix(t, "}}") || len(t) < 4 {
			continue
		}
		f, args, ok := strings.Cut(strings.TrimSpace(t[2:len(t)-2]), "(")
		if !ok || !strings.EqualFold(strings.TrimSpace(f), "account-hash") {
			continue
		}
		if strings.TrimSpace(strings.TrimSuffix(args, ")")) != "" || !strings.HasSuffix(args, ")") {
			return "", errors.New("account-hash: too many arguments passed to the function")
		}
		sum := sha256.Sum256([]byte(name))
		hash := make([]byte, 8)
		for j := range hash {
			hash[j] = base62[sum[j]%62]
		}
		tokens[i] = string(hash)
	}
	return strings.Join(tokens, "."), nil
}

// commit gives the accounts what was prepared.
func (t *tenants) commit() {
	for i := range t.list {
		x := &t.list[i]
		x.account.SetLimits(x.limits)
		x.account.SetMappings(x.mappings)
	}
	if t.s.crossings == nil {
		t.s.crossings = crossings{}
	}
	if err := t.s.crossings.follow(t.s, t.imports); err != nil { // the check has found none
		t.s.log.Error("An import is not in effect", "err", err)
	}
}

// streamsOf is which accounts have JetStream.
type streamsOf struct {
	sync.Mutex
	on      map[*account.Account]bool
	refused map[*account.Account]*account.Sub // who asks in the others is told that
}

// enableStreams gives JetStream to the accounts that shall have it now.
func (s *Server) enableStreams(st *store, o *config.Options) error {
	v := &s.streams
	v.Lock()
	defer v.Unlock()
	if v.on == nil {
		v.on, v.refused = map[*account.Account]bool{}, map[*account.Account]*account.Sub{}
	}
	for _, a := range s.accounts.All() {
		var err error
		switch on := o.StreamsIn(a.Name()); {
		case on:
			err = v.enableLocked(st, a, o.AccountNamed(a.Name()))
		default:
			v.refuseLocked(st, a)
		}
		if err != nil {
			return fmt.Errorf("account %s: %w", a.Name(), err)
		}
	}
	return nil
}

func (v *streamsOf) enableLocked(st *store, a *account.Account, c *config.Account) error {
	if c != nil {
		j := &c.JetStream
		st.engine.LimitAccount(a.Name(), jetstream.AccountLimits{
			MaxMemory: bytesOf(j.MaxMemory), MaxStore: bytesOf(j.MaxStore), MaxStreams: countOf(j.MaxStreams), MaxConsumers: countOf(j.MaxConsumers),
		})
	}
	if v.on[a] {
		return nil
	}
	if sub := v.refused[a]; sub != nil {
		delete(v.refused, a)
		sub.End()
	}
	v.on[a] = true
	return st.engine.EnableAccount(bus{a})
}

// bytesOf is a configured limit as the engine takes it.
func bytesOf(n int64) int64 {
	switch {
	case n < 0:
		return 0
	case n == 0:
		return jetstream.NoBytes
	}
	return n
}

// countOf is the same of a count, of which 0 is no limit either.
func countOf(n int) int {
	switch {
	case n < 0:
		return 0
	case n == 0:
		return jetstream.ToldZero
	}
	return n
}

func (v *streamsOf) refuseLocked(st *store, a *account.Account) {
	if v.on[a] {
		delete(v.on, a)
		st.engine.DisableAccount(a.Name())
	}
	if v.refused[a] == nil {
		v.refused[a] = &account.Sub{Subject: "$JS.API.>", Sink: noStreams{a}}
		_ = a.Subscribe(v.refused[a]) // the subject is valid
	}
}

// followStreams does so behind a reload.
func (s *Server) followStreams() {
	if st := s.store.Load(); st != nil {
		if err := s.enableStreams(st, s.Options()); err != nil {
			s.log.Error("JetStream is not enabled", "err", err)
		}
	}
}

// noStreams answers requests to JetStream in an account that has none.
type noStreams struct{ a *account.Account }

// Role is part of account.Sink. Links do not hear of it: streams may be elsewhere.
func (noStreams) Role() account.Role { return account.RoleLocal }

// Cluster is part of account.Sink.
func (noStreams) Cluster() string { return "" }

// Flush is part of account.Sink.
func (noStreams) Flush() {}

// Deliver is part of account.Sink. It answers at once, on the asker's goroutine.
func (n noStreams) Deliver(_ *account.Sub, m *wire.Msg) bool {
	body := api.NotEnabled(string(m.Subject))
	if len(m.Reply) == 0 || body == nil {
		return false
	}
	o := account.NewOrigin(nil, account.RoleInternal, "")
	n.a.Route(o, &wire.Msg{Subject: m.Reply, Body: body, Own: true})
	o.Flush()
	return true
}

// expelSurplus closes the newest clients of accounts that have more than they may.
func (s *Server) expelSurplus() {
	for _, a := range s.accounts.All() {
		clients, _ := a.Present()
		over := clients - a.Limits().Clients
		if over <= 0 || a.Limits().Clients == 0 {
			continue
		}
		var inside []Connection
		for _, c := range s.connections.Open() {
			if c.ConnKind() == monitor.KindClient && c.Describe(false, false).AccountName == a.Name() {
				inside = append(inside, c)
			}
		}
		slices.SortFunc(inside, func(x, y Connection) int { return cmp.Compare(y.ConnID(), x.ConnID()) })
		for _, c := range inside[:min(over, len(inside))] {
			if c, ok := c.(Expellable); ok {
				c.Expel(wire.ReasonAccountConnections, accountFull)
			}
		}
	}
}
