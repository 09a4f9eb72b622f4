package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
)

// EdgeStream is the stream that the option edge_store keeps.
const EdgeStream = "EDGE"

// KeptStream is what became of the stream EDGE at the start.
type KeptStream struct {
	Subjects []string // that it keeps; none when there is no such stream
	Dropped  []string // that it kept before, and no longer does
	Messages uint64   // in it
}

// EdgeStore tells what became of the stream EDGE at the start, or, without the
// option, what stream is there from before.
func (s *Server) EdgeStore(ctx context.Context) (KeptStream, error) {
	if len(s.o.EdgeStore) > 0 || s.store.Load() == nil {
		return s.kept, nil
	}
	var k KeptStream
	err := s.keepStream(ctx, nil, &k)
	return k, err
}

// keepTimeout bounds making the stream at the start.
const keepTimeout = 10 * time.Second

const streamNotFound = 10059

// CheckSubjects says, before there is a server, why a stream could not keep
// these subjects.
func CheckSubjects(subjects []string) error { return jetstream.CheckSubjects(subjects) }

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
	return jetstream.CheckSubjects(o.EdgeStore)
}

// keepEdgeStore makes the stream, or gives it the subjects if it has others;
// nothing else of an existing stream is changed.
func (s *Server) keepEdgeStore() error {
	if len(s.o.EdgeStore) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	if err := s.keepStream(ctx, s.o.EdgeStore, &s.kept); err != nil {
		return fmt.Errorf("stream %s: %w", EdgeStream, err)
	}
	return nil
}

// keepStream fills in k. Without want it only looks.
func (s *Server) keepStream(ctx context.Context, want []string, k *KeptStream) error {
	a, err := s.streamRequest(ctx, "INFO", EdgeStream, nil)
	switch {
	case a != nil && a.Error != nil && a.Error.ErrCode == streamNotFound:
		if len(want) == 0 {
			return nil
		}
		k.Subjects = want
		_, err = s.streamRequest(ctx, "CREATE", EdgeStream, map[string]any{
			"name": EdgeStream, "subjects": want, "storage": "file", "retention": "limits", "discard": "old",
			"num_replicas": 1, "allow_direct": true,
		})
		return err
	case err != nil:
		return err
	}
	have := []string{}
	if b, err := json.Marshal(a.Config["subjects"]); err != nil {
		return err
	} else if err := json.Unmarshal(b, &have); err != nil {
		return err
	}
	*k = KeptStream{Subjects: have, Messages: a.State.Messages}
	if len(want) == 0 || slices.Equal(want, have) {
		return nil
	}
	a.Config["subjects"] = want
	if _, err := s.streamRequest(ctx, "UPDATE", EdgeStream, a.Config); err != nil {
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

// streamAnswer is what matters of the answers of the JetStream API.
type streamAnswer struct {
	Error *struct {
		Code    int    `json:"code"`
		ErrCode int    `json:"err_code"`
		Text    string `json:"description"`
	} `json:"error"`
	Config map[string]any `json:"config"`
	State  struct {
		Messages uint64 `json:"messages"`
	} `json:"state"`
}

func (s *Server) streamRequest(ctx context.Context, verb, name string, body any) (*streamAnswer, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	b, err := s.Request(ctx, "$JS.API.STREAM."+verb+"."+name, data)
	if err != nil {
		return nil, err
	}
	a := new(streamAnswer)
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // limits go back as they came
	if err := d.Decode(a); err != nil {
		return nil, fmt.Errorf("answer to %s: %w", verb, err)
	}
	if a.Error != nil {
		err = fmt.Errorf("%s (%d)", a.Error.Text, a.Error.ErrCode)
	}
	return a, err
}
