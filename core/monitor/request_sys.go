package monitor

import (
	"slices"
	"strings"
)

// Filter says which servers a request on $SYS is for. The others do not answer.
type Filter struct {
	Name    string   `json:"server_name"` // part of it
	Cluster string   `json:"cluster"`     // same
	Host    string   `json:"host"`        // same
	Exact   bool     `json:"exact_match"` // these are the whole
	Tags    []string `json:"tags"`        // all of them
	Domain  string   `json:"domain"`
}

// Matches reports whether the request is for that server.
func (f *Filter) Matches(s *ServerInfo) bool {
	same := func(want, has string) bool {
		return want == "" || want == has || !f.Exact && strings.Contains(has, want)
	}
	for _, t := range f.Tags {
		if !slices.ContainsFunc(s.Tags, func(has string) bool { return strings.EqualFold(has, t) }) {
			return false
		}
	}
	return same(f.Name, s.Name) && same(f.Cluster, s.Cluster) && same(f.Host, s.Host) && (f.Domain == "" || f.Domain == s.Domain)
}

// ServerID is the whole answer to an IDZ.
type ServerID struct {
	Name string `json:"name"`
	Host string `json:"host"`
	ID   string `json:"id"`
}

// CIDRequest asks for something to be done with one connection.
type CIDRequest struct {
	CID uint64 `json:"cid"`
}

// ProfilezOptions is a request for a profile of the program.
type ProfilezOptions struct {
	Name     string `json:"name"`
	Debug    int    `json:"debug"`
	Duration int64  `json:"duration,omitempty"` // of a cpu profile, in nanoseconds
}

// Profilez is the profile.
type Profilez struct {
	Profile []byte `json:"profile"`
	Error   string `json:"error,omitempty"`
}

// Expvarz is what the runtime says of its memory.
type Expvarz struct {
	MemStats any      `json:"memstats,omitempty"`
	Cmdline  []string `json:"cmdline,omitempty"`
}
