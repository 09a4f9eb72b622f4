package jetstream

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
)

// chaosOp is one kind of operation. Those that wait for an answer are left out
// while a call of the disk fails.
type chaosOp struct {
	name  string
	often int
	waits bool
	do    func(w *chaosWorld)
}

var chaosOps = []chaosOp{
	{"publish", 10, false, func(w *chaosWorld) {
		for range 1 + w.rnd.IntN(12) {
			w.send(chaosPlain, fmt.Sprint("a", w.rnd.IntN(9)))
		}
	}},
	{"publish a large one", 1, false, func(w *chaosWorld) { w.sendBody(chaosPlain, "big", w.body(w.rnd.IntN(12<<10))) }},
	{"publish with an id", 4, false, func(w *chaosWorld) {
		for range 1 + w.rnd.IntN(6) {
			w.sendWithID(w.body(0))
		}
	}},
	{"publish an id again", 2, false, (*chaosWorld).sendAgain},
	{"put a key", 4, false, func(w *chaosWorld) { w.put("") }},
	{"put with a wrong revision", 2, false, func(w *chaosWorld) { w.put("999999") }},
	{"put with a right revision", 1, true, (*chaosWorld).putRight},
	{"publish to the queue", 3, false, func(w *chaosWorld) { w.send(chaosQueue, "q") }},
	{"publish what somebody is interested in", 3, false, func(w *chaosWorld) { w.send(chaosCare, "c") }},
	{"publish what a source takes", 4, false, func(w *chaosWorld) {
		for range 1 + w.rnd.IntN(4) {
			w.send(chaosWork, "w")
		}
	}},
	{"publish one that lives for a second", 3, false, (*chaosWorld).sendPassing},
	{"publish one that lives for long", 1, false, func(w *chaosWorld) {
		w.sendBody(chaosTTL, fmt.Sprint("l", w.rnd.IntN(3)), w.body(0), "Nats-TTL", "100h")
	}},
	{"publish to a full stream", 4, false, func(w *chaosWorld) {
		for range 1 + w.rnd.IntN(4) {
			w.send(chaosFull, "f")
		}
	}},
	{"empty a full stream", 1, true, (*chaosWorld).empty},
	{"let time pass", 2, false, (*chaosWorld).passTime},
	{"take and acknowledge", 2, true, func(w *chaosWorld) { w.takeSome(chaosPlain) }},
	{"take from the queue", 2, true, func(w *chaosWorld) { w.takeSome(chaosQueue) }},
	{"take what one is interested in", 1, true, func(w *chaosWorld) { w.takeSome(chaosCare) }},
	{"read a mirror", 1, true, func(w *chaosWorld) { w.readCopy(copyMirror) }},
	{"read what sources brought", 2, true, func(w *chaosWorld) { w.readCopy(copySum); w.readCopy(copyGather) }},
	{"delete a message", 1, true, (*chaosWorld).deleteOne},
	{"purge a subject", 1, true, (*chaosWorld).purgeSubject},
	{"roll up", 1, false, (*chaosWorld).rollUp},
	{"drain", 1, true, (*chaosWorld).drainSome},
	{"create a stream", 1, true, (*chaosWorld).createStream},
	{"delete a stream", 1, true, (*chaosWorld).deleteStream},
	{"update a stream", 1, true, (*chaosWorld).updateStream},
	{"create a consumer", 1, true, (*chaosWorld).createConsumer},
	{"delete a consumer", 1, true, (*chaosWorld).deleteConsumer},
}

func (w *chaosWorld) operation() {
	sum := 0
	for i := range chaosOps {
		sum += chaosOps[i].often
	}
	for {
		n := w.rnd.IntN(sum)
		for i := range chaosOps {
			op := &chaosOps[i]
			if n -= op.often; n >= 0 {
				continue
			}
			if op.waits && w.blind {
				break
			}
			op.do(w)
			w.tally.ops[op.name]++
			return
		}
	}
}

// send publishes without waiting for the answer.
func (w *chaosWorld) send(stream, token string) { w.sendBody(stream, token, w.body(0)) }

func (w *chaosWorld) sendBody(stream, token, body string, hdr ...string) {
	w.m.mu.Lock()
	s := w.m.streams[stream]
	if s == nil {
		w.m.mu.Unlock()
		return
	}
	w.m.sent++
	w.m.mu.Unlock()
	msg := &wire.Msg{Subject: []byte(stream + "." + token), Reply: []byte("ack." + stream + "." + nameOf(body)), Body: []byte(body)}
	if len(hdr) > 0 {
		msg.Header = []byte(header(hdr...))
	}
	w.b.route(msg)
}

// sendPassing publishes a message that is due soon. The subjects are others than
// those of messages that stay, for a marker rolls its subject up.
func (w *chaosWorld) sendPassing() {
	for range 1 + w.rnd.IntN(4) {
		body := w.body(0)
		w.m.mu.Lock()
		w.m.streams[chaosTTL].passing[nameOf(body)] = true
		w.m.mu.Unlock()
		w.sendBody(chaosTTL, fmt.Sprint("p", w.rnd.IntN(4)), body, "Nats-TTL", "1s")
	}
}

// passTime makes messages due, and does not wait for what comes of it.
func (w *chaosWorld) passTime() {
	w.d.clock.ahead.Add(int64(2 * time.Second))
	w.e.ticks()
}

// sendWithID takes the body as the message id.
func (w *chaosWorld) sendWithID(body string) {
	w.sendBody(chaosDedup, "d", body, "Nats-Msg-Id", body)
}

// manyIDs makes runs of ids.
func (w *chaosWorld) manyIDs() {
	for range 3 {
		for range 8 {
			w.sendWithID(w.body(0))
		}
		_ = w.e.journal.Sync(w.t.Context())
		_ = w.e.drain.drain()
	}
}

func (w *chaosWorld) sendAgain() {
	w.sendWithID(fmt.Sprintf("m%d_0", 1+w.rnd.IntN(w.next+1)))
}

func (w *chaosWorld) put(revision string) {
	w.mayGo(chaosKV)
	var hdr []string
	if revision != "" {
		hdr = []string{"Nats-Expected-Last-Subject-Sequence", revision}
	}
	w.sendBody(chaosKV, w.key(), w.body(0), hdr...)
}

func (w *chaosWorld) key() string { return fmt.Sprint("k", w.rnd.IntN(5)) }

func (w *chaosWorld) putRight() {
	key := w.key()
	last, _ := w.e.account("A").stream(chaosKV).store.LastFor(chaosKV + "." + key) // 0 where the disk does not read
	w.mayGo(chaosKV)
	w.sendBody(chaosKV, key, w.body(0), "Nats-Expected-Last-Subject-Sequence", fmt.Sprint(last))
}

// mayGo notes that any message of the stream may be pushed out from now on,
// also those that are acknowledged later.
func (w *chaosWorld) mayGo(stream string) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	s := w.m.streams[stream]
	for seq := uint64(1); seq <= s.last+1024; seq++ {
		s.mayGo[seq] = true
	}
}

func (w *chaosWorld) rollUp() {
	w.mayGo(chaosKV)
	w.sendBody(chaosKV, w.key(), w.body(0), "Nats-Rollup", "sub")
}

func (w *chaosWorld) takeSome(stream string) {
	w.m.mu.Lock()
	s := w.m.streams[stream]
	w.m.mu.Unlock()
	w.take(s, 1+w.rnd.IntN(8))
}

func (w *chaosWorld) deleteOne() {
	w.m.mu.Lock()
	s := w.m.streams[chaosPlain]
	seq := 1 + w.rnd.Uint64N(s.last+1)
	s.mayGo[seq] = true
	w.m.mu.Unlock()
	w.b.api(w.t, "STREAM.MSG.DELETE."+chaosPlain, fmt.Sprintf("seq=%d", seq))
}

func (w *chaosWorld) purgeSubject() {
	w.mayGo(chaosKV)
	w.call("STREAM.PURGE."+chaosKV, fmt.Sprintf("filter=%s.%s", chaosKV, w.key()))
}

// empty makes room in the stream that refuses.
func (w *chaosWorld) empty() {
	w.mayGo(chaosFull)
	w.call("STREAM.PURGE."+chaosFull, fmt.Sprintf("keep=%d", w.rnd.IntN(3)))
}

// notDrained hears how a second drain ended. Disks that do not read for a while may
// fail it too: the journal keeps what it should have brought down.
func (w *chaosWorld) notDrained(err error) {
	if err != nil && !w.unreadable {
		w.t.Error(err)
	}
}

// drainSome drains everything, or stops half way as a power cut would. A file that
// turns out to be damaged then is made anew by the next drain.
func (w *chaosWorld) drainSome() {
	if w.rnd.IntN(2) == 0 {
		if w.e.drain.drain() != nil {
			w.notDrained(w.e.drain.drain())
		}
		return
	}
	for _, s := range w.e.allStreams() {
		if w.rnd.IntN(2) == 0 || !s.seal() {
			continue
		}
		if s.store.Flush() != nil {
			w.notDrained(s.store.Flush())
		}
		if h, rows, ok := s.flushed(); ok {
			w.e.noteHead(s.incarnation, h, rows)
		}
	}
}

// call makes a request. It is not done when the journal is behind with preparing
// files, as it may be on a busy machine.
func (w *chaosWorld) call(verb, body string) bool {
	w.t.Helper()
	m := w.b.api(w.t, verb, body)
	var r response
	if err := json.Unmarshal([]byte(m.Body), &r); err != nil {
		w.t.Fatalf("%s: %v in %q", verb, err, m.Body)
	}
	if r.Error != nil && r.Error.ErrCode != errTooManyRequests.ErrCode {
		w.t.Fatalf("%s: %v", verb, r.Error)
	}
	return r.Error == nil
}

// extra is a stream that comes and goes.
func (w *chaosWorld) extra() string { return fmt.Sprint("X", w.rnd.IntN(3)) }

func (w *chaosWorld) createStream() {
	name := w.extra()
	if w.e.account("A").stream(name) != nil {
		w.send(name, "x")
		return
	}
	w.create(name)
}

// create makes a stream with a few messages.
func (w *chaosWorld) create(name string) {
	if !w.call("STREAM.CREATE."+name, fmt.Sprintf("name=%q subjects=[%s.>]", name, name)) {
		return
	}
	w.m.created(name)
	for range w.rnd.IntN(4) {
		w.send(name, "x")
	}
}

func (w *chaosWorld) deleteStream() {
	name := w.extra()
	w.m.mu.Lock()
	s := w.m.streams[name]
	if s != nil {
		s.deleted = true
	}
	w.m.mu.Unlock()
	if s == nil || w.e.account("A").stream(name) == nil {
		return
	}
	if !w.call("STREAM.DELETE."+name, "") {
		return
	}
	w.m.mu.Lock()
	delete(w.m.streams, name)
	w.m.mu.Unlock()
}

func (w *chaosWorld) updateStream() {
	w.call("STREAM.UPDATE."+chaosPlain, fmt.Sprintf(`name=PLAIN subjects=[PLAIN.>] description="%d"`, w.next))
}

func (w *chaosWorld) createConsumer() {
	name := fmt.Sprint("d", w.rnd.IntN(3))
	w.consumer(chaosPlain, name, fmt.Sprintf("ack_policy=explicit durable_name=%q", name))
}

func (w *chaosWorld) deleteConsumer() {
	name := fmt.Sprint("d", w.rnd.IntN(3))
	w.m.mu.Lock()
	s := w.m.streams[chaosPlain]
	_, ok := s.consumers[name]
	if ok {
		s.consumers[name] = true
	}
	w.m.mu.Unlock()
	if !ok {
		return
	}
	w.b.request(w.t, asset.APIPrefix+"CONSUMER.DELETE."+chaosPlain+"."+name, "", "")
	w.m.mu.Lock()
	delete(s.consumers, name)
	w.m.mu.Unlock()
}
