package jetstream

import "sync"

// subscriptions are what of a consumer is on its account's bus. They are made and
// undone by whoever changes the account, the stream or the consumer, and by the
// end of the consumer, in any order: they are there once or not at all.
//
// Their mutex is held while they are made, so it is taken before the host's, and
// before all that the bus takes. Whoever holds the host's, or the stream's, must
// not attach or detach.
type subscriptions struct {
	mu   sync.Mutex
	undo []func() // guarded by mu
}

// attach keeps what subscribe has made, unless there is something already. What
// was made before an error is kept as well: detach undoes it.
func (s *subscriptions) attach(subscribe func() (undo []func(), err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.undo != nil {
		return nil
	}
	var err error
	s.undo, err = subscribe()
	return err
}

// detach undoes all of it.
func (s *subscriptions) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, undo := range s.undo {
		undo()
	}
	s.undo = nil
}
