package leaf

import (
	"net"
	"slices"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
)

// Describe adds the block and, when asked, the links.
func (m *Module) Describe(d *monitor.Description) {
	if !m.ready.Load() { // monitoring may be up before the module
		return
	}
	m.describeBlock(&d.Leaf)
	m.mu.Lock()
	links := slices.Clone(m.mu.links)
	if d.WantLeafs {
		d.LeafConflicts = append(d.LeafConflicts, m.mu.conflicts...)
	}
	m.mu.Unlock()
	if !d.WantLeafs {
		return
	}
	for _, l := range links {
		d.Leafs = append(d.Leafs, l.info(d.WantSubs))
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
	for _, r := range m.dialers() {
		c := r.config
		rv := monitor.RemoteLeafVarz{LocalAccount: r.account.Name(), Connected: r.up.Load()}
		if c.TLS != nil {
			rv.TLSTimeout = c.TLS.Timeout.Seconds()
		}
		for _, u := range c.URLs {
			rv.URLs = append(rv.URLs, config.ShownURL(u))
		}
		if len(c.DenyExports)+len(c.DenyImports) > 0 {
			rv.Deny = &monitor.LeafDenyVarz{Exports: c.DenyExports, Imports: c.DenyImports}
		}
		v.Remotes = append(v.Remotes, rv)
	}
}

// ConnID is part of core.Connection.
func (l *link) ConnID() uint64 { return l.id }

// ConnKind is part of core.Connection.
func (l *link) ConnKind() string { return monitor.KindLeaf }

// Traffic is part of core.Connection.
func (l *link) Traffic() monitor.Traffic {
	return monitor.Traffic{InMsgs: l.inMsgs.Load(), OutMsgs: l.outMsgs.Load(), InBytes: l.inBytes.Load(), OutBytes: l.outBytes.Load()}
}

// Describe is part of core.Connection.
func (l *link) Describe(_, _ bool) *monitor.ConnInfo {
	c := &monitor.ConnInfo{
		Cid: l.id, Kind: monitor.KindLeaf, Start: l.started,
		LastActivity: core.Moment(max(l.lastActivity.Load(), l.heard.at.Load())),
		Pending:      int(l.out.waiting()),
		InMsgs:       l.inMsgs.Load(), OutMsgs: l.outMsgs.Load(),
		InBytes: l.inBytes.Load(), OutBytes: l.outBytes.Load(),
		NumSubs: uint32(l.numSubs.Load()), Name: l.peer.name,
		RoundTrip: time.Duration(l.rtt.Load()), AccountName: l.account.Name(),
		AuthorizedUser: l.user, Account: l.account.Name(),
	}
	c.IP, c.Port = address(l.conn)
	return c
}

// info is the link for /leafz.
func (l *link) info(subs bool) *monitor.LeafInfo {
	i := &monitor.LeafInfo{
		ID: l.id, Name: l.peer.name, Spoke: l.role == account.RoleHub, Isolated: l.isolated, Account: l.account.Name(),
		InMsgs: l.inMsgs.Load(), OutMsgs: l.outMsgs.Load(), InBytes: l.inBytes.Load(), OutBytes: l.outBytes.Load(),
		Subscriptions: uint32(l.numSubs.Load()), Compression: l.compressionName(),
		SharesDomain: l.shares, Dropped: l.out.droppedMsgs(), Unfit: l.unfits.Load(),
	}
	i.IP, i.Port = address(l.conn)
	if rtt := l.rtt.Load(); rtt > 0 {
		i.RTT = time.Duration(rtt).Truncate(time.Microsecond).String()
	}
	if subs {
		l.listing.Lock()
		for _, s := range l.subs {
			i.Subs = append(i.Subs, s.Subject)
		}
		l.listing.Unlock()
		slices.Sort(i.Subs)
	}
	return i
}

func address(c net.Conn) (ip string, port int) {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.IP.String(), a.Port
	}
	return "", 0
}

// Links are the links that are up.
func (m *Module) Links() []*monitor.LeafInfo {
	var all []*monitor.LeafInfo
	for _, l := range m.snapshot() {
		all = append(all, l.info(false))
	}
	return all
}

// conflict notes that l could not be beside another link.
func (m *Module) conflict(l *link, outcome string, reason error) {
	c := monitor.LeafConflict{At: time.Now().UTC(), Outcome: outcome, Name: l.peer.name, Account: l.account.Name(), Reason: reason.Error()}
	c.IP, c.Port = address(l.conn)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.mu.conflicts) == maxConflicts {
		m.mu.conflicts = slices.Delete(m.mu.conflicts, 0, 1)
	}
	m.mu.conflicts = append(m.mu.conflicts, c)
}

// maxConflicts is how many are kept.
const maxConflicts = 32
