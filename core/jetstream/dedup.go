package jetstream

import (
	"fmt"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// elapsed is how long after from the moment to was, as far as it is certain.
// Within one boot the monotonic clock tells. Across boots wall clocks do when
// both were known to be right, and else only the time since the later boot is
// sure: a device that starts in 1970 must not forget its message ids when its
// clock is set.
func elapsed(from, to edgestore.Stamp) time.Duration {
	switch {
	case from.Boot == to.Boot:
		return time.Duration(to.Mono - from.Mono)
	case from.Synced && to.Synced:
		return time.Duration(to.Wall - from.Wall)
	}
	return time.Duration(to.Mono)
}

// dedup remembers the message ids of a stream for the length of its window.
//
// On disk it is a row of runs, each with the ids that came since the run
// before: a flush writes what is new and nothing twice, and a run is deleted
// once its last id is out of the window. Ids outlive the messages they came
// with, so a message that was stored and deleted is still known after a
// restart.
type dedup struct {
	window time.Duration
	ids    map[string]uint64 // id -> sequence
	order  []dedupEntry      // oldest first; before head they are gone
	head   int
	sealed int // order[sealed:] is in no run yet
	runs   []dedupRun
	nextID uint64 // number of the next run
	gone   []uint64
}

type dedupEntry struct {
	id  string
	seq uint64
	at  edgestore.Stamp
}

type dedupRun struct {
	number uint64
	last   edgestore.Stamp
}

const dedupAuxPrefix = "dup/"

func dedupKey(n uint64) string { return fmt.Sprintf("%s%016x", dedupAuxPrefix, n) }

// seen reports the sequence that id was stored with, if that was within the
// window before now.
func (d *dedup) seen(id []byte, now edgestore.Stamp) (uint64, bool) {
	if d.window <= 0 {
		return 0, false
	}
	d.expire(now)
	seq, ok := d.ids[string(id)]
	return seq, ok
}

func (d *dedup) add(id string, seq uint64, now edgestore.Stamp) {
	if d.window <= 0 {
		return
	}
	if d.ids == nil {
		d.ids = make(map[string]uint64)
	}
	d.ids[id] = seq
	d.order = append(d.order, dedupEntry{id, seq, now})
}

func (d *dedup) expire(now edgestore.Stamp) {
	for d.head < len(d.order) {
		e := &d.order[d.head]
		if elapsed(e.at, now) < d.window {
			break
		}
		if d.ids[e.id] == e.seq {
			delete(d.ids, e.id)
		}
		*e = dedupEntry{}
		d.head++
	}
	if d.head > 1024 && d.head > len(d.order)/2 {
		n := copy(d.order, d.order[d.head:])
		clear(d.order[n:])
		d.order = d.order[:n]
		d.sealed = max(d.sealed-d.head, 0)
		d.head = 0
	}
}

func (d *dedup) len() int { return len(d.order) - d.head }

// setWindow changes the window; 0 forgets everything.
func (d *dedup) setWindow(w time.Duration) {
	d.window = w
	if w > 0 {
		return
	}
	d.ids, d.order, d.head, d.sealed = nil, nil, 0, 0
	for _, r := range d.runs {
		d.gone = append(d.gone, r.number)
	}
	d.runs = nil
}

// seal gives what has to be written for the state of now.
func (d *dedup) seal(now edgestore.Stamp) (aux []edgestore.Aux) {
	d.expire(now)
	for len(d.runs) > 0 && elapsed(d.runs[0].last, now) >= d.window {
		d.gone = append(d.gone, d.runs[0].number)
		d.runs = d.runs[1:]
	}
	for _, n := range d.gone {
		aux = append(aux, edgestore.Aux{Key: dedupKey(n)})
	}
	d.gone = nil
	from := max(d.sealed, d.head)
	if from < len(d.order) {
		aux = append(aux, edgestore.Aux{Key: dedupKey(d.nextID), Value: appendDedupRun(nil, d.order[from:])})
		d.runs = append(d.runs, dedupRun{d.nextID, d.order[len(d.order)-1].at})
		d.nextID++
	}
	d.sealed = len(d.order)
	return aux
}

func appendDedupRun(b []byte, entries []dedupEntry) []byte {
	b = msgp.AppendUint64(b, uint64(len(entries)))
	for i := range entries {
		e := &entries[i]
		b = msgp.AppendString(b, e.id)
		b = msgp.AppendUint64(b, e.seq)
		b = msgp.AppendUint64(b, uint64(e.at.Boot))
		b = msgp.AppendInt64(b, e.at.Mono)
		b = msgp.AppendInt64(b, e.at.Wall)
		b = msgp.AppendBool(b, e.at.Synced)
	}
	return b
}

// load takes over one run, in the order of their numbers.
func (d *dedup) load(key string, value []byte) error {
	var n uint64
	if _, err := fmt.Sscanf(key, dedupAuxPrefix+"%016x", &n); err != nil {
		return fmt.Errorf("message id run %q: %w", key, edgestore.ErrCorrupt)
	}
	r := opReader{b: value}
	count := r.uint()
	if count > uint64(len(value)) {
		return fmt.Errorf("message id run %q: %w: %d ids in %d bytes", key, edgestore.ErrCorrupt, count, len(value))
	}
	if d.ids == nil {
		d.ids = make(map[string]uint64, count)
	}
	for range count {
		e := dedupEntry{id: r.string(), seq: r.uint()}
		e.at = edgestore.Stamp{Boot: uint32(r.uint()), Mono: r.int(), Wall: r.int(), Synced: r.bool()}
		if err := r.done("message id run"); err != nil {
			return err
		}
		d.ids[e.id] = e.seq
		d.order = append(d.order, e)
	}
	d.sealed = len(d.order)
	d.nextID = n + 1
	if len(d.order) > 0 {
		d.runs = append(d.runs, dedupRun{n, d.order[len(d.order)-1].at})
	}
	return nil
}
