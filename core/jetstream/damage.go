package jetstream

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

// DamageKind says what happened to what is stored.
type DamageKind string

const (
	// DamageLost: messages that had been acknowledged can't be read. Their
	// sequences are in the stream's lost ranges.
	DamageLost DamageKind = "lost"
	// DamageOperations: operations of the journal can't be read. What they did
	// to streams that can be named is told by entries of their own.
	DamageOperations DamageKind = "operations"
	// DamageConsumer: what a consumer did is lost; it delivers again.
	DamageConsumer DamageKind = "consumer"
	// DamageCatalogue: the catalogue of streams could not be read and was made
	// again from the stores and the journal.
	DamageCatalogue DamageKind = "catalogue"
	// DamageStopped: a stream could not be opened or stopped taking changes.
	// Everything else works.
	DamageStopped DamageKind = "stopped"
	// DamageQuarantine: a folder that belongs to no known stream was put aside.
	DamageQuarantine DamageKind = "quarantine"
	// DamageAside: a file that could not be used was put aside, and what it
	// held was brought back from elsewhere as far as possible.
	DamageAside DamageKind = "aside"
	// DamageReplay: an operation could not be applied again at a start.
	DamageReplay DamageKind = "replay"
	// DamageRead: the disk failed to read. Nothing was given up for that.
	DamageRead DamageKind = "read"
	// DamageWrite: the disk failed to write or to sync. What was acknowledged
	// was written elsewhere.
	DamageWrite DamageKind = "write"
	// DamageUnguarded: with a sync interval, what was acknowledged may not have
	// reached the disk.
	DamageUnguarded DamageKind = "unguarded"
	// DamageIDs: message ids can't be read. No message is lost, but one that is
	// published again may be stored again.
	DamageIDs DamageKind = "ids"
	// DamageFolder: the data folder went while the server ran.
	DamageFolder DamageKind = "folder"
	// DamageIdentity: the data folder has another identity, for its own was gone.
	DamageIdentity DamageKind = "identity"
)

// Damage is one thing that went wrong with what is stored, for an operator. It
// stays until it is acknowledged, over restarts.
type Damage struct {
	ID    uint64     `json:"id"`
	At    time.Time  `json:"time"` // the last time
	Kind  DamageKind `json:"kind"`
	Where string     `json:"where,omitempty"` // file or folder
	// Account and Stream name the stream that it is about, if one.
	Account string `json:"account,omitempty"`
	Stream  string `json:"stream,omitempty"`
	// Lost are the sequences of the stream that are gone.
	Lost  []edgestore.SeqRange `json:"lost,omitempty"`
	What  string               `json:"what"`  // the cause, in words
	Do    string               `json:"do"`    // what to do about it
	Times uint64               `json:"times"` // how often
	Acked bool                 `json:"acked,omitempty"`
}

const (
	rowDamage = "damage/"
	// maxDamage bounds the register. Acknowledged entries go first; after that
	// the oldest, for what is going on now matters more.
	maxDamage = 256
	// maxDamageLost bounds the ranges of one entry; above that they are told as
	// one that covers them.
	maxDamageLost = 128
	// damageSilence is how long the next of the same kind at the same place are
	// counted and not logged.
	damageSilence = time.Minute
)

// ErrNoDamage: no entry of the register has that id.
var ErrNoDamage = errors.New("no such damage")

// register keeps all damage. It may be used from any goroutine, and is under no
// other lock.
type register struct {
	mu     sync.Mutex
	loaded bool
	next   uint64
	all    []*damageEntry // oldest first
	gone   []uint64       // rows to delete
}

type damageEntry struct {
	Damage
	dirty bool
	said  time.Time
}

// Found reports damage to what stands in the data folder beside the streams. It is
// in the register at once, and durably so if the error is nil.
func (e *Engine) Found(d Damage) error {
	e.report(d)
	if e.drain == nil {
		return nil
	}
	return e.drain.drain()
}

// Recovered reports whether there were streams in the folder when it was opened.
func (e *Engine) Recovered() bool { return e.recovered }

// report tells the operator, once, and keeps it in the register. It does not
// wait for the disk.
func (e *Engine) report(d Damage) {
	d.At = e.cfg.Now().UTC()
	d.Times = max(d.Times, 1)
	r := &e.damage
	r.mu.Lock()
	x := r.find(&d)
	grew := x == nil || len(d.Lost) > 0
	if x == nil {
		x = &damageEntry{Damage: d}
		if r.loaded {
			x.ID = r.takeID()
		}
		r.all = append(r.all, x)
		r.trim()
	} else {
		x.At, x.What = d.At, d.What
		x.Times += d.Times
		x.Lost = mergeRanges(append(x.Lost, d.Lost...), maxDamageLost)
	}
	x.dirty = true
	say := grew && d.At.Sub(x.said) >= damageSilence
	if say {
		x.said = d.At
	}
	id := x.ID
	r.mu.Unlock()
	if say {
		e.logger.Error("JetStream damage: "+d.What, d.attrs(id)...)
	}
	e.drain.kick()
}

// attrs are the parts of a log line.
func (d *Damage) attrs(id uint64) []any {
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
		a = append(a, "lost", rangesText(d.Lost))
	}
	return append(a, "do", d.Do)
}

func rangesText(ranges []edgestore.SeqRange) string {
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

// mergeRanges sorts ranges and joins those that touch; above most the last ones
// become one.
func mergeRanges(ranges []edgestore.SeqRange, most int) []edgestore.SeqRange {
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
func (r *register) find(d *Damage) *damageEntry {
	for i := len(r.all) - 1; i >= 0; i-- {
		x := r.all[i]
		if !x.Acked && x.Kind == d.Kind && x.Where == d.Where && x.Account == d.Account && x.Stream == d.Stream {
			return x
		}
	}
	return nil
}

func (r *register) takeID() uint64 {
	r.next++
	return r.next
}

func (r *register) trim() {
	for len(r.all) > maxDamage {
		i := slices.IndexFunc(r.all, func(x *damageEntry) bool { return x.Acked })
		i = max(i, 0)
		if id := r.all[i].ID; id != 0 {
			r.gone = append(r.gone, id)
		}
		r.all = slices.Delete(r.all, i, i+1)
	}
}

// load takes over the rows of the catalogue, in the order of their keys. What
// was reported before gets its id then.
func (r *register) load(rows []Damage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := make([]*damageEntry, 0, len(rows)+len(r.all))
	for _, d := range rows {
		r.next = max(r.next, d.ID)
		old = append(old, &damageEntry{Damage: d})
	}
	fresh := r.all
	r.all, r.loaded = old, true
	for _, x := range fresh {
		if known := r.find(&x.Damage); known != nil {
			known.At, known.What, known.Times = x.At, x.What, known.Times+x.Times
			known.Lost = mergeRanges(append(known.Lost, x.Lost...), maxDamageLost)
			known.dirty = true
			continue
		}
		x.ID = r.takeID()
		r.all = append(r.all, x)
	}
	r.trim()
}

func readDamageRow(key string, value []byte) (d Damage, err error) {
	if err := json.Unmarshal(value, &d); err != nil {
		return d, fmt.Errorf("catalogue: row %q: %w: %w", key, edgestore.ErrCorrupt, err)
	}
	return d, nil
}

// seal gives the rows to write.
func (r *register) seal() (aux []edgestore.Aux) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.gone {
		aux = append(aux, edgestore.Aux{Key: damageKey(id)})
	}
	r.gone = nil
	for _, x := range r.all {
		if !x.dirty || x.ID == 0 {
			continue
		}
		b, err := json.Marshal(&x.Damage)
		if err != nil {
			panic("jetstream: damage does not marshal: " + err.Error())
		}
		aux = append(aux, edgestore.Aux{Key: damageKey(x.ID), Value: b})
		x.dirty = false
	}
	return aux
}

// dirty reports whether there is anything to write.
func (r *register) dirty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.gone) > 0 || slices.ContainsFunc(r.all, func(x *damageEntry) bool { return x.dirty })
}

func damageKey(id uint64) string { return fmt.Sprintf("%s%016x", rowDamage, id) }

// Damage lists what went wrong with what is stored, oldest first; those that
// were acknowledged only with all.
func (e *Engine) Damage(all bool) []Damage {
	r := &e.damage
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Damage
	for _, x := range r.all {
		if all || !x.Acked {
			d := x.Damage
			d.Lost = slices.Clone(d.Lost)
			out = append(out, d)
		}
	}
	return out
}

// AckDamage takes an entry out of what is told, durably; id 0 takes all.
func (e *Engine) AckDamage(id uint64) error {
	r := &e.damage
	r.mu.Lock()
	found := id == 0
	for _, x := range r.all {
		if x.ID == id || id == 0 {
			found = true
			if !x.Acked {
				x.Acked, x.dirty = true, true
			}
		}
	}
	r.mu.Unlock()
	if !found {
		return fmt.Errorf("damage %d: %w", id, ErrNoDamage)
	}
	if e.drain == nil {
		return nil
	}
	return e.drain.drain()
}
