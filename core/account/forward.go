package account

// tier says in which order members of a queue group are tried, and whether a
// peer is sent anything at all.
type tier uint8

const (
	never  tier = iota // not sent
	first              // local subscribers and servers of the cluster
	second             // leaf links: only when nobody of the first tier is there
	third              // other clusters
)

const numTiers = 3

// forward is the law of who is sent what another peer published: the row is
// the origin of the message, the column the kind of peer that is interested.
//
// A message crosses the servers of a cluster in one hop, so nothing that came
// by a route leaves by a route or a gateway. Every server of a spoke cluster
// keeps its own link to the hub: what came from the hub is not spread over
// routes, and what came over a route does not go up to the hub.
var forward = [numRoles][numRoles]tier{
	//              Client  Internal Local  Kept   Spoke   Hub     Route  Gateway
	RoleClient:   {first, first, first, first, second, second, first, third},
	RoleInternal: {first, first, never, first, second, second, first, third},
	RoleLocal:    {first, first, never, first, second, second, first, third},
	RoleKept:     {first, first, never, first, second, second, first, third},
	RoleSpoke:    {first, first, never, first, second, second, first, third},
	RoleHub:      {first, first, never, first, second, never, never, third},
	RoleRoute:    {first, first, never, first, second, never, never, never},
	RoleGateway:  {first, first, never, first, second, second, first, never},
}

// announce is the law of whose interest is made known on a link: the row is
// the peer of the link, the column the kind of subscriber.
var announce = [numRoles][numRoles]bool{
	//             Client Internal Local Kept Spoke Hub  Route  Gateway
	RoleSpoke:   {true, true, false, true, true, true, true, true},
	RoleHub:     {true, true, false, true, true, false, false, false},
	RoleRoute:   {true, true, false, true, true, false, false, false},
	RoleGateway: {true, true, false, true, true, false, true, false},
}

// Announces reports whether the interest of a subscriber is made known to the
// peer of a link. Nothing is announced to clients. The two must not be the
// same link, and leaf links of one cluster do not hear of each other: see
// SameCluster.
func Announces(link, subscriber Role) bool { return announce[link][subscriber] }

// IsLink reports whether a peer of that role is another server.
func (r Role) IsLink() bool { return r >= RoleSpoke }

func (r Role) isLeaf() bool { return r == RoleSpoke || r == RoleHub }

// mapped reports whether subject mappings apply to what r publishes: to what
// enters the system here, not to what another server of it has mapped, and not
// to the server's own messages.
func (r Role) mapped() bool { return r == RoleClient || r.isLeaf() }

// SameCluster reports whether a leaf link leads to the cluster that something
// came from, and so must not be sent it.
func SameCluster(origin string, link Sink) bool {
	return origin != "" && link.Role().isLeaf() && link.Cluster() == origin
}

// tierOf applies the table and the rules about single peers.
func (o *Origin) tierOf(to Sink) tier {
	r := to.Role()
	t := forward[o.role][r]
	if t == never || !r.IsLink() {
		return t
	}
	if to == o.sink || SameCluster(o.cluster, to) {
		return never
	}
	return t
}
