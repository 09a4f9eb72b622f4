package leaf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// collector keeps one stream of the hub that has the stream EDGE of every edge
// as a source. A source is added when an edge is linked that has such a stream,
// and stays when the edge is away.
//
// It asks the edges through their domains.
type collector struct {
	m       *Module
	a       *account.Account
	streams *jsclient.Client // of this server; closed by run
	name    string
	poke    chan struct{} // holds one: a link came
}

const (
	collectSoon  = time.Second      // between two looks while an edge may not be ready yet
	collectLater = 30 * time.Second // between two looks for edges that have no such stream
	collectWait  = 2 * time.Second  // for answers
	// freshLink is how long after a link came up its interest may still be on
	// its way.
	freshLink = 10 * time.Second
)

func verifyCollect(o *config.Options) error {
	name := o.Leaf.Collect
	switch {
	case name == "":
	case !o.JetStream.Enabled:
		return errors.New("leafnodes.collect needs jetstream")
	case o.Leaf.Port == 0:
		return errors.New("leafnodes.collect needs a port that edges link to")
	case strings.ContainsAny(name, " \t\r\n.*>/\\"):
		return fmt.Errorf("leafnodes.collect: %q can not be the name of a stream", name)
	case name == core.EdgeStream && len(o.EdgeStore) > 0:
		return fmt.Errorf("leafnodes.collect: edge_store keeps the stream %s already", name)
	}
	return nil
}

func newCollector(m *Module, a *account.Account, name string) (*collector, error) {
	c, err := m.services.StreamClient(a, "")
	return &collector{m: m, a: a, streams: c, name: name, poke: make(chan struct{}, 1)}, err
}

// joined is told of every new link.
func (c *collector) joined() {
	if c == nil {
		return
	}
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

func (c *collector) run(ctx context.Context) {
	defer c.streams.Close()
	told := ""
	for ctx.Err() == nil {
		soon, err := c.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			told = ""
		case told != err.Error():
			told = err.Error()
			c.m.log.Error("The stream that collects what the edges keep can not be kept up", "stream", c.name, "err", err)
		}
		wait := collectLater
		if soon || err != nil {
			wait = collectSoon
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.poke:
		case <-t.C:
		}
		t.Stop()
	}
}

// look adds the edges that are linked and no source yet. soon is true when one
// of them may answer in a moment.
func (c *collector) look(ctx context.Context) (soon bool, err error) {
	i, err := c.stream(ctx)
	if err != nil {
		return false, err
	}
	have := collected(&i.Config)
	var missing []string
	for _, l := range c.m.snapshot() {
		if d := l.peer.domain; l.role == account.RoleSpoke && l.account == c.a && l.peer.jetstream && d != "" &&
			d != c.m.services.Domain() && !have[apiOf(d)] {
			have[apiOf(d)] = true
			missing = append(missing, d)
			soon = soon || time.Since(l.started) < freshLink
		}
	}
	found := c.ask(ctx, missing)
	if len(found) == 0 {
		return soon, nil
	}
	ctx, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	_, err = c.streams.Update(ctx, c.name, func(cfg *jsclient.StreamConfig) { c.add(cfg, found) })
	if err != nil {
		return false, err
	}
	for _, d := range found {
		c.m.log.Info("Collecting the stream "+core.EdgeStream+" of an edge", "domain", d, "into", c.name)
	}
	return soon && len(found) < len(missing), nil
}

// collected are the prefixes of the APIs that a stream has sources from.
func collected(cfg *jsclient.StreamConfig) map[string]bool {
	have := map[string]bool{}
	for _, s := range cfg.Sources {
		if s.External != nil {
			have[s.External.APIPrefix] = true
		}
	}
	return have
}

// add makes the streams of some domains sources.
func (c *collector) add(cfg *jsclient.StreamConfig, domains []string) {
	if len(cfg.Sources) == 0 && slices.Equal(cfg.Subjects, []string{c.name}) {
		// A stream without subjects and sources gets its name as its subject. With
		// the first source there is no need of one that nobody has asked for.
		cfg.Subjects = nil
	}
	have := collected(cfg)
	for _, d := range domains {
		if !have[apiOf(d)] {
			cfg.Sources = append(cfg.Sources, &jsclient.StreamSource{
				Name: core.EdgeStream, External: &jsclient.ExternalStream{APIPrefix: apiOf(d)},
			})
		}
	}
}

func apiOf(domain string) string { return "$JS." + domain + ".API" }

// stream is the stream, which is made when it is not there. One that is there
// stays as it is.
func (c *collector) stream(ctx context.Context) (*jsclient.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	i, err := c.streams.Info(ctx, c.name)
	if errors.Is(err, jsclient.ErrStreamNotFound) {
		return c.streams.Ensure(ctx, &jsclient.StreamConfig{Name: c.name, AllowDirect: true})
	}
	return i, err
}

// ask gives those of the domains that have the stream.
func (c *collector) ask(ctx context.Context, domains []string) (found []string) {
	ctx, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	var qs []core.Question
	for _, d := range domains {
		qs = append(qs, core.Question{Subject: jsclient.StreamInfoSubject(d, core.EdgeStream)})
	}
	answers, err := core.Gather(ctx, c.a, qs)
	if err != nil {
		return nil
	}
	for i, a := range answers {
		if a.Err != nil {
			continue
		}
		if s, err := jsclient.ReadStreamInfo(a.Body); err == nil && s.Config.Name != "" {
			found = append(found, domains[i])
		}
	}
	return found
}
