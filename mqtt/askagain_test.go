package mqtt

import (
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
)

// An account in which JetStream has not answered once is asked again.
func TestSessionsOf_asksAgain(t *testing.T) {
	s := startStory(t)
	acc, _ := s.tap.Account(config.GlobalAccount)
	e := &accountStore{off: time.Now().Add(time.Hour)}
	s.m.stores.Lock()
	s.m.stores.of = map[string]*accountStore{acc.Name(): e}
	s.m.stores.Unlock()
	if store, err := s.m.sessionsOf(t.Context(), acc); store != nil || err != nil {
		t.Errorf("asked at once: %v, %v", store, err)
	}
	e.off = time.Now().Add(-askAgain)
	if store, err := s.m.sessionsOf(t.Context(), acc); store == nil || err != nil {
		t.Errorf("not asked again: %v, %v", store, err)
	}
}
