package monitor

// Description is what a module tells about itself. The asker says what it
// wants, the module adds to the rest; several modules fill the same one, so
// they append and add, and never replace what is not theirs.
type Description struct {
	// What is wanted.
	WantLeafs bool // Leafs and LeafConflicts
	WantSubs  bool // with LeafInfo.Subs

	// Always filled, cheap: a module's own object of Varz.
	Leaf LeafVarz
	MQTT MQTTVarz
	// Health are findings that make the server unavailable; none is healthy.
	Health []HealthError

	// Leafs are the leaf links that are up.
	Leafs         []*LeafInfo
	LeafConflicts []LeafConflict
}

// Traffic is what went over connections.
type Traffic struct{ InMsgs, OutMsgs, InBytes, OutBytes int64 }

// Plus is the sum.
func (t Traffic) Plus(o Traffic) Traffic {
	return Traffic{t.InMsgs + o.InMsgs, t.OutMsgs + o.OutMsgs, t.InBytes + o.InBytes, t.OutBytes + o.OutBytes}
}

// AddTo adds the module's objects to v.
func (d *Description) AddTo(v *Varz) { v.Leaf, v.MQTT = d.Leaf, d.MQTT }

// Total is the sum of all kinds.
func (k KindCounts) Total() int64 { return int64(k.Clients + k.Routes + k.Gateways + k.Leafs) }
