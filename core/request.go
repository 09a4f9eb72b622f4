package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/frondmq/frond/core/account"
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
