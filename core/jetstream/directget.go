package jetstream

import (
	"errors"
	"strconv"
	"strings"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

const (
	maxMultiLast       = 1024
	defaultDirectBytes = 64 << 20
)

// find loads the one message that a request selects.
func (s *stream) find(g *api.GetRequest) (m edgestore.Msg, err error) {
	err = s.lookFor(func(st edgestore.Reads) (err error) {
		m, err = s.look(st, g)
		return err
	})
	return m, err
}

// lookTries is how often it is looked for what is not there while other messages go.
const lookTries = 8

// errTooFast says that nobody knows whether something is there.
var errTooFast = errors.New("the stream changes too fast to look for what it does not have")

// lookFor has look find something. No lock is held while the disk reads: what is
// found is there. That nothing is may be half of an operation, which removes before
// it stores, or what was looked for has gone on meanwhile. So that is believed
// between two operations, as far as memory says it, or when nothing has gone since
// a moment between two.
func (s *stream) lookFor(look func(st edgestore.Reads) error) error {
	err := look(s.store)
	for try := 0; goneForGood(err); try++ {
		if try == lookTries {
			return errTooFast
		}
		s.mu.RLock()
		gone := s.removals()
		if err = edgestore.ErrClosed; !s.deleted {
			err = look(s.store.Hot())
		}
		s.mu.RUnlock()
		if !errors.Is(err, edgestore.ErrCold) {
			return err
		}
		if err = look(s.store); s.removals() == gone {
			return err
		}
	}
	return err
}

// removals grows with whatever goes from the stream.
func (s *stream) removals() uint64 {
	c, _ := s.store.Hot().Count(nil, asset.MaxSeq, false)
	return c.Removals
}

// told has f ask for what is told of the stream between two operations. What only
// the disk knows is asked for under no lock, and about right.
func (s *stream) told(f func(st edgestore.Reads) error) error {
	s.mu.RLock()
	err := f(s.store.Hot())
	s.mu.RUnlock()
	if errors.Is(err, edgestore.ErrCold) {
		err = f(s.store)
	}
	return err
}

func (s *stream) look(st edgestore.Reads, g *api.GetRequest) (m edgestore.Msg, err error) {
	switch {
	case g.LastFor != "":
		seq, err := st.LastFor(g.LastFor)
		if err != nil {
			return m, err
		}
		if seq == 0 {
			return m, edgestore.ErrNotFound
		}
		if m, _, err = st.Load(seq, nil); err != nil {
			return m, err
		}
	case g.NextFor != "" || g.StartTime != nil:
		start, err := s.start(st, g)
		if err != nil {
			return m, err
		}
		if m, _, err = st.LoadNext(g.Filters(), start, nil); err != nil {
			return m, err
		}
	default:
		if m, _, err = st.Load(g.Seq, nil); err != nil {
			return m, err
		}
	}
	m.Time = s.shown(m.Seq, m.Time)
	return m, nil
}

// unread reports whether a message may be there that the disk did not give. It
// is told already, and whoever asks must not take it for a message that is gone.
func unread(err error) bool {
	return err != nil && !goneForGood(err) && !errors.Is(err, edgestore.ErrClosed)
}

// start is the lower bound that a request gives.
func (s *stream) start(st edgestore.Reads, g *api.GetRequest) (uint64, error) {
	if g.StartTime != nil {
		return st.SeqAt(s.lineOf(*g.StartTime))
	}
	return max(g.Seq, 1), nil
}

const directPrefix = "$JS.API.DIRECT.GET."

// attachDirect makes the stream answer direct gets.
func (s *stream) attachDirect(b Bus) error {
	for _, pattern := range []string{directPrefix + s.name, directPrefix + s.name + ".>"} {
		cancel, err := b.Subscribe(pattern, "_sys_", asked(func(m *wire.Msg) {
			if len(m.Reply) > 0 {
				s.e.api.Request(s.acct, m)
			}
		}))
		if err != nil {
			return err
		}
		s.direct = append(s.direct, cancel)
	}
	return nil
}

// directReply sends the messages of one answer.
type directReply struct {
	e    *Engine
	p    Publisher
	to   []byte
	hdr  []byte
	name string
	bare bool // no_hdr
}

func (d *directReply) status(code int, text string, headers ...string) {
	h := wire.AppendStatusLine(d.hdr[:0], code, text)
	for i := 0; i < len(headers); i += 2 {
		h = wire.AppendHeader(h, headers[i], headers[i+1])
	}
	d.hdr = append(h, crlf...)
	d.p.Publish(&wire.Msg{Subject: d.to, Header: d.hdr})
}

// none ends an answer that has no message.
func (d *directReply) none(err error, text string) {
	if unread(err) {
		d.status(500, "Message Could Not Be Read")
		return
	}
	d.status(404, text)
}

func (d *directReply) message(m *edgestore.Msg, headers ...string) {
	out := wire.Msg{Subject: d.to, Body: m.Body}
	if !d.bare {
		h := appendOrigin(d.hdr[:0], m.Header, d.name, m.Subject, m.Seq, m.Time)
		for i := 0; i < len(headers); i += 2 {
			h = wire.AppendHeader(h, headers[i], headers[i+1])
		}
		d.hdr = append(h, crlf...)
		out.Header = d.hdr
	}
	if d.p.Publish(&out); out.Unfit != "" {
		// A link on the way to whoever asked does not take it.
		d.status(413, "Message Not Sent: "+out.Unfit, hdrSequence, utoa(m.Seq))
	}
}

// directGet answers a direct get; the request is $JS.API.DIRECT.GET.<stream>
// with a body, or with a subject behind it.
func (e *Engine) directGet(r *api.Request, out api.Outlet) {
	name, key, bySubject := strings.Cut(strings.TrimPrefix(r.Rest, "DIRECT.GET."), ".")
	a := r.Account.(*account)
	s, p := a.stream(name), out.(*publishers).of(a)
	if s == nil || p == nil {
		return
	}
	d := &directReply{e: e, p: p, to: []byte(r.Reply), name: s.name}
	if !api.LevelMet(r.Header, e.cfg.APILevel) {
		d.status(412, "Required Api Level")
		return
	}
	var req api.GetRequest
	if len(r.Body) > 0 {
		var ok bool
		if req, ok = api.ReadGet(r.Body); !ok {
			d.status(408, "Malformed Request")
			return
		}
	} else if !bySubject {
		d.status(408, "Empty Request")
		return
	}
	d.bare = req.NoHeader
	switch {
	case bySubject:
		if key == "" || !req.Empty() || req.Batch > 0 || len(req.MultiLast) > 0 {
			d.status(408, "Bad Request")
			return
		}
		s.directOne(d, &api.GetRequest{LastFor: key})
	case req.BadDirect():
		d.status(408, "Bad Request")
	case len(req.MultiLast) > 0:
		s.directMulti(d, &req)
	case req.Empty():
		d.status(408, "Empty Request")
	case req.Batch != 0:
		s.directBatch(d, &req)
	default:
		s.directOne(d, &req)
	}
}

func (s *stream) directOne(d *directReply, g *api.GetRequest) {
	m, err := s.find(g)
	if err != nil {
		d.none(err, "Message Not Found")
		return
	}
	d.message(&m)
}

// directBatch sends up to g.Batch messages from a starting point on.
func (s *stream) directBatch(d *directReply, g *api.GetRequest) {
	var seq uint64
	var count edgestore.Count
	err := s.told(func(st edgestore.Reads) (err error) {
		if seq, err = s.start(st, g); err == nil {
			count, err = st.Count(g.Filters(), seq, false)
		}
		return err
	})
	left := count.Msgs
	if err != nil {
		d.none(err, "Message Not Found")
		return
	}
	limit := g.MaxBytes
	if limit <= 0 {
		limit = defaultDirectBytes
	}
	var last uint64
	var buf []byte
	for n, bytes := 0, 0; n < g.Batch && bytes < limit; n++ {
		var m edgestore.Msg
		err := s.lookFor(func(st edgestore.Reads) (err error) {
			m, buf, err = st.LoadNext(g.Filters(), seq, buf)
			return err
		})
		if err != nil {
			if n == 0 || unread(err) {
				d.none(err, "Message Not Found")
				return
			}
			break
		}
		if left > 0 {
			left--
		}
		d.message(&m, hdrNumPending, utoa(left), hdrLastSequence, utoa(last))
		bytes += len(m.Subject) + len(m.Header) + len(m.Body)
		last, seq = m.Seq, m.Seq+1
	}
	d.status(204, "EOB", hdrNumPending, utoa(left), hdrLastSequence, utoa(last))
}

// directMulti sends the newest message of each subject that matches.
func (s *stream) directMulti(d *directReply, g *api.GetRequest) {
	seqs, upTo, err := s.newestOf(g)
	if len(seqs) > maxMultiLast {
		d.status(413, "Too Many Results")
		return
	}
	if len(seqs) == 0 {
		d.none(err, "No Results")
		return
	}
	limit := g.MaxBytes
	if limit <= 0 {
		limit = defaultDirectBytes
	}
	left := uint64(len(seqs))
	var last uint64
	var buf []byte
	for n, bytes := 0, 0; n < len(seqs) && bytes < limit && (g.Batch <= 0 || n < g.Batch); n++ {
		m, b, err := s.store.Load(seqs[n], buf)
		left--
		if buf = b; unread(err) {
			d.none(err, "")
			return
		} else if err != nil {
			continue // removed since
		}
		d.message(&m, hdrNumPending, utoa(left), hdrLastSequence, utoa(last))
		bytes += len(m.Subject) + len(m.Header) + len(m.Body)
		last = m.Seq
	}
	d.status(204, "EOB", hdrNumPending, utoa(left), hdrLastSequence, utoa(last), hdrUpToSequence, utoa(upTo))
}

// newestOf lists the newest message of each subject that a request matches, and up
// to where it looks. What it has to read for that is read under no lock; then memory
// knows the newest of each subject, and the list is of one moment all the same,
// unless an older one is asked for.
func (s *stream) newestOf(g *api.GetRequest) (seqs []uint64, upTo uint64, err error) {
	for try := 0; ; try++ {
		s.mu.RLock()
		gone, last := s.removals(), s.last
		seqs, upTo, err = s.newestUpTo(s.store.Hot(), g, last)
		s.mu.RUnlock()
		if !errors.Is(err, edgestore.ErrCold) {
			return seqs, upTo, err
		}
		seqs, upTo, err = s.newestUpTo(s.store, g, last)
		if err != nil || s.removals() == gone || try > 0 && len(seqs) > 0 {
			return seqs, upTo, err
		}
		if try == lookTries {
			return nil, upTo, errTooFast
		}
	}
}

// newestUpTo is newestOf for what was stored up to last.
func (s *stream) newestUpTo(st edgestore.Reads, g *api.GetRequest, last uint64) (seqs []uint64, upTo uint64, err error) {
	upTo = last
	if g.UpToTime != nil {
		at, err := st.SeqAt(s.lineOf(*g.UpToTime))
		if err != nil {
			return nil, upTo, err
		}
		upTo = min(upTo, at-1)
	} else if g.UpToSeq > 0 {
		upTo = min(upTo, g.UpToSeq)
	}
	if upTo < s.store.Index().FirstSeq {
		return nil, upTo, nil
	}
	start, err := s.start(st, g)
	if err != nil {
		return nil, upTo, err
	}
	seqs, err = st.LastPerSubject(g.MultiLast, max(start, 1), upTo)
	return seqs, upTo, err
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }
