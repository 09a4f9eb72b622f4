package monitor

// Description is what a module tells about itself. The asker says what it
// wants, the module adds to the rest; several modules fill the same one, so
// they append and add, and never replace what is not theirs.
type Description struct {
	// What is wanted.
	WantConns   bool // Conns
	WantSubs    bool // with ConnInfo.Subs
	WantDetails bool // with ConnInfo.SubsDetail
	WantLeafs   bool // Leafs and LeafConflicts; WantSubs with LeafInfo.Subs
	WantAuth    bool // with AuthorizedUser, Account and the like

	// Always filled, cheap: a module's own object of Varz and its share of
	// the counters.
	Leaf   LeafVarz
	MQTT   MQTTVarz
	Counts Counts
	// Health are findings that make the server unavailable; none is healthy.
	Health []HealthError

	// Conns are the open connections of the module.
	Conns []*ConnInfo
	// Leafs are the leaf links that are up.
	Leafs         []*LeafInfo
	LeafConflicts []LeafConflict
}

// Counts is a module's share of the counters of Varz.
type Counts struct {
	Connections      int // clients only
	TotalConnections uint64
	Leafs            int
	// Messages and bytes of all its connections; those of clients once more.
	InMsgs, OutMsgs, InBytes, OutBytes                         int64
	InClientMsgs, OutClientMsgs, InClientBytes, OutClientBytes int64
	// Slow and Stale ended because they did not read, or did not answer.
	Slow, Stale KindCounts
}

// Add adds what one connection, or some that are gone, sent and got; client
// says that it counts as a client's too.
func (c *Counts) Add(t Traffic, client bool) {
	c.InMsgs += t.InMsgs
	c.OutMsgs += t.OutMsgs
	c.InBytes += t.InBytes
	c.OutBytes += t.OutBytes
	if client {
		c.InClientMsgs += t.InMsgs
		c.OutClientMsgs += t.OutMsgs
		c.InClientBytes += t.InBytes
		c.OutClientBytes += t.OutBytes
	}
}

// Traffic is what went over connections. A module keeps that of connections
// that are gone: the counters of Varz never fall.
type Traffic struct{ InMsgs, OutMsgs, InBytes, OutBytes int64 }

// Plus is the sum.
func (t Traffic) Plus(o Traffic) Traffic {
	return Traffic{t.InMsgs + o.InMsgs, t.OutMsgs + o.OutMsgs, t.InBytes + o.InBytes, t.OutBytes + o.OutBytes}
}

// AddTo adds the module's objects and counters to v.
func (d *Description) AddTo(v *Varz) {
	v.Leaf, v.MQTT = d.Leaf, d.MQTT
	c := &d.Counts
	v.Connections += c.Connections
	v.TotalConnections += c.TotalConnections
	v.Leafs += c.Leafs
	v.InMsgs += c.InMsgs
	v.OutMsgs += c.OutMsgs
	v.InBytes += c.InBytes
	v.OutBytes += c.OutBytes
	v.InClientMsgs += c.InClientMsgs
	v.OutClientMsgs += c.OutClientMsgs
	v.InClientBytes += c.InClientBytes
	v.OutClientBytes += c.OutClientBytes
	v.SlowConsumers += c.Slow.total()
	v.StaleConnections += c.Stale.total()
	v.SlowByKind = v.SlowByKind.plus(c.Slow)
	v.StaleByKind = v.StaleByKind.plus(c.Stale)
}

func (k KindCounts) total() int64 { return int64(k.Clients + k.Routes + k.Gateways + k.Leafs) }

func (k *KindCounts) plus(o KindCounts) *KindCounts {
	if k != nil {
		o.Clients += k.Clients
		o.Routes += k.Routes
		o.Gateways += k.Gateways
		o.Leafs += k.Leafs
	}
	return &o
}
