package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/wire"
)

// funcSink is a sink that is a function. The message is borrowed.
type funcSink struct{ f func(m *wire.Msg) }

func (*funcSink) Role() account.Role { return account.RoleInternal }
func (*funcSink) Cluster() string    { return "" }
func (s *funcSink) Deliver(_ *account.Sub, m *wire.Msg) bool {
	s.f(m)
	return true
}
func (*funcSink) Flush() {}

// ErrNoResponders says that nobody listens on the subject of a request.
var ErrNoResponders = errors.New("no responders")

// Request asks the services of the global account and waits for one answer.
func (s *Server) Request(ctx context.Context, subject string, body []byte) ([]byte, error) {
	a := s.global()
	answer := make(chan []byte, 1)
	inbox := "_INBOX.frond." + strconv.FormatUint(s.systemSeq.Add(1), 36) + NewNonce()
	sub := &account.Sub{Subject: inbox, Sink: &funcSink{func(m *wire.Msg) {
		select {
		case answer <- bytes.Clone(m.Body):
		default: // only the first counts
		}
	}}}
	if err := a.Subscribe(sub); err != nil {
		return nil, err
	}
	defer sub.End()
	o := account.NewOrigin(nil, account.RoleInternal, "")
	n := a.Route(o, &wire.Msg{Subject: []byte(subject), Reply: []byte(inbox), Body: body})
	o.Flush()
	if n == 0 {
		return nil, fmt.Errorf("request on %s: %w", subject, ErrNoResponders)
	}
	select {
	case b := <-answer:
		return b, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("request on %s: %w", subject, ctx.Err())
	}
}

// streamAnswer is what matters of the answers of the JetStream API.
type streamAnswer struct {
	Error *struct {
		Code    int    `json:"code"`
		ErrCode int    `json:"err_code"`
		Text    string `json:"description"`
	} `json:"error"`
	Config map[string]any `json:"config"`
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
	if err := json.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("answer to %s: %w", verb, err)
	}
	if a.Error != nil {
		err = fmt.Errorf("%s (%d)", a.Error.Text, a.Error.ErrCode)
	}
	return a, err
}

const streamNotFound = 10059

// CheckSubjects says, before there is a server, why KeepStream could not give a
// stream these subjects.
func CheckSubjects(subjects []string) error { return jetstream.CheckSubjects(subjects) }

// KeepStream makes sure that a stream with these subjects is there: it is
// created, or is given the subjects if it has others. Nothing else of an
// existing stream is changed.
func (s *Server) KeepStream(ctx context.Context, name string, subjects []string) error {
	a, err := s.streamRequest(ctx, "INFO", name, nil)
	switch {
	case a != nil && a.Error != nil && a.Error.ErrCode == streamNotFound:
		_, err = s.streamRequest(ctx, "CREATE", name, map[string]any{
			"name": name, "subjects": subjects, "storage": "file", "retention": "limits", "discard": "old",
			"num_replicas": 1, "allow_direct": true,
		})
		return err
	case err != nil:
		return err
	}
	want, _ := json.Marshal(subjects)
	have, _ := json.Marshal(a.Config["subjects"])
	if bytes.Equal(want, have) {
		return nil
	}
	a.Config["subjects"] = subjects
	_, err = s.streamRequest(ctx, "UPDATE", name, a.Config)
	return err
}
