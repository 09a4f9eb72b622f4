package jetstream

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/subject"
)

// A loop is a way on which a message that a stream stores comes back to it:
// through sources and mirrors, through push consumers whose deliver subject
// another stream captures, through what streams republish, or any mix. One
// message would fill the disk. What one server can see is refused when it
// would close; a count in the message (sourcing.Hops) bounds the rest, such as loops over two domains.

// loopGraph is the streams of an account as they would be with a change. The
// change is one stream's configuration, or one consumer more.
type loopGraph struct {
	domain  string
	configs map[string]*asset.StreamConfig
	members func(stream string) []*consumer.Config // push consumers that are there
	sourced map[string][]loopEdge                  // by origin
}

// loopEdge says that what a stream stores under a subject of from goes to the
// stream to, and is stored there under subjects of as.
type loopEdge struct {
	to, from, as string
}

// errTooManyWays is told where a walk was given up.
var errTooManyWays = fmt.Errorf("more than %d ways lead from stream to stream: too many to find out whether a message would come back", maxLoopSteps)

// loopsAt walks from a stream and reports whether something of it comes back.
// With first, the walk begins with that way. It fails with errTooManyWays.
func (a *account) loopsAt(name string, cfg *asset.StreamConfig, first *consumer.Config) (bool, error) {
	if !a.leadsOn(name, cfg, first) {
		return false, nil
	}
	g := loopGraph{domain: a.e.cfg.Domain, configs: make(map[string]*asset.StreamConfig), sourced: make(map[string][]loopEdge)}
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
	w := loopWalk{g: &g, home: name, seen: make(map[[2]string]bool), steps: maxLoopSteps}
	if first == nil {
		w.add(name, ">")
	} else {
		for _, edge := range g.delivers(first) {
			w.along(edge, ">")
		}
	}
	return w.run()
}

// closesLoop refuses a new configuration of a stream with which something would
// come back that did not before.
func (a *account) closesLoop(s *stream, cfg *asset.StreamConfig) *apierror.Error {
	old := s.config()
	if reflect.DeepEqual(waysOf(old), waysOf(cfg)) {
		return nil
	}
	loops, err := a.loopsAt(s.name, cfg, nil)
	if err != nil {
		return apierror.ErrStreamConfig.With("%v", err)
	}
	if !loops {
		return nil
	}
	if before, err := a.loopsAt(s.name, old, nil); err == nil && before {
		return nil // it is no worse than it was
	}
	return apierror.ErrStreamConfig.With("detected cycle")
}

// waysOf is what of a configuration decides where messages come from and go to.
func waysOf(c *asset.StreamConfig) asset.StreamConfig {
	return asset.StreamConfig{Subjects: c.Subjects, Mirror: c.Mirror, Sources: c.Sources, Republish: c.Republish, SubjectTransform: c.SubjectTransform}
}

func (g *loopGraph) addSources(to string, c *asset.StreamConfig) {
	list := c.Sources
	if c.Mirror != nil {
		list = []*asset.StreamSource{c.Mirror}
	}
	for _, src := range list {
		if src.External != nil && (g.domain == "" || src.API() != "$JS."+g.domain+".API") {
			continue // of another server, or account
		}
		filters, dests := src.Filters()
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
		edges = append(edges, g.captures(asset.OrAll(c.Republish.Source), asset.WildcardForm(c.Republish.Destination))...)
	}
	return edges
}

// loopWalk goes through the graph with the set of subjects that can come so
// far.
type loopWalk struct {
	g     *loopGraph
	home  string
	seen  map[[2]string]bool // stream and subjects
	todo  [][2]string
	steps int
	found bool
}

// maxLoopSteps bounds a walk through very many streams. What would need more is
// refused: no answer is not "no loop".
const maxLoopSteps = 100_000

// run walks on until a loop is found, or everything is seen.
func (w *loopWalk) run() (bool, error) {
	for len(w.todo) > 0 && !w.found {
		at := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		for _, edge := range w.g.leaving(at[0]) {
			if w.steps--; w.steps < 0 {
				return false, errTooManyWays
			}
			w.along(edge, at[1])
		}
	}
	return w.found, nil
}

// add is for what comes to a stream, if it was not there before.
func (w *loopWalk) add(stream, subjects string) {
	at := [2]string{stream, subjects}
	if w.seen[[2]string{stream, ">"}] || w.seen[at] {
		return
	}
	w.seen[at] = true
	w.todo = append(w.todo, at)
}

func (w *loopWalk) along(edge loopEdge, subjects string) {
	through, ok := intersect(subjects, edge.from)
	if !ok {
		return
	}
	if edge.as != "" {
		through = edge.as
	}
	if edge.to == w.home {
		w.found = true
		return
	}
	w.add(edge.to, through)
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
