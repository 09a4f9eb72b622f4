package servertest

import (
	"runtime"
	"sync"
	"testing"
)

// A goroutine that was there, but had not run, is not left by who came later.
func TestLeaked(t *testing.T) {
	var wg sync.WaitGroup
	defer wg.Wait()
	end := make(chan struct{})
	defer close(end)
	start := func(begun chan struct{}) {
		wg.Go(func() {
			close(begun)
			<-end
		})
	}
	early, late := make(chan struct{}), make(chan struct{})
	procs := runtime.GOMAXPROCS(1) // who starts one goes on before it runs
	start(early)
	before := goroutines()
	runtime.GOMAXPROCS(procs)
	<-early
	if left := leaked(before); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	start(late)
	<-late
	if left := leaked(before); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}
