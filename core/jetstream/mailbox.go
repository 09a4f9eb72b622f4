package jetstream

import (
	"sync"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

// mailbox is what came in for a consumer since its last step: what happened to
// the stream, requests and acknowledgements, and news of who listens. Anybody
// may put something in, from within routing or applying too: nothing here waits
// for anything, and messages are copied. It is emptied by the host, on whatever
// goroutine that steps.
//
// Its mutex is taken behind any other and nothing is called under it.
type mailbox struct {
	mu sync.Mutex
	in batch // guarded by mu
}

// batch is what came in between two steps.
type batch struct {
	events [][]event // shared with other consumers: never changed
	inputs []input
	bytes  []byte // of the inputs
	active int8   // 1 somebody listens on the deliver subject, -1 nobody does, 0 no news
	config *consumer.Config
}

// input is a message to the consumer; its parts are in batch.bytes, one after
// the other.
type input struct {
	kind                        inputKind
	at                          int // where its parts begin
	subject, reply, header, len int // lengths; len is of the body
}

type inputKind uint8

const (
	inputPull inputKind = iota
	inputAck
	inputFlow
)

// maxInputBytes bounds what waits for one consumer.
const maxInputBytes = 8 << 20

// happened leaves what happened to the stream's messages. It keeps events.
func (b *mailbox) happened(events []event) {
	b.mu.Lock()
	b.in.events = append(b.in.events, events)
	b.mu.Unlock()
}

// put leaves a copy of a message. It reports false when too much waits already:
// acknowledgements come again, and so do requests.
func (b *mailbox) put(kind inputKind, msg *wire.Msg) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := &b.in
	i := input{kind, len(in.bytes), len(msg.Subject), len(msg.Reply), len(msg.Header), len(msg.Body)}
	if len(in.bytes)+i.subject+i.reply+i.header+i.len > maxInputBytes {
		return false
	}
	in.bytes = append(in.bytes, msg.Subject...)
	in.bytes = append(in.bytes, msg.Reply...)
	in.bytes = append(in.bytes, msg.Header...)
	in.bytes = append(in.bytes, msg.Body...)
	in.inputs = append(in.inputs, i)
	return true
}

// listening leaves whether somebody listens on the deliver subject now.
func (b *mailbox) listening(present bool) {
	b.mu.Lock()
	if b.in.active = -1; present {
		b.in.active = 1
	}
	b.mu.Unlock()
}

// configure leaves another configuration.
func (b *mailbox) configure(cfg *consumer.Config) {
	b.mu.Lock()
	b.in.config = cfg
	b.mu.Unlock()
}

// empty moves all that came in behind what to holds still. It keeps to's buffers
// for what comes next, if nothing is in them.
func (b *mailbox) empty(to *batch) {
	b.mu.Lock()
	if len(to.inputs) == 0 {
		*to, b.in = b.in, *to
	} else {
		to.join(&b.in)
	}
	b.mu.Unlock()
}

// parts are those of an input. They are good until the batch is reset.
func (t *batch) parts(i *input) (subject, reply, header, body []byte) {
	b := t.bytes[i.at:]
	cut := func(n int) []byte {
		part := b[:n:n]
		b = b[n:]
		return part
	}
	return cut(i.subject), cut(i.reply), cut(i.header), cut(i.len)
}

// join puts what came in since behind what is still to be worked on.
func (t *batch) join(in *batch) {
	t.events = append(t.events, in.events...)
	for _, i := range in.inputs {
		i.at += len(t.bytes)
		t.inputs = append(t.inputs, i)
	}
	t.bytes = append(t.bytes, in.bytes...)
	if in.config != nil {
		t.config = in.config
	}
	if in.active != 0 {
		t.active = in.active
	}
	in.reset()
}

// told forgets all but the inputs.
func (t *batch) told() {
	clear(t.events)
	t.events, t.config, t.active = t.events[:0], nil, 0
}

func (t *batch) reset() {
	clear(t.events)
	if cap(t.bytes) > 1<<20 {
		t.bytes = nil
	}
	*t = batch{events: t.events[:0], inputs: t.inputs[:0], bytes: t.bytes[:0]}
}
