//go:build !lite

package core

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/monitor"
)

// askInfo is what services of other accounts hear of a client, made anew when its
// round trip is another one.
type askInfo struct {
	rtt           time.Duration
	account       string
	connect       *connectOptions
	plain, shared string
}

// requestor is its JSON; without share there are account and round trip alone.
type requestor struct {
	Start  *time.Time    `json:"start,omitempty"`
	Host   string        `json:"host,omitempty"`
	ID     uint64        `json:"id,omitempty"`
	Acc    string        `json:"acc"`
	User   string        `json:"user,omitempty"`
	Name   string        `json:"name,omitempty"`
	Lang   string        `json:"lang,omitempty"`
	Ver    string        `json:"ver,omitempty"`
	RTT    time.Duration `json:"rtt,omitempty"`
	Server string        `json:"server,omitempty"`
	Kind   string        `json:"kind,omitempty"`
	Type   string        `json:"client_type,omitempty"`
}

// requestInfo is the value of account.HdrRequestInfo. For the reader only.
func (c *client) requestInfo(share bool) string {
	c.life.Lock()
	rtt, user := c.life.rtt, c.life.user
	c.life.Unlock()
	a := c.asks
	if a == nil || a.rtt != rtt || a.account != c.account.Name() || a.connect != c.connect {
		start := c.start.UTC()
		r := requestor{Acc: c.account.Name(), RTT: rtt}
		plain, _ := json.Marshal(&r) // strings and numbers
		r = requestor{
			Start: &start, Host: c.host(), ID: c.id, Acc: r.Acc, User: user, Name: c.connect.Name, Lang: c.connect.Lang,
			Ver: c.connect.Version, RTT: rtt, Server: c.s.ServerName(), Kind: monitor.KindClient, Type: monitor.TypeNATS,
		}
		shared, _ := json.Marshal(&r)
		a = &askInfo{rtt, r.Acc, c.connect, string(plain), string(shared)}
		c.asks = a
	}
	if share {
		return a.shared
	}
	return a.plain
}
