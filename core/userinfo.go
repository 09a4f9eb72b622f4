package core

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// userInfoSubject is where every user may ask who he is.
const userInfoSubject = "$SYS.REQ.USER.INFO"

// answerUserInfo answers the client's question who it is. The server of the
// asker answers, so it is done here and not by a subscription: what is
// published says nothing about its publisher.
func (c *client) answerUserInfo(m *wire.Msg) bool {
	if len(m.Reply) == 0 {
		return false
	}
	set := c.s.Options()
	host, _ := c.s.advertised(set)
	c.life.Lock()
	data := &monitor.UserInfo{User: c.life.user, Account: c.life.acc, AccountName: c.life.acc}
	c.life.Unlock()
	data.Permissions = describePermissions(c.session.Load().perms)
	server := &monitor.ServerInfo{
		Name: c.s.ServerName(), Host: host, ID: c.s.ServerID(), Cluster: c.s.clusterName(), Domain: c.s.domain(),
		Version: Level, Tags: set.ServerTags, Metadata: set.ServerMetadata, JetStream: c.s.jetStream(),
		Seq: c.s.systemSeq.Add(1), Time: time.Now().UTC(),
	}
	if server.JetStream {
		server.Flags = monitor.FlagJetStream
	}
	body, err := json.Marshal(&monitor.Answer{Server: server, Data: data})
	if err != nil {
		c.log().Error("user info", "err", err)
		return false
	}
	o := account.NewOrigin(nil, account.RoleInternal, "")
	c.account.Route(o, &wire.Msg{Subject: m.Reply, Body: body, Own: true})
	o.Flush()
	return true
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
