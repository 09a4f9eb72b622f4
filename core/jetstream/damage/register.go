package damage

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// Kind says what happened to what is stored.
type Kind string

const (
	// Lost: messages that had been acknowledged can't be read. Their
	// sequences are in the stream's lost ranges.
	Lost Kind = "lost"
	// Operations: operations of the journal can't be read. What they did
	// to streams that can be named is told by entries of their own.
	Operations Kind = "operations"
	// Consumer: what a consumer did is lost; it delivers again.
	Consumer Kind = "consumer"
	// Catalogue: the catalogue of streams could not be read and was made
	// again from the stores and the journal.
	Catalogue Kind = "catalogue"
	// Stopped: a stream could not be opened or stopped taking changes.
	// Everything else works.
	Stopped Kind = "stopped"
	// Quarantine: a folder that belongs to no known stream was put aside.
	Quarantine Kind = "quarantine"
	// Aside: a file that could not be used was put aside or made anew, and
	// what it held was brought back from elsewhere as far as possible.
	Aside Kind = "aside"
	// Replay: an operation could not be applied again at a start.
	Replay Kind = "replay"
	// Read: the disk failed to read. Nothing was given up for that.
	Read Kind = "read"
	// Write: the disk failed to write or to sync. What was acknowledged
	// was written elsewhere.
	Write Kind = "write"
	// Unguarded: with a sync interval, what was acknowledged may not have
	// reached the disk.
	Unguarded Kind = "unguarded"
	// IDs: message ids can't be read. No message is lost, but one that is
	// published again may be stored again.
	IDs Kind = "ids"
	// Folder: the data folder went while the server ran.
	Folder Kind = "folder"
	// Identity: the data folder has another identity, for its own was gone.
	Identity Kind = "identity"
)

// Entry is one thing that went wrong with what is stored, for an operator. It
// stays until it is acknowledged, over restarts.
type Entry struct {
	ID    uint64    `json:"id"`
	At    time.Time `json:"time"` // the last time
	Kind  Kind      `json:"kind"`
	Where string    `json:"where,omitempty"` // file or folder
	// Account and Stream name the stream that it is about, if one.
	Account string `json:"account,omitempty"`
	Stream  string `json:"stream,omitempty"`
	// Lost are the sequences of the stream that are gone; of Operations the
	// numbers of these.
	Lost  []edgestore.SeqRange `json:"lost,omitempty"`
	What  string               `json:"what"`  // the cause, in words
	Do    string               `json:"do"`    // what to do about it
	Times uint64               `json:"times"` // how often
	Acked bool                 `json:"acked,omitempty"`
}

const (
	// RowPrefix begins the keys of the rows in the catalogue.
	RowPrefix = "damage/"
	// maxEntries bounds the register. Acknowledged entries go first; after that
	// the oldest, for what is going on now matters more.
	maxEntries = 256
	// MaxRanges bounds the ranges of one entry; above that they are told as
	// one that covers them.
	MaxRanges = 128
	// silence is how long the next of the same kind at the same place are
	// counted and not logged.
	silence = time.Minute
)

// ErrUnknown: no entry of the register has that id.
var ErrUnknown = errors.New("no such damage")

// Register keeps all damage. It may be used from any goroutine, and is under no
// other lock.
type Register struct {
	mu     sync.Mutex
	loaded bool
	next   uint64
	all    []*kept  // oldest first
	gone   []uint64 // rows to delete
}

type kept struct {
	Entry
	dirty bool
	said  time.Time
}

// Add counts d in, as one more case of an entry that is not acknowledged or as
// one of its own, and gives the entry's id, 0 before the catalogue was loaded. say
// tells whether it should be logged. What lasts and was acknowledged is no case.
func (r *Register) Add(d Entry) (id uint64, say bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accepted(&d) {
		return 0, false
	}
	x := r.find(&d)
	grew := x == nil || len(d.Lost) > 0
	if x == nil {
		x = &kept{Entry: d}
		if r.loaded {
			x.ID = r.takeID()
		}
		r.all = append(r.all, x)
		r.trim()
	} else {
		x.At, x.What = d.At, d.What
		x.Times += d.Times
		x.Lost = MergeRanges(append(x.Lost, d.Lost...), MaxRanges)
	}
	x.dirty = true
	say = grew && d.At.Sub(x.said) >= silence
	if say {
		x.said = d.At
	}
	return x.ID, say
}

// List gives the entries, oldest first; those that were acknowledged only with
// all.
func (r *Register) List(all bool) []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Entry
	for _, x := range r.all {
		if all || !x.Acked {
			d := x.Entry
			d.Lost = slices.Clone(d.Lost)
			out = append(out, d)
		}
	}
	return out
}

// Ack takes an entry out of what is told; id 0 takes all.
func (r *Register) Ack(id uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := id == 0
	for _, x := range r.all {
		if x.ID == id || id == 0 {
			found = true
			if !x.Acked {
				x.Acked, x.dirty = true, true
			}
		}
	}
	if !found {
		return fmt.Errorf("damage %d: %w", id, ErrUnknown)
	}
	return nil
}

// Attrs are the parts of a log line; id is 0 while there is none.
func (d *Entry) Attrs(id uint64) []any {
	a := []any{"kind", string(d.Kind)}
	if id != 0 {
		a = append(a, "id", id)
	}
	if d.Where != "" {
		a = append(a, "where", d.Where)
	}
	if d.Stream != "" {
		a = append(a, "account", d.Account, "stream", d.Stream)
	}
	if len(d.Lost) > 0 {
		a = append(a, "lost", RangesText(d.Lost))
	}
	return append(a, "do", d.Do)
}

// RangesText is ranges as people read them, the first few.
func RangesText(ranges []edgestore.SeqRange) string {
	text := ""
	for i, r := range ranges {
		if i == 8 {
			return fmt.Sprintf("%s and %d more ranges", text, len(ranges)-i)
		}
		if i > 0 {
			text += ", "
		}
		if r.First == r.Last {
			text += fmt.Sprint(r.First)
		} else {
			text += fmt.Sprintf("%d-%d", r.First, r.Last)
		}
	}
	return text
}

// MergeRanges sorts ranges and joins those that touch; above most the last ones
// become one.
func MergeRanges(ranges []edgestore.SeqRange, most int) []edgestore.SeqRange {
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].First < ranges[j].First })
	var out []edgestore.SeqRange
	for _, r := range ranges {
		n := len(out)
		switch {
		case n > 0 && (r.First <= out[n-1].Last+1 || n == most):
			out[n-1].Last = max(out[n-1].Last, r.Last)
		default:
			out = append(out, r)
		}
	}
	return out
}

// find finds the entry that d is one more case of.
func (r *Register) find(d *Entry) *kept {
	for i := len(r.all) - 1; i >= 0; i-- {
		x := r.all[i]
		if !x.Acked && x.Kind == d.Kind && x.Where == d.Where && x.Account == d.Account && x.Stream == d.Stream {
			return x
		}
	}
	return nil
}

// accepted reports whether d is about operations that somebody has acknowledged
// to be gone: each start finds them again, until their segment is written anew.
func (r *Register) accepted(d *Entry) bool {
	if d.Kind != Operations || len(d.Lost) == 0 {
		return false
	}
	var known []edgestore.SeqRange
	for _, x := range r.all {
		if x.Acked && x.Kind == Operations {
			known = append(known, x.Lost...)
		}
	}
	known = MergeRanges(known, len(known)+1)
	for _, l := range d.Lost {
		in := func(k edgestore.SeqRange) bool { return k.First <= l.First && l.Last <= k.Last }
		if !slices.ContainsFunc(known, in) {
			return false
		}
	}
	return true
}

func (r *Register) takeID() uint64 {
	r.next++
	return r.next
}

func (r *Register) trim() {
	for len(r.all) > maxEntries {
		i := slices.IndexFunc(r.all, func(x *kept) bool { return x.Acked })
		i = max(i, 0)
		if id := r.all[i].ID; id != 0 {
			r.gone = append(r.gone, id)
		}
		r.all = slices.Delete(r.all, i, i+1)
	}
}

// Load takes over the rows of the catalogue, in the order of their keys. What
// was reported before gets its id then.
func (r *Register) Load(rows []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := make([]*kept, 0, len(rows)+len(r.all))
	for _, d := range rows {
		r.next = max(r.next, d.ID)
		old = append(old, &kept{Entry: d})
	}
	fresh := r.all
	r.all, r.loaded = old, true
	for _, x := range fresh {
		if r.accepted(&x.Entry) {
			continue
		}
		if known := r.find(&x.Entry); known != nil {
			known.At, known.What, known.Times = x.At, x.What, known.Times+x.Times
			known.Lost = MergeRanges(append(known.Lost, x.Lost...), MaxRanges)
			known.dirty = true
			continue
		}
		x.ID = r.takeID()
		r.all = append(r.all, x)
	}
	r.trim()
}

// ReadRow reads a row that Seal gave.
func ReadRow(key string, value []byte) (d Entry, err error) {
	if err := json.Unmarshal(value, &d); err != nil {
		return d, fmt.Errorf("catalogue: row %q: %w: %w", key, edgestore.ErrCorrupt, err)
	}
	return d, nil
}

// Seal gives the rows to write.
func (r *Register) Seal() (aux []edgestore.Aux) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.gone {
		aux = append(aux, edgestore.Aux{Key: rowKey(id)})
	}
	r.gone = nil
	for _, x := range r.all {
		if !x.dirty || x.ID == 0 {
			continue
		}
		b, err := json.Marshal(&x.Entry)
		if err != nil {
			panic("damage: an entry does not marshal: " + err.Error())
		}
		aux = append(aux, edgestore.Aux{Key: rowKey(x.ID), Value: b})
		x.dirty = false
	}
	return aux
}

// Dirty reports whether there is anything to write.
func (r *Register) Dirty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.gone) > 0 || slices.ContainsFunc(r.all, func(x *kept) bool { return x.dirty })
}

func rowKey(id uint64) string { return fmt.Sprintf("%s%016x", RowPrefix, id) }

// Untold leaves out what some entry about the stream has.
func (r *Register) Untold(account, stream string, ranges []edgestore.SeqRange) (fresh []edgestore.SeqRange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var told []edgestore.SeqRange
	for _, x := range r.all {
		if x.Account == account && x.Stream == stream {
			told = append(told, x.Lost...)
		}
	}
	told = MergeRanges(told, len(told)+1)
	for _, l := range ranges {
		at := l.First
		for _, t := range told {
			if t.Last < at || t.First > l.Last {
				continue
			}
			if t.First > at {
				fresh = append(fresh, edgestore.SeqRange{First: at, Last: t.First - 1})
			}
			at = t.Last + 1
		}
		if at <= l.Last {
			fresh = append(fresh, edgestore.SeqRange{First: at, Last: l.Last})
		}
	}
	return fresh
}
