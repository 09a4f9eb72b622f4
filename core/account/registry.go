package account

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Registry is the accounts of a server by name. Lookups take no lock: what they
// look into is never changed, a change makes another one. The zero value is empty.
type Registry struct {
	accounts atomic.Pointer[map[string]*Account]
	mu       sync.Mutex // of whoever changes it
}

// Lookup finds an account. It may be called for each message.
func (r *Registry) Lookup(name string) (*Account, bool) {
	all := r.accounts.Load()
	if all == nil {
		return nil, false
	}
	a, ok := (*all)[name]
	return a, ok
}

// Add makes accounts known, all at once, and reports whether one of them was new:
// of a name there is one, the first.
func (r *Registry) Add(list ...*Account) bool {
	return r.change(func(all map[string]*Account) (some bool) {
		for _, a := range list {
			if all[a.name] == nil {
				all[a.name], some = a, true
			}
		}
		return some
	})
}

// Remove takes the account away if it is the one of its name. Whoever has it goes
// on using it: to end its connections is the caller's.
func (r *Registry) Remove(a *Account) bool {
	return r.change(func(all map[string]*Account) bool {
		if all[a.name] != a {
			return false
		}
		delete(all, a.name)
		return true
	})
}

func (r *Registry) change(f func(map[string]*Account) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]*Account{}
	if old := r.accounts.Load(); old != nil {
		next = maps.Clone(*old)
	}
	if !f(next) {
		return false
	}
	r.accounts.Store(&next)
	return true
}

// All are the accounts by name.
func (r *Registry) All() []*Account {
	var list []*Account
	if all := r.accounts.Load(); all != nil {
		for _, a := range *all {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b *Account) int { return strings.Compare(a.name, b.name) })
	return list
}
