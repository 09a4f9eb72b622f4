package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// Message is one that a session waits for.
type Message struct {
	*jsclient.Message
	// Topic is the subject that it was published to.
	Topic string
	// Options are those of the filter that takes it with the highest QoS.
	Options byte
	QoS     byte // 1 or 2
	// IDs are the identifiers of the subscriptions that take it.
	IDs []uint32
	// Again: it was sent before, or may have been. ID is the packet identifier that
	// it has then, 0 if that is not known.
	Again bool
	ID    uint16
	// Retained: it is a retained message, which has no sequence here.
	Retained bool
	// Numbered: it was given its identifier on this connection, and was not sent yet.
	Numbered bool
}

func (m *Message) size() int { return len(m.Header) + len(m.Data) }

// pagePatience is how long one page may take: among very many messages for others
// those that match are looked for long, and who gave up would begin again.
const pagePatience = 5 * time.Minute

// maxAside is how many subjects are read one beside the other; with more of them all
// is read, and looked through.
const maxAside = 8

// Begin is called before the first message goes out on a connection: the row says
// from now on that messages may have been sent that it does not know.
func (x *Session) Begin(ctx context.Context) error { return x.store.rows.begin(ctx, x) }

// Read reads a message that was sent and is not acknowledged. It is nil when it is
// not there any more, and then counts as acknowledged; with QoS 2 as taken, for the
// client may have it.
func (x *Session) Read(ctx context.Context, u Unacked) (*Message, error) {
	m, err := x.store.o.Client.Get(ctx, msgsStream, u.Seq)
	if errors.Is(err, jsclient.ErrMessageNotFound) || errors.Is(err, jsclient.ErrStreamNotFound) {
		if u.Exact {
			x.Handed(u.Seq, u.ID)
		} else {
			x.Acked(u.Seq)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	again := &Message{Message: m, Topic: strings.TrimPrefix(m.Subject, msgsPrefix), Again: true, ID: u.ID, QoS: 1}
	if u.Exact {
		again.QoS = 2
	}
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	_, again.IDs, _ = x.takenLocked(m, again.Topic)
	return again, nil
}

// Next reads what comes next: up to max messages, and about so many bytes. It gives
// none when there is no more; then the peer is woken when there is. What it has
// given is settled by Sent or Pass, in its order, before it is called again.
func (x *Session) Next(ctx context.Context, max, maxBytes int) ([]*Message, error) {
	for {
		list, more, err := x.page(ctx, max, maxBytes)
		if err != nil || len(list) > 0 || !more {
			return list, err
		}
	}
}

// span is a subject that is read.
type span struct {
	subject string
	from    uint64
}

// page is one look; more says that there may be more behind it.
func (x *Session) page(ctx context.Context, most, maxBytes int) (list []*Message, more bool, err error) {
	s := x.store
	spans, horizon := x.spans()
	if horizon == 0 {
		return nil, false, nil
	}
	if found, upTo := x.recent(horizon, most, maxBytes); upTo > 0 {
		return x.choose(found, upTo), true, nil
	}
	select {
	case s.pages <- struct{}{}:
		defer func() { <-s.pages }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	if known, upTo := x.known(horizon, most); upTo > 0 {
		found, upTo, err := x.gets(ctx, known, upTo, maxBytes)
		if err != nil {
			return nil, false, err
		}
		s.share(found)
		return x.choose(found, upTo), true, nil
	}
	var found []*jsclient.Message
	if len(spans) > maxAside {
		first := horizon
		for _, p := range spans {
			first = min(first, p.from)
		}
		spans = []span{{subject: ">", from: first}}
	}
	for _, p := range spans {
		part, behind, err := s.o.Client.NextBatch(ctx, msgsStream, p.from, msgsPrefix+p.subject, most, max(maxBytes/len(spans), 1024))
		if err != nil && !errors.Is(err, jsclient.ErrStreamNotFound) {
			return nil, false, err
		}
		if behind && len(part) > 0 {
			horizon = min(horizon, part[len(part)-1].Seq)
		}
		found = append(found, part...)
	}
	slices.SortFunc(found, func(a, b *jsclient.Message) int {
		switch {
		case a.Seq < b.Seq:
			return -1
		case a.Seq > b.Seq:
			return 1
		}
		return 0
	})
	s.share(found)
	return x.choose(found, horizon), true, nil
}

// sparse is from how many messages for one on, about, they are read one by one.
const sparse = 8

// known are the sequences of what is read next where that is known, and up to where it
// is all; 0 says that the stream is to be read. (While what was there at the start is
// counted nothing is known.)
func (x *Session) known(horizon uint64, most int) (list []uint64, upTo uint64) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	list, all := x.hints.first(x.position, most)
	switch {
	case s.mu.swept < s.mu.begin, len(list) == 0 && !all:
		return nil, 0
	case len(list) == 0:
		return nil, horizon
	case list[len(list)-1]-x.position < uint64(sparse*len(list)):
		return nil, 0
	case all:
		return list, max(horizon, list[len(list)-1])
	}
	return list, list[len(list)-1]
}

// gets reads messages one by one, about so many bytes of them, and says up to where
// that is all.
func (x *Session) gets(ctx context.Context, seqs []uint64, upTo uint64, maxBytes int) (found []*jsclient.Message, _ uint64, err error) {
	for i, seq := range seqs {
		m, err := x.store.o.Client.Get(ctx, msgsStream, seq)
		switch {
		case errors.Is(err, jsclient.ErrMessageNotFound), errors.Is(err, jsclient.ErrStreamNotFound):
			continue // somebody has deleted it
		case err != nil:
			return nil, 0, err
		}
		found = append(found, m)
		if maxBytes -= len(m.Header) + len(m.Data); maxBytes <= 0 && i < len(seqs)-1 {
			return found, seq, nil
		}
	}
	return found, upTo, nil
}

// spans are the subjects to read, up to the horizon; that is 0 when all was read.
func (x *Session) spans() (list []span, horizon uint64) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	x.position = max(x.position, x.reading.horizon)
	for f := range x.filters.all {
		if f.closed() && f.until <= x.position && !x.over {
			x.forgetLocked(f)
		}
	}
	if x.position >= s.mu.head {
		x.readAllLocked()
		return nil, 0
	}
	for f := range x.filters.all {
		from := max(x.position, f.after) + 1
		if !f.keeps() || from > min(f.until, s.mu.head) {
			continue
		}
		for i := range f.subs {
			list = append(list, span{f.subs[i].Subject, from})
		}
	}
	if len(list) == 0 {
		x.position, x.reading.horizon = s.mu.head, s.mu.head
		x.readAllLocked()
		return nil, 0
	}
	return list, s.mu.head
}

// choose takes out of what was read what the session waits for.
func (x *Session) choose(found []*jsclient.Message, horizon uint64) (list []*Message) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	last := x.position
	for _, m := range found {
		subj, ok := strings.CutPrefix(m.Subject, msgsPrefix)
		if !ok || m.Seq <= last || m.Seq > horizon {
			continue // read by two filters, or behind what is not read yet
		}
		last = m.Seq
		if s.mu.counts.get(m.Seq) == 0 && (m.Seq <= s.mu.swept || m.Seq > s.mu.begin) {
			continue // nobody waits for it: it is to be deleted, or somebody else has put it there
		}
		if options, ids, waits := x.takenLocked(m, subj); waits {
			// With QoS 2 nothing was sent that the row does not know.
			qos := min(options&3, max(PublishedQoS(m.Header), 1))
			list = append(list, &Message{Message: m, Topic: subj, Options: options, IDs: ids, QoS: qos, Again: qos < 2 && m.Seq <= x.sentUpTo})
		}
	}
	x.reading.horizon = max(x.reading.horizon, horizon)
	return list
}

// takenLocked looks which filters take a message: the options of the one with the
// highest QoS, and the identifiers of all.
func (x *Session) takenLocked(m *jsclient.Message, subj string) (options byte, ids []uint32, some bool) {
	publisher := publisherOf(m.Header)
	for f := range x.filters.all {
		if !f.keeps() || !f.takes(m.Seq, []byte(subj), publisher) || !f.covers([]byte(subj)) {
			continue
		}
		if !some || f.Options&3 > options&3 {
			options, some = f.Options, true
		}
		if f.Identifier > 0 {
			ids = append(ids, f.Identifier)
		}
	}
	return options, ids, some
}
