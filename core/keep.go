package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// EdgeStream is the stream that the option edge_store keeps.
const EdgeStream = "EDGE"

// KeptStream is what became of the stream EDGE at the start.
type KeptStream struct {
	Subjects []string // that it keeps; none when there is no such stream
	Dropped  []string // that it kept before, and no longer does
	Messages uint64   // in it at that time
}

// EdgeStore tells what became of the stream EDGE at the start, or, without the
// option, what stream is there from before.
func (s *Server) EdgeStore(ctx context.Context) (KeptStream, error) {
	if len(s.Options().EdgeStore) > 0 || s.store.Load() == nil {
		return s.kept, nil
	}
	var k KeptStream
	err := s.keepStream(ctx, nil, &k)
	return k, err
}

// keepTimeout bounds making the stream at the start.
const keepTimeout = 10 * time.Second

// CheckSubjects says, before there is a server, why a stream could not keep
// these subjects.
func CheckSubjects(subjects []string) error { return asset.CheckSubjects(subjects) }

// checkEdgeStore says, before anything starts, why the stream could not be
// given its subjects.
func checkEdgeStore(o *config.Options) error {
	switch {
	case len(o.EdgeStore) == 0:
		return nil
	case !o.JetStream.Enabled:
		return errors.New("edge_store needs jetstream")
	case slices.Contains(o.EdgeStore, ">"):
		return errors.New(`">" would store the server's own answers too: name subjects, as "plant.>"`)
	}
	return asset.CheckSubjects(o.EdgeStore)
}

// keepEdgeStore makes the stream, or gives it the subjects if it has others;
// nothing else of an existing stream is changed.
func (s *Server) keepEdgeStore() error {
	subjects := s.Options().EdgeStore
	if len(subjects) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	if err := s.keepStream(ctx, subjects, &s.kept); err != nil {
		return fmt.Errorf("stream %s: %w", EdgeStream, err)
	}
	return nil
}

// keepStream fills in k. Without want it only looks.
func (s *Server) keepStream(ctx context.Context, want []string, k *KeptStream) error {
	c, err := s.streamClient(s.global, "")
	if err != nil {
		return err
	}
	defer c.Close()
	i, err := c.Info(ctx, EdgeStream)
	switch {
	case errors.Is(err, jsclient.ErrStreamNotFound):
		if len(want) == 0 {
			return nil
		}
		k.Subjects = want
		_, err = c.Ensure(ctx, &jsclient.StreamConfig{Name: EdgeStream, Subjects: want, AllowDirect: true})
		return err
	case err != nil:
		return err
	}
	have := i.Config.Subjects
	*k = KeptStream{Subjects: have, Messages: i.State.Msgs}
	if len(want) == 0 || slices.Equal(want, have) {
		return nil
	}
	if _, err := c.Update(ctx, EdgeStream, func(cfg *jsclient.StreamConfig) { cfg.Subjects = want }); err != nil {
		return err
	}
	k.Subjects = want
	for _, old := range have {
		if !slices.Contains(want, old) {
			k.Dropped = append(k.Dropped, old)
		}
	}
	if len(k.Dropped) > 0 {
		s.log.Warn("Stream "+EdgeStream+" no longer keeps these subjects; what it has of them stays in it",
			"dropped", k.Dropped, "keeps", want, "messages", k.Messages)
	}
	return nil
}
