package account

import (
	"fmt"
	"sync"
	"testing"
)

func TestRegistry_accountsComeAndGo(t *testing.T) {
	var r Registry
	if a, ok := r.Lookup("A"); ok || a != nil || len(r.All()) != 0 {
		t.Errorf("an empty one has %v", a)
	}
	first, second, b := New("A"), New("A"), New("B")
	if !r.Add(b) || !r.Add(first) || r.Add(second) || r.Add(first) {
		t.Error("an account is added once, and there is one of a name")
	}
	if a, ok := r.Lookup("A"); !ok || a != first {
		t.Errorf("found %v", a)
	}
	if all := r.All(); len(all) != 2 || all[0] != first || all[1] != b {
		t.Errorf("all are %v", all)
	}
	if r.Remove(second) || !r.Remove(first) || r.Remove(first) {
		t.Error("only the account itself takes itself away, once")
	}
	if !r.Add(second) {
		t.Error("the name is free again")
	}
}

func TestRegistry_lookupWhileItChanges(t *testing.T) {
	var r Registry
	r.Add(New("stays"))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				a := New(fmt.Sprintf("%d.%d", i, j))
				if !r.Add(a) {
					t.Error("not added")
				}
				if got, _ := r.Lookup(a.Name()); got != a {
					t.Error("not there at once")
				}
				if _, ok := r.Lookup("stays"); !ok {
					t.Error("lost another one")
				}
				if j%2 == 0 && !r.Remove(a) {
					t.Error("not removed")
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.All()); n != 1+4*25 {
		t.Errorf("%d accounts", n)
	}
}
