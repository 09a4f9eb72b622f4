package account

import (
	"fmt"
	"slices"
	"strings"

	"github.com/frondmq/frond/core/subject"
)

// Destination is one outcome of a mapping, chosen with a probability of
// Weight percent. A destination with a Cluster is for servers of that cluster
// only and takes the place of those without.
type Destination struct {
	Subject string
	Weight  int
	Cluster string
}

// Mappings are those of an account, in the order in which they are tried. Once an
// account has them nobody changes them.
type Mappings struct{ list []*mapping }

// Add maps messages on src to one of several subjects; cluster is the name of this
// server's cluster. What the weights leave of 100 stays on its subject, or is lost if
// src is itself among the destinations. A mapping of the same source is replaced.
func (s *Mappings) Add(src, cluster string, dests []Destination) error {
	m, err := newMapping(src, cluster, dests)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(s.list, func(o *mapping) bool { return o.source == src }); i >= 0 {
		s.list[i] = m
	} else {
		s.list = append(s.list, m)
	}
	return nil
}

// SetMappings replaces all mappings, for messages that are published from now on;
// nil is none.
func (a *Account) SetMappings(s *Mappings) {
	if s != nil && len(s.list) == 0 {
		s = nil
	}
	a.mappings.Store(s)
}

type mapping struct {
	source  string
	choices []choice
	// fixed: the same subject always gives the same result, so that it can be
	// remembered.
	fixed bool
}

type choice struct {
	below     int // chosen when a draw of 0..99 is below; ascending
	transform *subject.Transform
	keep      bool // the subject stays as it is
}

// mappedSubject is what an Origin remembers of one subject.
type mappedSubject struct {
	result  []byte   // nil: dropped
	changed bool     //
	draw    *mapping // not nil: decided for each message
}

// Mappings are the sources of all mappings, in the order in which they are
// tried. Leaf links announce them like interest.
func (a *Account) Mappings() []string {
	set := a.mappings.Load()
	if set == nil {
		return nil
	}
	var s []string
	for _, m := range set.list {
		s = append(s, m.source)
	}
	return s
}

// DomainMappings are pairs of source and destination by which the JetStream API of this
// server is reachable under its domain name.
func DomainMappings(domain string) (list [][2]string) {
	prefix := "$JS." + domain + ".API."
	for _, api := range [...]string{"INFO", "STREAM.>", "CONSUMER.>", "DIRECT.>", "META.>", "SERVER.>", "ACCOUNT.>"} {
		list = append(list, [2]string{prefix + api, "$JS.API." + api})
	}
	for _, store := range [...]string{"$KV.>", "$OBJ.>"} {
		list = append(list, [2]string{prefix + store, store})
	}
	return list
}

// AddDomain adds DomainMappings, for who is here and for leaf links.
func (s *Mappings) AddDomain(domain string) error {
	for _, m := range DomainMappings(domain) {
		if err := s.Add(m[0], "", []Destination{{Subject: m[1], Weight: 100}}); err != nil {
			return err
		}
	}
	return nil
}

func newMapping(src, cluster string, dests []Destination) (*mapping, error) {
	if len(dests) == 0 {
		return nil, fmt.Errorf("mapping of %q: no destination", src)
	}
	scoped := slices.ContainsFunc(dests, func(d Destination) bool { return d.Cluster != "" && d.Cluster == cluster })
	m := &mapping{source: src, fixed: true}
	sum := 0
	toSelf := false
	for i, d := range dests {
		if slices.ContainsFunc(dests[:i], func(e Destination) bool { return e.Subject == d.Subject && e.Cluster == d.Cluster }) {
			return nil, fmt.Errorf("mapping of %q: %q is there twice", src, d.Subject)
		}
		t, err := subject.NewTransform(src, d.Subject)
		if err != nil {
			return nil, fmt.Errorf("mapping of %q to %q: %w", src, d.Subject, err)
		}
		if d.Weight < 0 || d.Weight > 100 {
			return nil, fmt.Errorf("mapping of %q to %q: weight %d is not in 0..100", src, d.Subject, d.Weight)
		}
		if scoped && d.Cluster != cluster || !scoped && d.Cluster != "" {
			continue
		}
		sum += d.Weight
		toSelf = toSelf || d.Subject == src
		if strings.Contains(strings.ToLower(d.Subject), "{{") && strings.Contains(strings.ToLower(d.Subject), "random") {
			m.fixed = false
		}
		m.choices = append(m.choices, choice{below: sum, transform: t, keep: d.Subject == src})
	}
	if sum > 100 {
		return nil, fmt.Errorf("mapping of %q: weights add up to %d", src, sum)
	}
	if sum < 100 && !toSelf {
		m.choices = append(m.choices, choice{below: 100, keep: true})
	}
	m.fixed = m.fixed && len(m.choices) > 0 && m.choices[0].below >= 100
	return m, nil
}

// mapSubject applies the first mapping that matches. A nil result means that
// the message is dropped.
func (o *Origin) mapSubject(at *side, set *Mappings, subj []byte) (result []byte, changed bool) {
	if at.maps != set {
		at.maps = set
		at.mapped = make(map[string]*mappedSubject)
	}
	e, ok := at.mapped[string(subj)]
	if !ok {
		if len(at.mapped) >= maxCached {
			clear(at.mapped)
		}
		e = o.findMapping(set, string(subj))
		at.mapped[string(subj)] = e
	}
	if e.draw == nil {
		return e.result, e.changed
	}
	s, ok := e.draw.apply(o, string(subj))
	if !ok {
		return nil, false
	}
	return []byte(s), s != string(subj)
}

func (o *Origin) findMapping(set *Mappings, subj string) *mappedSubject {
	for _, m := range set.list {
		if !subject.Match(m.source, subj) {
			continue
		}
		if !m.fixed {
			return &mappedSubject{draw: m}
		}
		s, ok := m.apply(o, subj)
		if !ok {
			return &mappedSubject{}
		}
		return &mappedSubject{result: []byte(s), changed: s != subj}
	}
	return &mappedSubject{result: []byte(subj)}
}

func (m *mapping) apply(o *Origin, subj string) (string, bool) {
	draw := 0
	if !m.fixed {
		draw = o.random(100)
	}
	for _, c := range m.choices {
		if draw >= c.below {
			continue
		}
		if c.keep {
			return subj, true
		}
		return c.transform.Apply(subj, o.random)
	}
	return "", false
}
