package core

import (
	"context"
	"errors"
)

// store is JetStream of this server.
type store struct{}

func (s *Server) openStore() error {
	if s.o.JetStream.Enabled {
		return errors.New("jetstream is not in this build yet")
	}
	return nil
}

func (s *Server) closeStore(context.Context) error { return nil }
