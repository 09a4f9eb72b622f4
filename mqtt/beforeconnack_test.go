package mqtt

import (
	"testing"
	"testing/synctest"
)

// What a session is told of before its client has the CONNACK waits for that.
func TestKept_notBeforeConnack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{conn: new(conn)}
		k.Wake() // the store has the session connected, and nothing else is there yet
		synctest.Wait()
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.mu.running || !k.mu.again {
			t.Errorf("running %v, again %v", k.mu.running, k.mu.again)
		}
	})
}
