package main

import (
	"runtime"
	"sync"
	"testing"
	"weak"
)

// Read buffers of connections that have gone silent lie in pools, which keep what
// they hold over one collection.
func TestGiveBack_takesWhatLiesInPools(t *testing.T) {
	var pool sync.Pool
	var lent [8]weak.Pointer[[4096]byte]
	for i := range lent {
		b := new([4096]byte)
		lent[i] = weak.Make(b)
		pool.Put(b)
	}
	giveBack()
	for i := range lent {
		if lent[i].Value() != nil {
			t.Errorf("buffer %d is still there", i)
		}
	}
	runtime.KeepAlive(&pool)
}
