package origins

import (
	"slices"
	"sync/atomic"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
)

// Set is what one stream fetches from: its mirror, or its sources. The zero value
// fetches nothing. The caller orders what changes it; Infos may be called at any
// time.
type Set struct {
	all []*fetching
	// shown is a copy of all for Infos, nil when that is empty.
	shown atomic.Pointer[[]*fetching]
}

// Follow makes what is fetched follow the configuration of the stream.
func (x *Set) Follow(w *Fetchers, s Stream, b Bus) error {
	cfg := s.Config()
	mirror := cfg.Mirror != nil
	wanted := cfg.Origins()
	keep := x.all[:0]
	have := make(map[string]bool)
	for _, f := range x.all {
		still := slices.ContainsFunc(wanted, func(src *asset.StreamSource) bool {
			return asset.EqualSource(f.src, src) && (f.key == "") == mirror && f.startOver == cfg.StartsOver()
		})
		if !still {
			f.halt()
			w.remove(f)
			if !slices.ContainsFunc(wanted, func(src *asset.StreamSource) bool {
				return src.Key() == f.src.Key() && (f.key == "") == mirror
			}) {
				w.Forget(s, f.forgetSubject())
			}
			continue
		}
		have[f.src.Key()] = true
		keep = append(keep, f)
	}
	clear(x.all[len(keep):])
	x.all = keep
	for _, src := range wanted {
		if have[src.Key()] {
			continue
		}
		f, err := newFetching(w, s, b, src, mirror)
		if err != nil {
			return err
		}
		x.all = append(x.all, f)
		w.add(f)
	}
	x.show()
	return nil
}

// End ends all fetching. What is on its way may still be stored.
func (x *Set) End(w *Fetchers) {
	for _, f := range x.all {
		f.halt()
		w.remove(f)
	}
	x.all = nil
	x.show()
}

// Halt has whatever still comes dropped, for good; what is on the bus for it goes
// with End. It may be called at any time, and does not wait.
func (x *Set) Halt() {
	if list := x.shown.Load(); list != nil {
		for _, f := range *list {
			f.halt()
		}
	}
}

func (x *Set) show() {
	if len(x.all) == 0 {
		x.shown.Store(nil)
		return
	}
	list := slices.Clone(x.all)
	x.shown.Store(&list)
}

// ForgetSubjects are where the origins are told, when the stream is gone for good,
// that nobody needs their consumers any more: see Fetchers.Forget.
func (x *Set) ForgetSubjects() []string {
	var all []string
	for _, f := range x.all {
		all = append(all, f.forgetSubject())
	}
	return all
}

// Infos are the mirror and the sources for the stream's info.
func (x *Set) Infos() (mirror *api.SourceInfo, sources []*api.SourceInfo) {
	list := x.shown.Load()
	if list == nil {
		return nil, nil
	}
	for _, f := range *list {
		if f.key == "" {
			mirror = f.info()
		} else {
			sources = append(sources, f.info())
		}
	}
	return mirror, sources
}
