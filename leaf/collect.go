package leaf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
)

// collector keeps one stream of the hub that has the stream EDGE of every edge
// as a source. A source is added when an edge is linked that has such a stream,
// and stays when the edge is away.
//
// It speaks to JetStream by requests, as any client: at home, and at the edges
// through their domains.
type collector struct {
	m    *Module
	a    *account.Account
	name string
	poke chan struct{} // holds one: a link came
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

func newCollector(m *Module, a *account.Account, name string) *collector {
	return &collector{m: m, a: a, name: name, poke: make(chan struct{}, 1)}
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
	cfg, err := c.stream(ctx)
	if err != nil {
		return false, err
	}
	var sources []json.RawMessage
	if raw := cfg["sources"]; raw != nil {
		if err := json.Unmarshal(raw, &sources); err != nil {
			return false, fmt.Errorf("sources of the stream: %w", err)
		}
	}
	have := map[string]bool{}
	for _, raw := range sources {
		var s collected
		if json.Unmarshal(raw, &s) == nil && s.External != nil {
			have[s.External.API] = true
		}
	}
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
	if own, _ := json.Marshal([]string{c.name}); len(sources) == 0 && string(cfg["subjects"]) == string(own) {
		// A stream without subjects and sources gets its name as its subject. With
		// the first source there is no need of one that nobody has asked for.
		delete(cfg, "subjects")
	}
	for _, d := range found {
		raw, _ := json.Marshal(&collected{Name: core.EdgeStream, External: &external{API: apiOf(d)}}) // plain data
		sources = append(sources, raw)
	}
	if cfg["sources"], err = json.Marshal(sources); err != nil {
		return false, err
	}
	if _, err := c.request(ctx, "UPDATE", cfg); err != nil {
		return false, err
	}
	for _, d := range found {
		c.m.log.Info("Collecting the stream "+core.EdgeStream+" of an edge", "domain", d, "into", c.name)
	}
	return soon && len(found) < len(missing), nil
}

// collected is one source.
type collected struct {
	Name     string    `json:"name"`
	External *external `json:"external,omitempty"`
}

type external struct {
	API string `json:"api"`
}

func apiOf(domain string) string { return "$JS." + domain + ".API" }

// stream is the configuration of the stream, which is made when it is not
// there.
func (c *collector) stream(ctx context.Context) (map[string]json.RawMessage, error) {
	cfg, err := c.request(ctx, "INFO", nil)
	if errors.Is(err, core.ErrNoStream) {
		return c.request(ctx, "CREATE", map[string]any{
			"name": c.name, "storage": "file", "retention": "limits", "discard": "old", "num_replicas": 1, "allow_direct": true,
		})
	}
	return cfg, err
}

// request asks this server's own JetStream about the stream.
func (c *collector) request(ctx context.Context, verb string, body any) (map[string]json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	a, err := core.AskStream(ctx, c.a, verb, c.name, body)
	if err != nil {
		return nil, err
	}
	return a.Config, nil
}

// ask gives those of the domains that have the stream.
func (c *collector) ask(ctx context.Context, domains []string) (found []string) {
	ctx, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	var qs []core.Question
	for _, d := range domains {
		qs = append(qs, core.Question{Subject: apiOf(d) + ".STREAM.INFO." + core.EdgeStream})
	}
	answers, err := core.Gather(ctx, c.a, qs)
	if err != nil {
		return nil
	}
	for i, a := range answers {
		if a.Err != nil {
			continue
		}
		if s, err := core.ReadStreamAnswer(a.Body); err == nil && s.Config != nil {
			found = append(found, domains[i])
		}
	}
	return found
}
