package leaf

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// aliveWait is how long the older of two links that only one server can have is
// waited for.
const aliveWait = 2 * time.Second

// admit registers l, and ends it or another one when both can not be.
func (m *Module) admit(ctx context.Context, l *link) {
	for {
		v := m.add(l)
		switch {
		case v.loop:
			l.delay = loopDelay
			m.conflict(l, monitor.LeafRefused, errLoop(l.account))
			l.fail(wire.ReasonDuplicateLeaf, errLoop(l.account))
		case v.old != nil:
			m.conflict(v.old, monitor.LeafReplaced, errDuplicate)
			v.old.fail(wire.ReasonDuplicateLeaf, errDuplicate)
		case v.twin != nil:
			// A copy of a data folder, or the same server started again while
			// this end has not noticed that the old link is dead.
			if v.twin.answers(ctx, m.aliveWait) {
				err := errClone(v.twin, l)
				l.log.Error("Leafnode connection refused", "err", err)
				m.conflict(l, monitor.LeafRefused, err)
				l.fail(wire.ReasonDuplicateLeaf, err)
				return
			}
			m.conflict(v.twin, monitor.LeafReplaced, errDuplicate)
			v.twin.fail(wire.ReasonDuplicateLeaf, errDuplicate)
			continue
		case v.domain != nil:
			err := errDomain(v.domain, l)
			if !v.added {
				l.log.Error("Leafnode connection refused", "err", err)
				m.conflict(l, monitor.LeafRefused, err)
				l.fail(wire.ReasonDuplicateLeaf, err)
			} else {
				l.log.Warn("Two servers of one JetStream domain: a stream that is fetched from it comes from either", "err", err)
			}
		}
		return
	}
}

// standing is what other links mean for a new one.
type standing struct {
	added  bool
	loop   bool  // the hub that was dialed is of a cluster that is a spoke of this server
	old    *link // it is replaced: the same server for the same accounts
	twin   *link // another run of the same data folder
	domain *link // another server with the same JetStream domain
}

// add registers l, unless it has a twin or may not have its domain.
func (m *Module) add(l *link) (v standing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.mu.links {
		if k.account != l.account || k.end.Load() != nil {
			continue
		}
		switch {
		case l.dialed:
			v.loop = v.loop || l.role == account.RoleHub && k.role == account.RoleSpoke &&
				l.peer.cluster != "" && k.peer.cluster == l.peer.cluster
		case k.dialed:
		case k.user == l.user && l.peer.store != "" && k.peer.store == l.peer.store && k.peer.run != l.peer.run:
			v.twin = k
		case k.user == l.user && sharesDomain(k, l):
			v.domain = k
		case l.remoteAcc != "" && k.remoteAcc == l.remoteAcc && k.peer.name == l.peer.name && k.peer.cluster == l.peer.cluster:
			v.old = k
		}
	}
	switch {
	case v.twin != nil:
		return v
	case v.domain != nil:
		// Stock servers can not be told apart for sure.
		if m.services.Options().Leaf.UniqueDomains && v.domain.peer.store != "" && l.peer.store != "" {
			return v
		}
		l.shares = describePeer(v.domain)
	}
	m.mu.links = append(m.mu.links, l)
	v.added = true
	return v
}

// sharesDomain reports whether two servers that do not belong together have one
// JetStream domain. Those of one cluster do.
func sharesDomain(k, l *link) bool {
	a, b := &k.peer, &l.peer
	if a.domain == "" || a.domain != b.domain || !a.jetstream || !b.jetstream {
		return false
	}
	if a.store == "" || b.store == "" {
		return a.name != b.name && (a.cluster == "" || a.cluster != b.cluster)
	}
	return a.store != b.store && (a.name == b.name || a.cluster == "" || a.cluster != b.cluster)
}

func (m *Module) remove(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.mu.links, l); i >= 0 {
		m.mu.links = slices.Delete(m.mu.links, i, i+1)
	}
}

// answers reports whether the peer shows a sign of life within wait.
func (l *link) answers(ctx context.Context, wait time.Duration) bool {
	begin := time.Now()
	select {
	case <-l.ponged:
	default:
	}
	l.out.overtake(pingLine)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-l.ponged:
		return true
	case <-l.over:
		return false
	case <-ctx.Done():
		return true
	case <-t.C:
		// The answer may stand behind much else on a slow path.
		return l.heard.at.Load() > core.Ticks(begin)
	}
}

var errDuplicate = &wire.Error{Text: "Duplicate Remote LeafNode Connection", Reason: wire.ReasonDuplicateLeaf}

// What a dialer looks for in an error text: it stays away for a while.
const (
	textClone  = "Cloned data folder"
	textDomain = "Duplicate JetStream domain"
)

func describePeer(l *link) string { return fmt.Sprintf("%q at %s", l.peer.name, l.conn.RemoteAddr()) }

func errClone(old, l *link) error {
	return &wire.Error{Reason: wire.ReasonDuplicateLeaf, Text: fmt.Sprintf(
		"%s: %s is linked and runs, and %s has a copy of its data: run frond identity new --data DIR on one of the two",
		textClone, describePeer(old), describePeer(l))}
}

func errDomain(old, l *link) error {
	return &wire.Error{Reason: wire.ReasonDuplicateLeaf, Text: fmt.Sprintf(
		"%s %s: %s has it already, %s needs another", textDomain, l.peer.domain, describePeer(old), describePeer(l))}
}
