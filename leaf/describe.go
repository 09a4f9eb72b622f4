package leaf

import (
	"net"
	"slices"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/monitor"
)

// Describe adds the block, the counters and, when asked, the links.
func (m *Module) Describe(d *monitor.Description) {
	if !m.ready.Load() { // monitoring may be up before the module
		return
	}
	m.describeBlock(&d.Leaf)
	m.mu.Lock()
	links := slices.Clone(m.mu.links)
	d.Counts.Add(m.mu.gone, false)
	m.mu.Unlock()
	d.Counts.Leafs += len(links)
	for _, l := range links {
		d.Counts.Add(l.traffic(), false)
		if d.WantConns {
			d.Conns = append(d.Conns, l.describe(d.WantAuth))
		}
	}
}

func (m *Module) describeBlock(v *monitor.LeafVarz) {
	o := m.services.Options()
	if m.listener != nil {
		v.Host, v.Port = o.Leaf.Host, m.listener.ln.Addr().(*net.TCPAddr).Port
		v.AuthTimeout = o.Leaf.Auth.AuthTimeout(o.Leaf.TLS).Seconds()
		if t := o.Leaf.TLS; t != nil {
			v.TLSRequired, v.TLSVerify, v.TLSTimeout = true, t.Verify, t.Timeout.Seconds()
		}
	}
	for _, r := range m.remotes {
		c := r.config
		rv := monitor.RemoteLeafVarz{LocalAccount: r.account.Name(), Connected: r.up.Load()}
		if c.TLS != nil {
			rv.TLSTimeout = c.TLS.Timeout.Seconds()
		}
		for _, u := range c.URLs {
			rv.URLs = append(rv.URLs, u.Redacted())
		}
		if len(c.DenyExports)+len(c.DenyImports) > 0 {
			rv.Deny = &monitor.LeafDenyVarz{Exports: c.DenyExports, Imports: c.DenyImports}
		}
		v.Remotes = append(v.Remotes, rv)
	}
}

func (l *link) traffic() monitor.Traffic {
	return monitor.Traffic{InMsgs: l.inMsgs.Load(), OutMsgs: l.outMsgs.Load(), InBytes: l.inBytes.Load(), OutBytes: l.outBytes.Load()}
}

func (l *link) describe(auth bool) *monitor.ConnInfo {
	c := &monitor.ConnInfo{
		Cid: l.id, Kind: monitor.KindLeaf, Start: l.started,
		LastActivity: time.Unix(0, max(l.lastActivity.Load(), l.heard.at.Load())),
		Pending:      int(l.out.waiting()),
		InMsgs:       l.inMsgs.Load(), OutMsgs: l.outMsgs.Load(),
		InBytes: l.inBytes.Load(), OutBytes: l.outBytes.Load(),
		NumSubs: uint32(l.numSubs.Load()), Name: l.peer.name,
		RoundTrip: time.Duration(l.rtt.Load()), AccountName: l.account.Name(),
	}
	if addr, ok := l.conn.RemoteAddr().(*net.TCPAddr); ok {
		c.IP, c.Port = addr.IP.String(), addr.Port
	}
	if auth {
		c.AuthorizedUser, c.Account = l.user, l.account.Name()
	}
	return c
}

// Link is one link as /leafz shows it.
type Link struct {
	ID            uint64
	Name          string
	Spoke         bool // this server is the spoke
	Isolated      bool
	Account       string
	Addr          string
	RTT           time.Duration
	InMsgs        int64
	OutMsgs       int64
	InBytes       int64
	OutBytes      int64
	Dropped       uint64 // messages that the network could not carry
	SharesDomain  string // another link whose server has the same JetStream domain
	Unfit         uint64 // messages longer than the other side takes
	Subscriptions int64
	Compression   string
}

// Links are the links that are up.
func (m *Module) Links() []Link {
	var all []Link
	for _, l := range m.snapshot() {
		all = append(all, Link{
			ID: l.id, Name: l.peer.name, Spoke: l.role == account.RoleHub, Isolated: l.isolated,
			Account: l.account.Name(), Addr: l.conn.RemoteAddr().String(), RTT: time.Duration(l.rtt.Load()),
			InMsgs: l.inMsgs.Load(), OutMsgs: l.outMsgs.Load(),
			InBytes: l.inBytes.Load(), OutBytes: l.outBytes.Load(),
			Dropped: l.out.droppedMsgs(), Unfit: l.unfits.Load(), SharesDomain: l.shares, Subscriptions: l.numSubs.Load(), Compression: l.compressionName(),
		})
	}
	return all
}
