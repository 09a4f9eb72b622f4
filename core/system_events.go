//go:build !lite

package core

import (
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

func (y *system) newStatsz() *monitor.Statsz {
	active := 0
	for _, a := range y.s.accounts.All() {
		if clients, links := a.Present(); clients+links > 0 {
			active++
		}
	}
	return &monitor.Statsz{Server: y.s.describeServer(), Stats: monitor.NewServerStats(y.s.Varz(), active)}
}

func (y *system) tellStatsz(o *account.Origin) {
	if subj := y.subject(".STATSZ"); y.a.HasInterest(subj) {
		y.publish(o, subj, y.newStatsz())
	}
}

func (y *system) newConns(a *account.Account) *monitor.AccountConns {
	return &monitor.AccountConns{Event: newEvent(monitor.TypeAccountConns), Server: y.s.describeServer(), AccountStat: *accountStat(a)}
}

// tellConns tells how many are in an account, on both subjects that there are for it.
func (y *system) tellConns(o *account.Origin, a *account.Account) {
	if a == y.s.global {
		return
	}
	all, one := "$SYS.SERVER.ACCOUNT."+a.Name()+".CONNS", "$SYS.ACCOUNT."+a.Name()+".SERVER.CONNS"
	if y.a.HasInterest(all) || y.a.HasInterest(one) {
		e := y.newConns(a)
		y.publish(o, all, e)
		y.publish(o, one, e)
	}
}

// tellAllConns does so for all accounts that somebody is in.
func (y *system) tellAllConns(o *account.Origin) {
	for _, a := range y.s.accounts.All() {
		if clients, links := a.Present(); clients+links > 0 {
			y.tellConns(o, a)
		}
	}
}

// joined tells that c has logged in.
func (y *system) joined(c Connection) {
	y.do(func(o *account.Origin) {
		i := c.Describe(false, false)
		a, ok := y.s.accounts.Lookup(i.AccountName)
		if !ok {
			return
		}
		y.tellConns(o, a)
		if i.Kind == monitor.KindLeaf {
			y.publish(o, "$SYS.ACCOUNT."+a.Name()+".LEAFNODE.CONNECT", &monitor.LeafConnected{Server: y.s.describeServer(), Account: a.Name()})
			return
		}
		if subj := "$SYS.ACCOUNT." + a.Name() + ".CONNECT"; y.a.HasInterest(subj) {
			e := &monitor.Connected{Event: newEvent(monitor.TypeConnect), Server: y.s.describeServer(), Client: y.eventClient(i)}
			e.Client.RTT = 0 // what is known of it came later
			y.publish(o, subj, e)
		}
	})
}

// left tells that a connection has ended, which i describes. One that nobody was let
// in by is told of when the reason is that it could not say who it is.
func (y *system) left(i *monitor.ConnInfo, why wire.CloseReason) {
	denied := why == wire.ReasonAuthFailure && i.AccountName == ""
	if i.AccountName == "" && !denied {
		return
	}
	y.do(func(o *account.Origin) {
		tell := func(subj string) {
			if !y.a.HasInterest(subj) {
				return
			}
			e := &monitor.Disconnected{
				Event: newEvent(monitor.TypeDisconnect), Server: y.s.describeServer(), Client: y.eventClient(i),
				Sent:     monitor.DataStats{Msgs: i.InMsgs, Bytes: i.InBytes},
				Received: monitor.DataStats{Msgs: i.OutMsgs, Bytes: i.OutBytes}, Reason: why.String(),
			}
			stop := e.Time
			e.Client.Stop = &stop
			y.publish(o, subj, e)
		}
		if denied {
			tell(y.subject(".CLIENT.AUTH.ERR"))
		}
		name := i.AccountName
		if name == "" {
			name = config.GlobalAccount
		} else if a, ok := y.s.accounts.Lookup(name); ok {
			y.tellConns(o, a)
		}
		tell("$SYS.ACCOUNT." + name + ".DISCONNECT")
	})
}

// eventClient is who an event is about.
func (y *system) eventClient(i *monitor.ConnInfo) monitor.EventClient {
	name := i.AccountName
	if name == "" {
		name = config.GlobalAccount
	}
	return monitor.EventClient{
		Start: i.Start.UTC(), Host: i.IP, ID: i.Cid, Account: name, User: i.AuthorizedUser, Name: i.Name, Lang: i.Lang, Version: i.Version,
		RTT: i.RoundTrip, NameTag: name, Kind: i.Kind, ClientType: i.Type, MQTTClient: i.MQTTClient,
	}
}
