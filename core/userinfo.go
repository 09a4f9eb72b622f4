package core

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// userInfoSubject is where every user may ask who he is.
const userInfoSubject = "$SYS.REQ.USER.INFO"

// serverInfo is the "server" in the envelope of system answers.
type serverInfo struct {
	Name      string    `json:"name"`
	Host      string    `json:"host"`
	ID        string    `json:"id"`
	Cluster   string    `json:"cluster,omitempty"`
	Domain    string    `json:"domain,omitempty"`
	Version   string    `json:"ver"`
	JetStream bool      `json:"jetstream"`
	Flags     uint64    `json:"flags"`
	Seq       uint64    `json:"seq"`
	Time      time.Time `json:"time"`
}

type userInfo struct {
	User        string           `json:"user"`
	Account     string           `json:"account"`
	AccountName string           `json:"account_name,omitempty"`
	Permissions *userPermissions `json:"permissions,omitempty"`
}

type userPermissions struct {
	Publish   *userRules     `json:"publish,omitempty"`
	Subscribe *userRules     `json:"subscribe,omitempty"`
	Responses *userResponses `json:"responses,omitempty"`
}

type userRules struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

type userResponses struct {
	Max     int           `json:"max"`
	Expires time.Duration `json:"ttl"`
}

// answerUserInfo answers the client's question who it is. The server of the
// asker answers, so it is done here and not by a subscription: what is
// published says nothing about its publisher.
func (c *client) answerUserInfo(m *wire.Msg) bool {
	if len(m.Reply) == 0 {
		return false
	}
	host, _ := c.s.advertised()
	c.life.Lock()
	data := userInfo{User: c.life.user, Account: c.life.acc, AccountName: c.life.acc}
	c.life.Unlock()
	data.Permissions = describePermissions(c.session.Load().perms)
	body, err := json.Marshal(struct {
		Server serverInfo `json:"server"`
		Data   userInfo   `json:"data"`
	}{
		serverInfo{
			Name: c.s.ServerName(), Host: host, ID: c.s.ServerID(), Cluster: c.s.ClusterName(),
			Domain: c.s.Domain(), Version: Level, JetStream: c.s.JetStream(),
			Seq: c.s.systemSeq.Add(1), Time: time.Now().UTC(),
		}, data,
	})
	if err != nil {
		return false
	}
	o := account.NewOrigin(nil, account.RoleInternal, "")
	c.account.Route(o, &wire.Msg{Subject: m.Reply, Body: body})
	o.Flush()
	return true
}

func describePermissions(p *subject.Permissions) *userPermissions {
	if p == nil {
		return nil
	}
	rules := func(r *subject.Rules) *userRules {
		if r == nil {
			return nil
		}
		return &userRules{r.Allow, r.Deny}
	}
	d := &userPermissions{Publish: rules(p.PubRules()), Subscribe: rules(p.SubRules())}
	if r := p.Responses(); r != nil {
		d.Responses = &userResponses{r.Max, r.Expires}
	}
	return d
}
