package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
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

// Question is one request.
type Question struct {
	Subject string
	Body    []byte
}

// Answer is the first answer to a Question. Err is ErrNoResponders, or that of
// the context when none came in time.
type Answer struct {
	Body []byte
	Err  error
}

// Gather asks services of an account, all at once, and gives the answers in the
// order of the questions, as soon as all are there or ctx ends.
func Gather(ctx context.Context, a *account.Account, qs []Question) ([]Answer, error) {
	if len(qs) == 0 {
		return nil, nil
	}
	in := &gathering{prefix: "_INBOX.frond." + auth.NewNonce() + ".", answers: make([]*Answer, len(qs)), left: len(qs), all: make(chan struct{})}
	sub := &account.Sub{Subject: in.prefix + "*", Sink: &funcSink{in.deliver}}
	if err := a.Subscribe(sub); err != nil {
		return nil, err
	}
	defer sub.End()
	o := account.NewOrigin(nil, account.RoleInternal, "")
	for i, q := range qs {
		if a.Route(o, &wire.Msg{Subject: []byte(q.Subject), Reply: strconv.AppendInt([]byte(in.prefix), int64(i), 10), Body: q.Body}) == 0 {
			in.take(i, Answer{Err: ErrNoResponders})
		}
	}
	o.Flush()
	select {
	case <-in.all:
	case <-ctx.Done():
	}
	return in.list(ctx.Err()), nil
}

// gathering is the inbox of one Gather.
type gathering struct {
	prefix string
	all    chan struct{} // closed when each question is answered

	mu      sync.Mutex
	answers []*Answer // nil: none yet
	left    int
}

func (g *gathering) deliver(m *wire.Msg) {
	if i, err := strconv.Atoi(strings.TrimPrefix(string(m.Subject), g.prefix)); err == nil {
		g.take(i, Answer{Body: bytes.Clone(m.Body)})
	}
}

// take takes the answer to a question; only the first counts.
func (g *gathering) take(i int, a Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i < 0 || i >= len(g.answers) || g.answers[i] != nil {
		return
	}
	g.answers[i] = &a
	if g.left--; g.left == 0 {
		close(g.all)
	}
}

// list gives what came, and late for what did not.
func (g *gathering) list(late error) []Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Answer, len(g.answers))
	for i, a := range g.answers {
		if list[i].Err = late; a != nil {
			list[i] = *a
		}
	}
	return list
}

// Request asks the services of the account $G and waits for the first answer, for
// as long as ctx lets it and Shutdown has not begun. Errors: ErrNotRunning,
// ErrBadSubject, ErrTooLarge, ErrNoResponders, and that of ctx.
func (s *Server) Request(ctx context.Context, subject string, body []byte) ([]byte, error) {
	if err := s.publishable(subject, body); err != nil {
		return nil, err
	}
	e := &s.embedded
	if !e.enter(s) {
		return nil, ErrNotRunning
	}
	defer e.work.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.running, func() { cancel(ErrNotRunning) })()
	list, err := Gather(ctx, s.global, []Question{{subject, body}})
	if err != nil {
		return nil, err
	}
	err = list[0].Err
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("request on %s: %w", subject, err)
	}
	return list[0].Body, nil
}
