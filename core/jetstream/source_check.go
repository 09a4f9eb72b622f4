package jetstream

import (
	"strings"

	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/subject"
)

// sourceErrors are the codes for what is wrong with a mirror, or with a
// source: the same rules, other numbers.
type sourceErrors struct {
	name, filters, filter, destination, overlap, consumer *APIError
	what                                                  string
}

var (
	mirrorErrors = sourceErrors{
		name: errMirrorName, filters: errMirrorFilters, filter: errMirrorFilter,
		destination: errMirrorDestination, overlap: errMirrorOverlap, consumer: errMirrorConsumer, what: "mirror",
	}
	sourcesErrors = sourceErrors{
		name: errSourceName, filters: errSourceFilters, filter: errSourceFilter,
		destination: errSourceDestination, overlap: errSourceOverlap, consumer: errSourceConsumer, what: "source",
	}
)

// checkSources checks the mirror and the sources of a configuration.
func (c *StreamConfig) checkSources() *APIError {
	if c.Mirror != nil {
		if err := c.Mirror.check(&mirrorErrors, c); err != nil {
			return err
		}
	}
	seen := make(map[string]bool)
	for _, s := range c.Sources {
		if s == nil { // JSON says null
			return errSourceName
		}
		if err := s.check(&sourcesErrors, c); err != nil {
			return err
		}
		if key := s.key(); seen[key] {
			return errSourceDuplicate
		} else {
			seen[key] = true
		}
	}
	return nil
}

func (s *StreamSource) check(e *sourceErrors, c *StreamConfig) *APIError {
	if s.External == nil {
		if !validAssetName(s.Name) {
			return e.name
		}
		if s.Name == c.Name {
			return errStreamConfig.with("detected cycle")
		}
	} else if err := s.External.check(c); err != nil {
		return err
	}
	if s.Consumer != nil {
		return e.consumer.with("%s from a consumer made beforehand is not supported by this server", e.what)
	}
	if len(s.SubjectTransforms) > 0 && s.FilterSubject != "" {
		return e.filters
	}
	if s.FilterSubject != "" && !subject.ValidPattern(s.FilterSubject) {
		return e.filter.with("%s transform source: invalid subject %s", e.what, s.FilterSubject)
	}
	for i, t := range s.SubjectTransforms {
		if t.Source != "" && !subject.ValidPattern(t.Source) {
			return e.filter.with("%s transform source: invalid subject %s", e.what, t.Source)
		}
		if t.Destination != "" {
			if _, err := newTransform(t.Source, t.Destination); err != nil {
				return e.destination.with("%s transform: %v", e.what, err)
			}
		}
		for _, o := range s.SubjectTransforms[:i] {
			if subject.Collide(orAll(t.Source), orAll(o.Source)) {
				return e.overlap
			}
		}
	}
	return nil
}

func (x *ExternalStream) check(c *StreamConfig) *APIError {
	if x.DeliverPrefix != "" {
		if !subject.ValidLiteral(strings.TrimSuffix(x.DeliverPrefix, ".")) {
			return errExternalDeliver.with("stream external delivery prefix %q must not contain wildcards", x.DeliverPrefix)
		}
		for _, s := range c.Subjects {
			if subject.Collide(s, strings.TrimSuffix(x.DeliverPrefix, ".")+".>") {
				return errExternalOverlap.with("stream external delivery prefix %q overlaps with stream subject %q", x.DeliverPrefix, s)
			}
		}
	}
	if !subject.ValidLiteral(strings.TrimSuffix(x.APIPrefix, ".")) || subject.Collide(strings.TrimSuffix(x.APIPrefix, ".")+".>", apiPrefix+">") {
		return errExternalAPI.with("stream external api prefix %q must not overlap with %s", x.APIPrefix, apiPrefix+">")
	}
	return nil
}

// api is the prefix of the origin's API.
// domain is the domain of an external origin, "" when it is not known.
func (s *StreamSource) domain() string {
	d, ok := strings.CutPrefix(s.api(), "$JS.")
	if !ok || s.External == nil {
		return ""
	}
	d, ok = strings.CutSuffix(d, ".API")
	if !ok || strings.Contains(d, ".") {
		return ""
	}
	return d
}

func (s *StreamSource) api() string {
	if s.External == nil {
		return strings.TrimSuffix(apiPrefix, ".")
	}
	return strings.TrimSuffix(s.External.APIPrefix, ".")
}

// filters are what is asked of the origin, dests what each becomes here.
func (s *StreamSource) filters() (filters, dests []string) {
	if len(s.SubjectTransforms) == 0 {
		if s.FilterSubject != "" {
			filters = []string{s.FilterSubject}
		}
		return filters, nil
	}
	for _, t := range s.SubjectTransforms {
		filters = append(filters, orAll(t.Source))
		dests = append(dests, orAll(t.Destination))
	}
	if len(filters) == 1 && filters[0] == ">" {
		filters = nil
	}
	return filters, dests
}

// key tells the sources of one stream apart, and is what their positions are
// kept under.
func (s *StreamSource) key() string {
	api := ""
	if s.External != nil {
		api = s.External.APIPrefix
	}
	filters, dests := s.filters()
	return sourcing.Name(s.Name, api, filters, dests)
}

func (s *StreamSource) label() string {
	if s.External == nil {
		return s.Name
	}
	return sourcing.Label(s.Name, s.External.APIPrefix)
}

func orAll(s string) string {
	if s == "" {
		return ">"
	}
	return s
}
