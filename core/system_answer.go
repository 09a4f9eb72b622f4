//go:build !lite

package core

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// errSilent is of a question that gets no answer.
var errSilent = errors.New("no answer")

// badBody is a body that can't be read.
type badBody struct{ error }

// run answers on the system's goroutine, or sees to it that another one does.
func (q *asked) run(o *account.Origin) {
	if !q.kind.long {
		q.respond(o)
		return
	}
	select {
	case q.y.long <- q:
	default:
		q.y.dropped.Add(1)
	}
}

func (q *asked) respond(o *account.Origin) {
	if len(q.reply) == 0 {
		if strings.HasSuffix(q.subject, "PING") || strings.HasSuffix(q.subject, "STATSZ") {
			q.y.tellStatsz(o)
			return
		}
		if !q.kind.long { // a reload or a purge is done all the same; a KICK is not, as in nats-server
			return
		}
	}
	data, err := q.kind.answer(q)
	if errors.Is(err, errSilent) || len(q.reply) == 0 {
		return
	}
	var v any = data
	if !q.kind.bare || err != nil {
		v = q.envelope(data, err)
	}
	body, err := encodeSystem(v)
	if err != nil {
		q.y.s.log.Error("system answer", "subject", q.subject, "err", err)
		return
	}
	m := &wire.Msg{Subject: q.reply, Body: body, Own: true}
	if wants := wire.HeaderGet(q.header, "Accept-Encoding"); len(wants) > 0 && !q.kind.bare {
		encoding := ""
		encoding, m.Body = compressed(string(wants), body)
		m.Header = wire.HeaderSet(nil, nil, "Content-Encoding", encoding)
	}
	q.in.Route(o, m)
}

func (q *asked) envelope(data any, err error) *monitor.Answer {
	a := &monitor.Answer{Server: q.y.s.describeServer(), Data: data}
	var bad badBody
	switch {
	case err == nil:
	case errors.As(err, &bad):
		a.Data, a.Error = nil, &monitor.AnswerError{Code: 400, Description: bad.Error()}
	default:
		a.Data, a.Error = json.RawMessage("null"), &monitor.AnswerError{Code: 500, Description: err.Error()}
		if q.kind.silent {
			a.Data = nil
		}
	}
	return a
}

// encodeSystem is v as JSON, or as the text that it is.
func encodeSystem(v any) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return json.Marshal(v)
}

// compressed is b in the first encoding of those that the asker takes.
func compressed(wants string, b []byte) (name string, _ []byte) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch wants = strings.ToLower(wants); {
	case strings.Contains(wants, "snappy"), strings.Contains(wants, "s2"):
		name, w = "snappy", s2.NewWriter(&out, s2.WriterConcurrency(1))
	case strings.Contains(wants, "gzip"):
		name, w = "gzip", gzip.NewWriter(&out)
	default:
		return "identity", b
	}
	_, err := w.Write(b)
	if errors.Join(err, w.Close()) != nil { // memory takes everything
		return "identity", b
	}
	return name, out.Bytes()
}

// options reads what is asked for, from a body that may be empty, and whether this
// server is asked.
func options[T any](q *asked) (o T, err error) {
	if len(q.body) == 0 {
		return o, nil
	}
	var f monitor.Filter
	if err := json.Unmarshal(q.body, &f); err != nil {
		return o, badBody{err}
	}
	if !f.Matches(q.y.s.describeServer()) {
		return o, errSilent
	}
	if err := json.Unmarshal(q.body, &o); err != nil {
		return o, badBody{err}
	}
	return o, nil
}

// with makes a handler of one that has its options.
func with[T any](f func(q *asked, o *T) (any, error)) func(q *asked) (any, error) {
	return func(q *asked) (any, error) {
		o, err := options[T](q)
		if err != nil {
			return nil, err
		}
		return f(q, &o)
	}
}

// userInfo is who asks, as far as a service is told: over an import that shares it.
func (q *asked) userInfo() (any, error) {
	var who struct {
		User    string `json:"user"`
		Account string `json:"acc"`
	}
	if info := wire.HeaderGet(q.header, account.HdrRequestInfo); info != nil && json.Unmarshal(info, &who) != nil {
		return nil, errSilent
	}
	return &monitor.UserInfo{User: who.User, Account: who.Account}, nil
}

// subscribers answers $SYS.DEBUG.SUBSCRIBERS: how many listen in the account that
// asks, as text.
func (q *asked) subscribers() (any, error) {
	f := strings.Fields(string(q.body))
	if len(f) == 0 || len(f) > 2 {
		return nil, fmt.Errorf("expected a subject and perhaps a queue group")
	}
	a := q.in
	if info := wire.HeaderGet(q.header, account.HdrRequestInfo); info != nil {
		var who struct {
			Account string `json:"acc"`
		}
		if json.Unmarshal(info, &who) != nil {
			return nil, errSilent
		}
		var ok bool
		if a, ok = q.y.s.accounts.Lookup(who.Account); !ok {
			return nil, errSilent
		}
	}
	queue := ""
	if len(f) == 2 {
		queue = f[1]
	}
	return []byte(fmt.Sprint(a.Listeners(f[0], queue))), nil
}
