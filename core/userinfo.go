package core

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// userInfoSubject is where every user may ask who he is.
const userInfoSubject = "$SYS.REQ.USER.INFO"

// newAccount makes an account in which clients may ask who they are.
func (s *Server) newAccount(name string, o *config.Options) *account.Account {
	a := account.New(name)
	if name != o.SystemAccount {
		s.system.accountQuestions(a)
	}
	// The subject is valid.
	_ = a.Subscribe(&account.Sub{Subject: userInfoSubject, Sink: &userInfo{s, a}})
	return a
}

// userInfo answers the question of a client who it is. Only the server of the
// asker can, and only to the asker: what others are does not concern it.
type userInfo struct {
	s *Server
	a *account.Account
}

// informed is a Connection whose client may ask who it is.
type informed interface{ UserInfo() *monitor.UserInfo }

// Role is part of account.Sink.
func (*userInfo) Role() account.Role { return account.RoleLocal }

// Cluster is part of account.Sink.
func (*userInfo) Cluster() string { return "" }

// Flush is part of account.Sink.
func (*userInfo) Flush() {}

// Deliver is part of account.Sink. It answers at once, on the asker's goroutine.
func (u *userInfo) Deliver(_ *account.Sub, m *wire.Msg) bool {
	if len(m.Reply) == 0 || m.From == 0 {
		return false
	}
	asker, ok := u.s.connections.Get(m.From).(informed)
	if !ok {
		return false
	}
	who := asker.UserInfo()
	if who.Account != u.a.Name() {
		return false // the question crossed into this account
	}
	body, err := json.Marshal(&monitor.Answer{Server: u.s.describeServer(), Data: who})
	if err != nil {
		u.s.log.Error("user info", "err", err)
		return false
	}
	// What is routed to the answer's receivers is none of the asker's Origin,
	// which is in the middle of the question.
	o := account.NewOrigin(nil, account.RoleInternal, "")
	u.a.Route(o, &wire.Msg{Subject: m.Reply, Body: body, Own: true})
	o.Flush()
	return true
}

// describeServer is who answers a system request.
func (s *Server) describeServer() *monitor.ServerInfo {
	o := s.Options()
	host, _ := s.advertised(o)
	i := &monitor.ServerInfo{
		Name: s.ServerName(), Host: host, ID: s.ServerID(), Cluster: s.clusterName(o), Domain: s.domain(),
		Version: Level, Tags: o.ServerTags, Metadata: o.ServerMetadata, JetStream: s.jetStream(),
		Seq: s.systemSeq.Add(1), Time: time.Now().UTC(),
	}
	if i.JetStream {
		i.Flags = monitor.FlagJetStream
	}
	return i
}

// UserInfo is what the client is told of itself.
func (c *client) UserInfo() *monitor.UserInfo {
	c.life.Lock()
	defer c.life.Unlock()
	return NewUserInfo(c.life.user, c.life.acc, c.session.Load().perms)
}

// NewUserInfo says who somebody is: a user, an account, and what it may do, which
// is everything without p.
func NewUserInfo(user, acc string, p *subject.Permissions) *monitor.UserInfo {
	return &monitor.UserInfo{User: user, Account: acc, AccountName: acc, Permissions: describePermissions(p)}
}

func describePermissions(p *subject.Permissions) *monitor.UserPermissions {
	if p == nil {
		return nil
	}
	rules := func(r *subject.Rules) *monitor.SubjectPermissions {
		if r == nil {
			return nil
		}
		return &monitor.SubjectPermissions{Allow: r.Allow, Deny: r.Deny}
	}
	d := &monitor.UserPermissions{Publish: rules(p.PubRules()), Subscribe: rules(p.SubRules())}
	if r := p.Responses(); r != nil {
		d.Responses = &monitor.ResponsePermissions{MaxMsgs: r.Max, Expires: r.Expires}
	}
	return d
}
