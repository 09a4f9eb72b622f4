//go:build !lite

package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/subject"
)

// Accountz is part of monitor.FullSource. The error is the asker's.
func (s *Server) Accountz(o *monitor.AccountzOptions) (*monitor.Accountz, error) {
	o = cmp.Or(o, &monitor.AccountzOptions{})
	z := &monitor.Accountz{ID: s.ServerID(), Now: time.Now().UTC(), SystemAccount: s.Options().SystemAccount}
	if o.Account == "" {
		for _, a := range s.accounts.All() {
			z.Accounts = append(z.Accounts, a.Name())
		}
		return z, nil
	}
	var err error
	z.Account, err = s.accountDetail(o.Account)
	return z, err
}

func (s *Server) accountDetail(name string) (*monitor.AccountDetail, error) {
	a, ok := s.accounts.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("Account %s does not exist", name)
	}
	set := s.current.Load()
	o := set.o
	clients, links := a.Present()
	d := &monitor.AccountDetail{
		Name: name, LastUpdate: set.loadedAt.UTC(), IsSystem: name == o.SystemAccount, Complete: true, JetStream: s.streamsIn(a),
		ClientCount: clients, LeafCount: links, Subs: uint64(a.Subscriptions()), NameTag: name,
	}
	d.Sublist = &monitor.SublistStats{}
	addInterest(d.Sublist, a)
	c := o.AccountNamed(name)
	if c == nil {
		c = &config.Account{Name: name}
		if a == s.global {
			c.Mappings = o.Mappings
		}
	}
	d.Mappings = describeMappings(c.Mappings)
	if domain := o.JetStream.Domain; domain != "" && d.JetStream {
		if d.Mappings == nil {
			d.Mappings = map[string][]monitor.MapTarget{}
		}
		for _, m := range account.DomainMappings(domain) {
			d.Mappings[m[0]] = []monitor.MapTarget{{Subject: m[1], Weight: 100}}
		}
	}
	exports := c.Exports
	if d.IsSystem {
		exports = append(slices.Clone(exports), systemExports...)
	}
	for i := range exports {
		d.Exports = append(d.Exports, describeExport(&exports[i]))
	}
	for i := range c.Imports {
		d.Imports = append(d.Imports, describeImport(&c.Imports[i]))
	}
	d.Imports = append(d.Imports, usualImports(name, o.SystemAccount)...)
	return d, nil
}

func describeMappings(list []config.Mapping) map[string][]monitor.MapTarget {
	if len(list) == 0 {
		return nil
	}
	all := make(map[string][]monitor.MapTarget, len(list))
	for i := range list {
		for _, t := range list[i].Dests {
			all[list[i].Source] = append(all[list[i].Source], monitor.MapTarget{Subject: t.Subject, Weight: t.Weight, Cluster: t.Cluster})
		}
	}
	return all
}

func describeExport(e *config.Export) monitor.AccountExport {
	x := monitor.AccountExport{Subject: e.Subject, Type: importKind(e.Service), Approved: e.Accounts}
	if e.Service {
		switch e.Response {
		case "stream":
			x.ResponseType = "Streamed"
		case "chunk", "chunked":
			x.ResponseType = "Chunked"
		default:
			x.ResponseType = "Singleton"
		}
		if e.Latency.Subject != "" {
			x.Latency = &monitor.ServiceLatency{Sampling: e.Latency.Percent, Results: e.Latency.Subject}
		}
	}
	return x
}

func describeImport(i *config.Import) monitor.AccountImport {
	x := monitor.AccountImport{Subject: i.Subject, Account: i.Account, Type: importKind(i.Service), Share: i.Share, Local: cmp.Or(i.To, i.Subject)}
	switch {
	case i.Service:
		x.To = x.Local
	case i.Prefix != "":
		x.Local = i.Prefix + "." + i.Subject
	}
	return x
}

// usualImports are those that each account has of the system account.
func usualImports(name, system string) (list []monitor.AccountImport) {
	add := func(there, here string, share bool) {
		list = append(list, monitor.AccountImport{Subject: there, Account: system, To: here, Local: here, Type: "service", Share: share})
	}
	if name != system {
		add("$SYS.REQ.ACCOUNT."+name+".CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ", false)
		add("$SYS.REQ.ACCOUNT."+name+".CONNZ", "$SYS.REQ.SERVER.PING.CONNZ", false)
		add("$SYS.REQ.ACCOUNT."+name+".STATZ", "$SYS.REQ.ACCOUNT.PING.STATZ", false)
	}
	add("$SYS.REQ.USER."+name+".INFO", userInfoSubject, true)
	return list
}

// Accstatz is part of monitor.FullSource.
func (s *Server) Accstatz(o *monitor.AccstatzOptions) *monitor.Accstatz {
	o = cmp.Or(o, &monitor.AccstatzOptions{})
	z := &monitor.Accstatz{ID: s.ServerID(), Now: time.Now().UTC(), Accounts: []*monitor.AccountStat{}}
	for _, a := range s.accounts.All() {
		if len(o.Accounts) > 0 && !slices.Contains(o.Accounts, a.Name()) {
			continue
		}
		if st := accountStat(a); o.IncludeUnused || st.TotalConns > 0 {
			z.Accounts = append(z.Accounts, st)
		}
	}
	return z
}

func accountStat(a *account.Account) *monitor.AccountStat {
	clients, links := a.Present()
	t := a.Traffic()
	data := func(msgs, bytes int64) monitor.DataStats {
		return monitor.DataStats{Msgs: msgs, Bytes: bytes, Gateways: &monitor.Count{}, Routes: &monitor.Count{}, Leafs: &monitor.Count{}}
	}
	return &monitor.AccountStat{
		Account: a.Name(), Name: a.Name(), Conns: clients, LeafNodes: links, TotalConns: clients + links, NumSubs: uint32(a.Subscriptions()),
		Sent: data(t.OutMsgs, t.OutBytes), Received: data(t.InMsgs, t.InBytes),
	}
}

// Subsz is part of monitor.FullSource. The list has the subscriptions of clients: to
// gather those of the server itself, the index would have to be held. The error is
// the asker's.
func (s *Server) Subsz(o *monitor.SubszOptions) (*monitor.Subsz, error) {
	o = cmp.Or(o, &monitor.SubszOptions{})
	if o.Test != "" && !subject.ValidLiteral(o.Test) {
		return nil, fmt.Errorf("invalid test subject, must be valid publish subject: %s", o.Test)
	}
	z := &monitor.Subsz{ID: s.ServerID(), Now: time.Now().UTC()}
	for _, a := range s.accounts.All() {
		if o.Account == "" || o.Account == a.Name() {
			addInterest(&z.SublistStats, a)
		}
	}
	var list []monitor.SubDetail
	if o.Subscriptions || o.Test != "" {
		for _, c := range s.connections.Open() {
			list = appendSubs(list, c.Describe(true, true), o)
		}
	}
	z.Page(o, list)
	return z, nil
}

func addInterest(z *monitor.SublistStats, a *account.Account) {
	n, changes := a.Interest()
	z.NumSubs += n
	z.NumInserts += (changes + n) / 2
	z.NumRemoves += (changes - n) / 2
}

func appendSubs(list []monitor.SubDetail, c *monitor.ConnInfo, o *monitor.SubszOptions) []monitor.SubDetail {
	if o.Account != "" && o.Account != c.AccountName {
		return list
	}
	for _, d := range c.SubsDetail {
		if o.Test == "" || subject.Match(d.Subject, o.Test) {
			d.Account, d.AccountTag = c.AccountName, c.AccountName
			list = append(list, d)
		}
	}
	return list
}

// accountConnz is the page of one account. Of another one there are no connections.
func (q *asked) accountConnz(name string) (any, error) {
	o, err := options[monitor.ConnzOptions](q)
	if err != nil {
		return nil, err
	}
	if _, ok := q.y.s.accounts.Lookup(name); !ok {
		return &monitor.Connz{Now: time.Now().UTC(), Limit: monitor.DefaultPage}, nil
	}
	o.Account = name
	return q.y.s.Connz(&o)
}

func (q *asked) accountSubsz(o *monitor.SubszOptions) (any, error) {
	o.Subscriptions, o.Account = true, q.token(3)
	return q.y.s.Subsz(o)
}

func (q *asked) accountLeafz(o *monitor.LeafzOptions) (any, error) {
	o.Account = q.token(3)
	return q.y.s.Leafz(o), nil
}

func (q *asked) accountJsz(o *monitor.JszOptions) (any, error) {
	o.Account = q.token(3)
	z, err := q.y.s.Jsz(o)
	if err != nil {
		return nil, err
	}
	if len(z.Accounts) == 0 {
		return nil, fmt.Errorf("account %q not found", o.Account)
	}
	return z.Accounts[0], nil
}

func (q *asked) accountInfo() (any, error) {
	if _, err := options[struct{}](q); err != nil {
		return nil, err
	}
	return q.y.s.accountDetail(q.token(3))
}

// accountStatz is silent of an account that nobody is in, unless that is asked for.
func (q *asked) accountStatz(name string) (any, error) {
	o, err := options[monitor.AccstatzOptions](q)
	if err != nil {
		return nil, err
	}
	if name != "PING" {
		o.Accounts = []string{name}
	}
	z := q.y.s.Accstatz(&o)
	if len(z.Accounts) == 0 && name != "PING" {
		return nil, errSilent
	}
	return z, nil
}

func (q *asked) accountConns() (any, error) {
	a, ok := q.y.s.accounts.Lookup(q.token(3))
	if !ok {
		return nil, errSilent
	}
	e := q.y.newConns(a)
	if e.TotalConns == 0 {
		return nil, errSilent
	}
	return e, nil
}

func (q *asked) numSubs(o *struct {
	Account string `json:"acc"`
	Subject string `json:"subject"`
	Queue   string `json:"queue"`
}) (any, error) {
	a, ok := q.y.s.accounts.Lookup(o.Account)
	if !ok {
		return nil, errSilent
	}
	return []byte(fmt.Sprint(a.Listeners(o.Subject, o.Queue))), nil
}
