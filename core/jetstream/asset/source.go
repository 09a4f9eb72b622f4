package asset

import (
	"strings"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/subject"
)

// sourceErrors are the codes for what is wrong with a mirror, or with a
// source: the same rules, other numbers.
type sourceErrors struct {
	name, filters, filter, destination, overlap, consumer *apierror.Error
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
func (c *StreamConfig) checkSources() *apierror.Error {
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
		if key := s.Key(); seen[key] {
			return errSourceDuplicate
		} else {
			seen[key] = true
		}
	}
	return nil
}

func (s *StreamSource) check(e *sourceErrors, c *StreamConfig) *apierror.Error {
	if s.External == nil {
		if !validName(s.Name) {
			return e.name
		}
		if s.Name == c.Name {
			return apierror.ErrStreamConfig.With("detected cycle")
		}
	} else if err := s.External.check(c); err != nil {
		return err
	}
	if s.Consumer != nil {
		return e.consumer.With("%s from a consumer made beforehand is not supported by this server", e.what)
	}
	if len(s.SubjectTransforms) > 0 && s.FilterSubject != "" {
		return e.filters
	}
	if s.FilterSubject != "" && !subject.ValidPattern(s.FilterSubject) {
		return e.filter.With("%s transform source: invalid subject %s", e.what, s.FilterSubject)
	}
	for i, t := range s.SubjectTransforms {
		if t.Source != "" && !subject.ValidPattern(t.Source) {
			return e.filter.With("%s transform source: invalid subject %s", e.what, t.Source)
		}
		if t.Destination != "" {
			if _, err := NewTransform(t.Source, t.Destination); err != nil {
				return e.destination.With("%s transform: %v", e.what, err)
			}
		}
		for _, o := range s.SubjectTransforms[:i] {
			if subject.Collide(OrAll(t.Source), OrAll(o.Source)) {
				return e.overlap
			}
		}
	}
	return nil
}

func (x *ExternalStream) check(c *StreamConfig) *apierror.Error {
	if x.DeliverPrefix != "" {
		if !subject.ValidLiteral(strings.TrimSuffix(x.DeliverPrefix, ".")) {
			return errExternalDeliver.With("stream external delivery prefix %q must not contain wildcards", x.DeliverPrefix)
		}
		for _, s := range c.Subjects {
			if subject.Collide(s, strings.TrimSuffix(x.DeliverPrefix, ".")+".>") {
				return errExternalOverlap.With("stream external delivery prefix %q overlaps with stream subject %q", x.DeliverPrefix, s)
			}
		}
	}
	if !subject.ValidLiteral(strings.TrimSuffix(x.APIPrefix, ".")) || subject.Collide(strings.TrimSuffix(x.APIPrefix, ".")+".>", APIPrefix+">") {
		return errExternalAPI.With("stream external api prefix %q must not overlap with %s", x.APIPrefix, APIPrefix+">")
	}
	return nil
}

// Domain is the domain of an external origin, "" when it is not known.
func (s *StreamSource) Domain() string {
	d, ok := strings.CutPrefix(s.API(), "$JS.")
	if !ok || s.External == nil {
		return ""
	}
	d, ok = strings.CutSuffix(d, ".API")
	if !ok || strings.Contains(d, ".") {
		return ""
	}
	return d
}

// API is the prefix of the origin's API, without the dot at its end.
func (s *StreamSource) API() string {
	if s.External == nil {
		return strings.TrimSuffix(APIPrefix, ".")
	}
	return strings.TrimSuffix(s.External.APIPrefix, ".")
}

// Filters are what is asked of the origin, dests what each becomes here.
func (s *StreamSource) Filters() (filters, dests []string) {
	if len(s.SubjectTransforms) == 0 {
		if s.FilterSubject != "" {
			filters = []string{s.FilterSubject}
		}
		return filters, nil
	}
	for _, t := range s.SubjectTransforms {
		filters = append(filters, OrAll(t.Source))
		dests = append(dests, OrAll(t.Destination))
	}
	if len(filters) == 1 && filters[0] == ">" {
		filters = nil
	}
	return filters, dests
}

// Key tells the sources of one stream apart, and is what their positions are
// kept under.
func (s *StreamSource) Key() string {
	api := ""
	if s.External != nil {
		api = s.External.APIPrefix
	}
	filters, dests := s.Filters()
	return sourcing.Name(s.Name, api, filters, dests)
}

// Label names the source in the header of the messages that it brings.
func (s *StreamSource) Label() string {
	if s.External == nil {
		return s.Name
	}
	return sourcing.Label(s.Name, s.External.APIPrefix)
}

// OrAll is a filter as it is meant: "" is everything.
func OrAll(s string) string {
	if s == "" {
		return ">"
	}
	return s
}

// Origins are the mirror or the sources.
func (c *StreamConfig) Origins() []*StreamSource {
	if c.Mirror != nil {
		return []*StreamSource{c.Mirror}
	}
	return c.Sources
}

// metaRemade is the key of a stream's metadata by which a mirror is told what
// to do, with its values.
const (
	metaRemade      = "frond.origin_made_anew"
	remadeStop      = "stop"
	remadeStartOver = "start_over"
)

func (c *StreamConfig) checkRemade() *apierror.Error {
	switch v, ok := c.Metadata[metaRemade]; {
	case !ok || v == remadeStop || v == remadeStartOver:
		return nil
	default:
		return apierror.ErrStreamConfig.With("metadata %s is %q, it can be %q or %q", metaRemade, v, remadeStop, remadeStartOver)
	}
}

// StartsOver reports whether the stream is a mirror that may start over when
// its origin was deleted and made anew.
func (c *StreamConfig) StartsOver() bool {
	return c.Mirror != nil && c.Metadata[metaRemade] == remadeStartOver
}
