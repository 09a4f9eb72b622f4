package jsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// Message is a message of a stream. It belongs to whom it is given.
type Message struct {
	Subject string
	Seq     uint64 // in the stream
	Time    time.Time
	Header  []byte // the block as it is on the wire ("NATS/1.0"); nil without
	Data    []byte
}

// getRequest selects messages (ADR-31).
type getRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	LastFor   string   `json:"last_by_subj,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	UpToSeq   uint64   `json:"up_to_seq,omitempty"`
}

// Get reads the message of a sequence. Errors: ErrMessageNotFound,
// ErrStreamNotFound. Where a stream allows direct gets, Get and the others here
// are such, which any replica and mirror of the stream answers: on one that has
// several they may be a little behind.
func (c *Client) Get(ctx context.Context, stream string, seq uint64) (*Message, error) {
	if seq == 0 {
		return nil, ErrMessageNotFound
	}
	return c.get(ctx, stream, &getRequest{Seq: seq})
}

// Last reads the newest message on a subject, or on subjects that match a
// pattern. Errors: as of Get.
func (c *Client) Last(ctx context.Context, stream, subject string) (*Message, error) {
	return c.get(ctx, stream, &getRequest{LastFor: subject})
}

// Next reads the first message from a sequence on whose subject matches filter; ""
// is any. Errors: as of Get.
func (c *Client) Next(ctx context.Context, stream string, seq uint64, filter string) (*Message, error) {
	if filter == "" {
		filter = ">"
	}
	return c.get(ctx, stream, &getRequest{Seq: max(seq, 1), NextFor: filter})
}

// DeleteMessage removes one message. Errors: ErrMessageNotFound, ErrStreamNotFound.
func (c *Client) DeleteMessage(ctx context.Context, stream string, seq uint64) error {
	if err := checkName("stream", stream); err != nil {
		return err
	}
	in := struct {
		Seq     uint64 `json:"seq"`
		NoErase bool   `json:"no_erase"`
	}{seq, true}
	err := c.request(ctx, "STREAM.MSG.DELETE."+stream, &in, &struct{}{})
	var api *APIError
	if errors.As(err, &api) && (api.ErrCode == codeNoMsgToDelete || api.ErrCode == codeNoSequence) {
		return fmt.Errorf("message %d: %w", seq, ErrMessageNotFound)
	}
	return err
}

// What JetStream says when there is nothing to delete.
const (
	codeNoMsgToDelete = 10057
	codeNoSequence    = 10043
)

func (c *Client) get(ctx context.Context, stream string, r *getRequest) (*Message, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	direct, err := c.isDirect(ctx, stream)
	if err != nil {
		return nil, err
	}
	if direct {
		list, err := c.direct(ctx, stream, r, false)
		if err == nil {
			return list[0], nil
		}
		if !errors.Is(err, errNotDirect) {
			return nil, err
		}
	}
	var out struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Time    time.Time `json:"time"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
		} `json:"message"`
	}
	if err := c.request(ctx, "STREAM.MSG.GET."+stream, r, &out); err != nil {
		return nil, err
	}
	m := Message(out.Message)
	return &m, nil
}

// isDirect says whether a stream allows direct gets: where it does not nobody
// listens for them, and over a link that would be silence.
func (c *Client) isDirect(ctx context.Context, stream string) (bool, error) {
	c.mu.RLock()
	direct, known := c.mu.direct[stream]
	c.mu.RUnlock()
	if known {
		return direct, nil
	}
	i, err := c.Info(ctx, stream)
	if err != nil {
		return false, err
	}
	return i.Config.AllowDirect, nil
}

// errNotDirect says that a stream does not allow direct gets, though it did.
var errNotDirect = errors.New("the stream does not allow direct gets")

// directPatience is after what time without an answer to a direct get the stream is
// asked whether it still allows them.
const directPatience = 2 * time.Second

// direct sends a direct get. With many the answer is messages and a status behind
// them.
func (c *Client) direct(ctx context.Context, stream string, r *getRequest, many bool) ([]*Message, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	subject := c.api + "DIRECT.GET." + stream
	answers, err := c.askDirect(ctx, stream, subject, body, many)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	var list []*Message
	for _, a := range answers {
		switch code, text := wire.HeaderStatus(a.header); code {
		case 0:
			m, err := readDirect(a)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", subject, err)
			}
			list = append(list, m)
		case 204: // the end
			if left := wire.HeaderGet(a.header, hdrPending); len(left) > 0 && string(left) != "0" {
				return nil, fmt.Errorf("%s: %w", subject, &APIError{Code: 413, Description: "too much for one answer"})
			}
		case 404:
			return nil, fmt.Errorf("%s: %w", subject, ErrMessageNotFound)
		default:
			return nil, fmt.Errorf("%s: %w", subject, &APIError{Code: code, Description: string(text)})
		}
	}
	return list, nil
}

// askDirect is ask for direct gets: silence may mean that nobody listens for them.
func (c *Client) askDirect(ctx context.Context, stream, subject string, body []byte, many bool) ([]answer, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	a, err := c.send(subject, body, many)
	if err == nil {
		defer c.remove(a.id)
		var list []answer
		first, cancel := context.WithTimeout(ctx, directPatience)
		defer cancel()
		if list, err = a.wait(first); err == nil {
			return list, nil
		}
	}
	if !errors.Is(err, ErrNoResponders) && (!errors.Is(err, ErrTimeout) || ctx.Err() != nil) {
		return nil, err
	}
	i, e := c.Info(ctx, stream)
	switch {
	case e != nil:
		return nil, e
	case !i.Config.AllowDirect:
		return nil, errNotDirect
	case errors.Is(err, ErrNoResponders):
		return nil, err
	}
	return a.wait(ctx)
}

// The headers that an answer to a direct get has behind those of the message.
const (
	hdrStream   = "Nats-Stream"
	hdrSubject  = "Nats-Subject"
	hdrSequence = "Nats-Sequence"
	hdrTime     = "Nats-Time-Stamp"
	hdrPending  = "Nats-Num-Pending"
)

// readDirect takes a message out of the answer to a direct get. The message may
// have headers of the same names, of where it was before, so only the last ones
// count.
func readDirect(a answer) (*Message, error) {
	at := bytes.LastIndex(a.header, []byte("\r\n"+hdrStream+":"))
	if at < 0 {
		return nil, errors.New("the answer does not say what message it is")
	}
	m := &Message{Data: a.body}
	if at > len("NATS/1.0") {
		m.Header = append(bytes.Clone(a.header[:at]), "\r\n\r\n"...)
	}
	var err error
	var ok bool
	wire.HeaderEach(a.header[at:], func(name, value []byte) bool {
		switch string(name) {
		case hdrSubject:
			m.Subject = string(value)
		case hdrSequence:
			if m.Seq, ok = parseUint(value); !ok {
				err = fmt.Errorf("sequence %q in the answer", value)
			}
		case hdrTime:
			var e error
			if m.Time, e = time.Parse(time.RFC3339Nano, string(value)); e != nil {
				err = e
			}
		}
		return true
	})
	if err == nil && (m.Seq == 0 || m.Subject == "") {
		err = errors.New("the answer does not say what message it is")
	}
	return m, err
}

// NextBatch reads messages from a sequence on whose subjects match filter, in the
// order of their sequences: up to max of them, and none behind the one that makes
// them maxBytes or more. more says that others follow the last one. None is an empty
// list. The stream must allow direct gets; one that does not counts as not found. It
// is for who walks along a stream at his own pace and keeps nothing in between but
// the sequence. Errors: ErrStreamNotFound.
func (c *Client) NextBatch(ctx context.Context, stream string, seq uint64, filter string, max, maxBytes int) (list []*Message, more bool, err error) {
	if filter == "" {
		filter = ">"
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	body, err := json.Marshal(&getRequest{Seq: seq, NextFor: filter, Batch: max, MaxBytes: maxBytes})
	if err != nil {
		return nil, false, err
	}
	answers, err := c.ask(ctx, c.api+"DIRECT.GET."+stream, body, true)
	if errors.Is(err, ErrNoResponders) {
		err = ErrStreamNotFound
	}
	for _, a := range answers {
		code, text := wire.HeaderStatus(a.header)
		switch code {
		case 0:
			var m *Message
			if m, err = readDirect(a); err != nil {
				return nil, false, err
			}
			list = append(list, m)
		case 204: // the end
			left := wire.HeaderGet(a.header, hdrPending)
			more = len(left) > 0 && string(left) != "0"
		case 404: // none
		default:
			return nil, false, &APIError{Code: code, Description: string(text)}
		}
	}
	return list, more, err
}

// MaxLastPerSubject is how many messages LastPerSubject gives at most.
const MaxLastPerSubject = 1024

// LastPerSubject reads the newest message of each subject that matches one of the
// filters, in the order of their sequences, all as of one moment. upTo, unless it is
// 0, is the newest sequence that counts. The stream must allow direct gets. Up to
// MaxLastPerSubject are given; with more the error is an APIError with code 413, and
// a Cursor with LastPerSubject walks along them. None is an empty list.
func (c *Client) LastPerSubject(ctx context.Context, stream string, filters []string, upTo uint64) ([]*Message, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	direct, err := c.isDirect(ctx, stream)
	if err == nil && !direct {
		err = fmt.Errorf("%s: %w", stream, errNotDirect)
	}
	if err != nil {
		return nil, err
	}
	list, err := c.direct(ctx, stream, &getRequest{MultiLast: filters, UpToSeq: upTo}, true)
	if errors.Is(err, ErrMessageNotFound) {
		return nil, nil
	}
	return list, err
}

// place is what the reply subject of a delivery tells (ADR-15).
type place struct {
	delivered   uint64 // how often, with this one
	seq         uint64 // in the stream
	consumerSeq uint64
	time        time.Time
	pending     uint64 // messages behind it
}

// parsePlace reads "$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer
// seq>.<time>.<pending>", which may have domain and account behind "ACK", and then
// more at the end.
func parsePlace(reply []byte) (p place, ok bool) {
	const shortest, longer, named = 9, 11, 2
	rest, ok := bytes.CutPrefix(reply, []byte("$JS.ACK."))
	if !ok {
		return p, false
	}
	tokens := bytes.Count(reply, []byte(".")) + 1
	skip := named
	if tokens >= longer {
		skip += 2
	} else if tokens != shortest {
		return p, false
	}
	for range skip {
		_, rest, _ = bytes.Cut(rest, []byte("."))
	}
	var numbers [5]uint64
	for i := range numbers {
		var token []byte
		token, rest, _ = bytes.Cut(rest, []byte("."))
		if i == 3 && len(token) > 0 && token[0] == '-' { // before 1970
			n, err := strconv.ParseInt(string(token), 10, 64)
			if err != nil {
				return p, false
			}
			numbers[i] = uint64(n)
			continue
		}
		if numbers[i], ok = parseUint(token); !ok {
			return p, false
		}
	}
	return place{numbers[0], numbers[1], numbers[2], time.Unix(0, int64(numbers[3])).UTC(), numbers[4]}, true
}

// deletesAtOnce is how many requests of DeleteMessages are on their way.
const deletesAtOnce = 64

// DeleteMessages removes messages, several at a time, and waits until all are gone.
// Those that are not there are no error. Errors: ErrStreamNotFound; some may be
// removed then.
func (c *Client) DeleteMessages(ctx context.Context, stream string, seqs []uint64) error {
	if err := checkName("stream", stream); err != nil {
		return err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	for len(seqs) > 0 {
		n := min(len(seqs), deletesAtOnce)
		if err := c.deleteSome(ctx, stream, seqs[:n]); err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return nil
}

func (c *Client) deleteSome(ctx context.Context, stream string, seqs []uint64) (err error) {
	calls := make([]*call, 0, len(seqs))
	defer func() {
		for _, a := range calls {
			c.remove(a.id)
		}
	}()
	for _, seq := range seqs {
		body := append(strconv.AppendUint([]byte(`{"seq":`), seq, 10), `,"no_erase":true}`...)
		a, err := c.send(c.api+"STREAM.MSG.DELETE."+stream, body, false)
		if err != nil {
			return err
		}
		calls = append(calls, a)
	}
	for _, a := range calls {
		answers, err := a.wait(ctx)
		if err == nil {
			err = readAnswer(answers[0].body, &struct{}{})
		}
		var api *APIError
		if errors.As(err, &api) && (api.ErrCode == codeNoMsgToDelete || api.ErrCode == codeNoSequence) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
