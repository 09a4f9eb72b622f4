package jetstream

import (
	"slices"
	"strings"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/subject"
)

// A loop is a way on which a message that a stream stores comes back to it:
// through sources and mirrors, through push consumers whose deliver subject
// another stream captures, through what streams republish, or any mix. One
// message would fill the disk. What one server can see is refused when it
// would close; hops.go bounds the rest, such as loops over two domains.

// loopGraph is the streams of an account as they would be with a change. The
// change is one stream's configuration, or one consumer more.
type loopGraph struct {
	domain  string
	configs map[string]*StreamConfig
	members func(stream string) []*consumer.Config // push consumers that are there
	sourced map[string][]loopEdge                  // by origin
}

// loopEdge says that what a stream stores under a subject of from goes to the
// stream to, and is stored there under subjects of as.
type loopEdge struct {
	to, from, as string
}

// loopsAt walks from a stream and reports whether something of it comes back.
// With first, the walk begins with that way.
func (a *account) loopsAt(name string, cfg *StreamConfig, first *consumer.Config) bool {
	if first == nil && !a.leadsOn(name, cfg) {
		return false
	}
	g := loopGraph{domain: a.e.cfg.Domain, configs: make(map[string]*StreamConfig), sourced: make(map[string][]loopEdge)}
	streams := make(map[string]*stream)
	for _, s := range a.sorted() {
		g.configs[s.name], streams[s.name] = s.config(), s
	}
	if cfg != nil {
		g.configs[name] = cfg
	}
	for to, c := range g.configs {
		g.addSources(to, c)
	}
	g.members = func(stream string) (push []*consumer.Config) {
		if s := streams[stream]; s != nil {
			for _, m := range s.members() {
				if c := m.config(); !c.Pull() && !c.Direct {
					push = append(push, c)
				}
			}
		}
		return push
	}
	w := loopWalk{g: &g, home: name, seen: make(map[[2]string]bool)}
	if first == nil {
		return w.from(name, ">")
	}
	for _, edge := range g.delivers(first) {
		if w.along(edge, ">") {
			return true
		}
	}
	return false
}

// leadsOn reports whether what a stream stores goes to any other; few do.
func (a *account) leadsOn(name string, cfg *StreamConfig) bool {
	if cfg.Republish != nil {
		return true
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if s := a.mu.streams[name]; s != nil && len(s.members()) > 0 {
		return true
	}
	from := func(src *StreamSource) bool { return src.Name == name }
	for _, s := range a.mu.streams {
		if c := s.config(); c.Mirror != nil && from(c.Mirror) || slices.ContainsFunc(c.Sources, from) {
			return true
		}
	}
	return false
}

func (g *loopGraph) addSources(to string, c *StreamConfig) {
	list := c.Sources
	if c.Mirror != nil {
		list = []*StreamSource{c.Mirror}
	}
	for _, src := range list {
		if src.External != nil && (g.domain == "" || src.api() != "$JS."+g.domain+".API") {
			continue // of another server, or account
		}
		filters, dests := src.filters()
		if len(filters) == 0 {
			filters = []string{">"}
		}
		for i, f := range filters {
			as := ""
			if i < len(dests) && dests[i] != ">" || c.SubjectTransform != nil {
				as = ">"
			}
			g.sourced[src.Name] = append(g.sourced[src.Name], loopEdge{to, f, as})
		}
	}
}

// delivers are the ways from a push consumer to streams that capture what it
// sends.
func (g *loopGraph) delivers(c *consumer.Config) (edges []loopEdge) {
	filters := c.Filters()
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, f := range filters {
		edges = append(edges, g.captures(f, c.DeliverSubject)...)
	}
	return edges
}

// captures are the ways to streams that capture a subject of dest.
func (g *loopGraph) captures(from, dest string) (edges []loopEdge) {
	for to, c := range g.configs {
		for _, s := range c.Subjects {
			if as, ok := intersect(dest, s); ok {
				if c.SubjectTransform != nil {
					as = ">"
				}
				edges = append(edges, loopEdge{to, from, as})
			}
		}
	}
	return edges
}

// leaving are the ways out of a stream.
func (g *loopGraph) leaving(stream string) []loopEdge {
	edges := append([]loopEdge(nil), g.sourced[stream]...)
	for _, c := range g.members(stream) {
		edges = append(edges, g.delivers(c)...)
	}
	if c := g.configs[stream]; c != nil && c.Republish != nil {
		edges = append(edges, g.captures(orAll(c.Republish.Source), wildcardForm(c.Republish.Destination))...)
	}
	return edges
}

// loopWalk goes through the graph with the set of subjects that can come so
// far.
type loopWalk struct {
	g    *loopGraph
	home string
	seen map[[2]string]bool // stream and subjects
}

// maxLoopSteps bounds a walk through very many streams.
const maxLoopSteps = 10000

func (w *loopWalk) from(stream, subjects string) bool {
	at := [2]string{stream, subjects}
	if w.seen[at] || len(w.seen) > maxLoopSteps {
		return false
	}
	w.seen[at] = true
	for _, edge := range w.g.leaving(stream) {
		if w.along(edge, subjects) {
			return true
		}
	}
	return false
}

func (w *loopWalk) along(edge loopEdge, subjects string) bool {
	through, ok := intersect(subjects, edge.from)
	if !ok {
		return false
	}
	if edge.as != "" {
		through = edge.as
	}
	return edge.to == w.home || w.from(edge.to, through)
}

// intersect is the set of subjects that match both patterns, if there are any.
func intersect(a, b string) (both string, ok bool) {
	if !subject.Collide(a, b) {
		return "", false
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	var out []string
	for i := 0; i < len(x) && i < len(y); i++ {
		switch {
		case x[i] == ">":
			return strings.Join(append(out, y[i:]...), "."), true
		case y[i] == ">":
			return strings.Join(append(out, x[i:]...), "."), true
		case x[i] == "*":
			out = append(out, y[i])
		default:
			out = append(out, x[i])
		}
	}
	return strings.Join(out, "."), true
}
