package monitor

import "time"

// Leafz is /leafz: the leaf links that are up.
type Leafz struct {
	ID       string      `json:"server_id"`
	Now      time.Time   `json:"now"`
	NumLeafs int         `json:"leafnodes"`
	Leafs    []*LeafInfo `json:"leafs"`
	// Conflicts are the newest links that were not let in or had to go, oldest
	// first. nats-server has none of it.
	Conflicts []LeafConflict `json:"conflicts,omitempty"`
}

// LeafInfo is one leaf link.
type LeafInfo struct {
	ID            uint64   `json:"id"`
	Name          string   `json:"name"` // of the other server
	Spoke         bool     `json:"is_spoke"`
	Isolated      bool     `json:"is_isolated,omitempty"`
	Account       string   `json:"account"` // of this side
	IP            string   `json:"ip"`
	Port          int      `json:"port"`
	RTT           string   `json:"rtt,omitempty"`
	InMsgs        int64    `json:"in_msgs"`
	OutMsgs       int64    `json:"out_msgs"`
	InBytes       int64    `json:"in_bytes"`
	OutBytes      int64    `json:"out_bytes"`
	Subscriptions uint32   `json:"subscriptions"`
	Subs          []string `json:"subscriptions_list,omitempty"` // sorted
	Compression   string   `json:"compression,omitempty"`

	// nats-server has none of these.

	// SharesDomain is another link whose server has the same JetStream domain.
	SharesDomain string `json:"shares_domain_with,omitempty"`
	Dropped      uint64 `json:"dropped,omitempty"` // messages that the network could not carry
	Unfit        uint64 `json:"unfit,omitempty"`   // messages longer than the other side takes
}

// LeafConflict is a link that could not be beside another one.
type LeafConflict struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"` // LeafRefused or LeafReplaced
	Name    string    `json:"name"`    // of the server at its other end
	Account string    `json:"account"`
	IP      string    `json:"ip"`
	Port    int       `json:"port"`
	Reason  string    `json:"reason"`
}

// Outcomes of a LeafConflict: the link itself was not let in, or it was ended
// for a newer one.
const (
	LeafRefused  = "refused"
	LeafReplaced = "replaced"
)

// LeafzOptions are the parameters of /leafz.
type LeafzOptions struct {
	Subscriptions bool
	Account       string // only links of that one, "" for all
}

// NewLeafz makes the answer from what the modules told.
func NewLeafz(id string, now time.Time, o *LeafzOptions, d *Description) *Leafz {
	z := &Leafz{ID: id, Now: now, Leafs: []*LeafInfo{}}
	for _, l := range d.Leafs {
		if o.Account == "" || o.Account == l.Account {
			z.Leafs = append(z.Leafs, l)
		}
	}
	for _, c := range d.LeafConflicts {
		if o.Account == "" || o.Account == c.Account {
			z.Conflicts = append(z.Conflicts, c)
		}
	}
	z.NumLeafs = len(z.Leafs)
	return z
}
