package jetstream

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/edgestore"
)

// twinsLocal are the fields of the state of an engine that are not of the group:
// two servers that have applied the same may have something else there. Every
// other field changes what they are compared by.
var twinsLocal = map[string]string{
	// Of the server, or fixed by what is compared.
	"stream.e": "the engine", "stream.acct": "compared by its name", "stream.chain": "where the log counts on: the leader's",
	"stream.watch": "of its disk", "stream.head": "of a recovery", "stream.mu": "a lock", "stream.store": "compared message by message",
	"stream.memory": "streams in memory are not compared",
	// Where this server stands in its own log and its own files.
	"stream.applied": "an LSN", "stream.skipUpTo": "an LSN", "stream.dirtyFrom": "an LSN", "stream.stoppedAt": "an LSN",
	"stream.auxDirty": "what its files lack", "stream.identified": "what its files lack", "stream.sealed": "what its files lack",
	"stream.states": "of a recovery", "stream.wounded": "of a recovery", "stream.guessed": "of an operation", "stream.wounds": "of a recovery",
	"stream.failed": "it applies nothing more", "stream.stopped": "it applies nothing more",
	// What a leader does.
	"stream.role": "", "stream.notes": "not logged yet: noted is compared", "stream.unsure": "", "stream.held": "", "stream.bound": "",
	"stream.idRoom": "", "stream.idsFull": "", "stream.expiring": "", "stream.moving": "", "stream.busStale": "", "stream.leave": "", "stream.parted": "", "stream.line": "of the server", "stream.sweepAgain": "",
	"stream.sweeping": "", "stream.putOffSaid": "", "stream.refusedSaid": "", "stream.releasing": "", "stream.changes": "", "stream.attached": "",
	"stream.releases": "who is about to log",
	"stream.direct":   "", "stream.origins": "", "stream.volatiles": "of consumers that no log knows",
	"stream.mirrored": "a copy of clock.mirrored",
	"stream.agedUpTo": "a hint for the leader, which the operation carries", "stream.deleted": "then it is in no list",
	// What is made of the rest.
	"stream.subjects": "strings", "stream.in": "of the operation being applied", "stream.fx": "of the operation being applied",
	"streamView.transform": "of cfg", "streamView.republish": "of cfg", "streamView.ackPrefix": "of cfg", "streamView.maxMsg": "of cfg",

	"dedup.key": "of the hashes here", "dedup.sealed": "in rows", "dedup.rows": "in its files", "dedup.nextRow": "in its files", "dedup.gone": "in its files",
	"dedup.runs": "compared with the ids in memory", "dedup.nextRun": "in its files", "dedup.named": "", "dedup.retired": "", "dedup.retiring": "",
	"freshIDs.slots": "an index", "freshIDs.clashes": "an index", "freshIDs.weight": "memory", "freshIDs.end": "a number of this server",
	"freshIDs.first": "a number of this server", "idChunk.dropped": "a number of this server", "freshID.hash": "by key", "freshID.off": "in data", "freshID.n": "in data",

	"expiries.slots": "the same as heap", "expiries.neversDirty": "what its files lack", "expiries.gone": "what its files lack",
	"expirySlot.next": "of entries", "expirySlot.n": "of entries", "expirySlot.last": "of entries", "expirySlot.dirty": "what its files lack", "expirySlot.written": "what its files lack",

	"clockState.dirty": "what its files lack",

	"consumers.s": "the stream", "consumers.byID": "an index", "consumers.list": "an index", "consumers.gone": "what its files lack", "consumers.forgotten": "to be logged by the leader",
	"consumers.changed": "what its catalogue lacks", "consumers.missed": "of a recovery", "consumers.events": "for the consumers of a leader", "consumers.compact": "for the consumers of a leader",

	"member.s": "the stream", "member.e": "the engine", "member.name": "compared as the key", "member.volatile": "no log knows it",
	"member.current": "cfg", "member.deleted": "then it is in no list", "member.ending": "", "member.bounded": "", "member.queued": "", "member.timer": "", "member.box": "", "member.mu": "", "member.fx": "",
	"member.role": "", "member.replayed": "", "member.floorBefore": "", "member.unread": "", "member.recountAt": "", "member.unreadSaid": "",
	"member.inLog": "of a leader: what followers have", "member.inLogNumber": "of a leader: what followers have",
	"member.taken": "", "member.recount": "", "member.buf": "", "member.hdr": "", "member.shown": "",
	"member.msg": "", "member.acked": "", "member.bus": "",
	"deltaLog.sealed": "what its files have", "deltaLog.dirty": "what its files lack", "deltaLog.behind": "of a recovery", "deltaLog.unsent": "not logged yet",
	"deltaLog.spare": "", "deltaLog.answers": "",

	"state.before": "of a delivery under way", "pending.index": "an index", "pending.free": "room", "pending.head": "of the list", "pending.tail": "of the list", "pending.again": "a count of the list",
	"entry.delayed": "a timer", "entry.queued": "a timer", "entry.place": "a timer", "entry.deadline": "a timer", "entry.heapAt": "a timer", "entry.prev": "of the list", "entry.next": "of the list",

	"catalogue.applied": "an LSN", "catalogue.dirtyFrom": "an LSN", "catalogue.skipUpTo": "an LSN", "catalogue.changed": "what its files lack", "catalogue.trash": "its files",
	"catalogue.gone": "its files", "catalogue.rebuilt": "of a recovery", "catalogue.adopted": "of a recovery", "catalogue.heads": "of its files", "catalogue.rows": "what its files lack",
	"catalogue.buried": "its files", "catalogue.clockDirty": "what its files lack", "catalogue.started": "of its journal",
	"shift.top": "follows from the others",
}

// fieldsOf tries every field of state structs, one at a time: what differs is to
// be noticed. Only structs of these types are looked into, so that it comes to an
// end.
type fieldsOf struct {
	t       *testing.T
	types   map[reflect.Type]bool
	local   map[string]string
	seen    func() []string // what states are compared by
	want    string
	fields  map[string]bool // met; true: a change of it was noticed
	left    int             // tries
	skipped map[string]bool
}

// panicked stands for a state that can't be told.
const panicked = "it panicked"

func (x *fieldsOf) hash() (h string) {
	defer func() {
		if recover() != nil {
			h = panicked
		}
	}()
	return hashOf(x.seen())
}

// try changes something and takes it back.
func (x *fieldsOf) try(name string, do, undo func()) {
	if x.left--; x.left < 0 {
		x.t.Fatalf("too many fields, the last is %s", name)
	}
	do()
	differs := x.hash() != x.want
	undo()
	x.fields[name] = x.fields[name] || differs
}

// walk tries the fields of a struct. sync is called behind each change: what is
// walked may be a copy.
func (x *fieldsOf) walk(v reflect.Value, sync func()) {
	for i := range v.NumField() {
		name := v.Type().Name() + "." + v.Type().Field(i).Name
		if _, ok := x.local[name]; ok {
			x.skipped[name] = true
			continue
		}
		if _, met := x.fields[name]; !met {
			x.fields[name] = false
		}
		if f := v.Field(i); !x.fields[name] || x.types[under(f.Type())] {
			x.visit(name, reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem(), sync)
		}
	}
}

// under is what a pointer, slice, array or map leads to.
func under(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}

func (x *fieldsOf) visit(name string, v reflect.Value, sync func()) {
	set := func(change func()) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		x.try(name, func() { change(); sync() }, func() { v.Set(old); sync() })
	}
	switch v.Kind() {
	case reflect.Bool:
		set(func() { v.SetBool(!v.Bool()) })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		set(func() { v.SetInt(v.Int() + 1) })
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		set(func() { v.SetUint(v.Uint() + 1) })
	case reflect.String:
		set(func() { v.SetString(v.String() + "x") })
	case reflect.Struct:
		x.struc(name, v, sync)
	case reflect.Pointer:
		if !v.IsNil() {
			x.visit(name, v.Elem(), sync)
		}
	case reflect.Array:
		x.visit(name, v.Index(0), sync)
	case reflect.Slice:
		if v.Len() > 0 {
			set(func() { v.Set(v.Slice(0, v.Len()-1)) })
			x.visit(name, v.Index(v.Len()-1), sync)
		}
	case reflect.Map:
		x.mapped(name, v, sync)
	default:
		x.t.Errorf("%s is a %v: why is it not of the group?", name, v.Type())
	}
}

func (x *fieldsOf) struc(name string, v reflect.Value, sync func()) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		at := v.Addr().Interface().(*time.Time)
		old := *at
		x.try(name, func() { *at = old.Add(time.Second); sync() }, func() { *at = old; sync() })
	case x.types[v.Type()]:
		x.fields[name] = true // by its own fields
		x.walk(v, sync)
	default:
		x.t.Errorf("%s is a %v: why is it not of the group?", name, v.Type())
	}
}

func (x *fieldsOf) mapped(name string, v reflect.Value, sync func()) {
	if v.Len() == 0 {
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	old := v.MapIndex(keys[0])
	x.try(name, func() { v.SetMapIndex(keys[0], reflect.Value{}); sync() }, func() { v.SetMapIndex(keys[0], old); sync() })
	for _, key := range keys[:min(len(keys), 4)] {
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(v.MapIndex(key))
		if value.Kind() == reflect.Struct && value.NumField() == 0 {
			continue
		}
		x.visit(name, value, func() { v.SetMapIndex(key, value); sync() })
	}
}

// unnoticed are the fields that nothing went by.
func (x *fieldsOf) unnoticed() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(x.fields)) {
		if !x.fields[name] {
			names = append(names, name)
		}
	}
	return names
}

// fill gives pointers, slices and maps something to change.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(in2026))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), depth-1)
		}
	case reflect.Pointer:
		if v.IsNil() && depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth-1)
		}
	case reflect.Slice:
		if v.Len() == 0 && depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), depth-1)
		}
	case reflect.Map:
		if v.Len() == 0 {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf("k").Convert(v.Type().Key()), reflect.Zero(v.Type().Elem()))
		}
	}
}

func typesOf(list ...any) map[reflect.Type]bool {
	m := make(map[reflect.Type]bool)
	for _, v := range list {
		m[reflect.TypeOf(v)] = true
	}
	return m
}

// Every field of the state of an engine counts when two are compared, but those
// that are local for a reason. So a new one is one or the other.
func TestTwins_compareEveryField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTwins(t, 3)
		x.g.refuse = 0
		x.everything()
		for n := range 20 {
			x.step(10 + n%10)
		}
		mustStream(t, x.w.b, "name=FIELDS subjects=[fields] allow_msg_ttl duplicate_window=1h")
		mustConsumer(t, x.w.b, "FIELDS", "c", "durable_name=c ack_policy=explicit ack_wait=1h")
		for i, ttl := range []string{"3600", "3601", "never"} {
			x.put("fields", "x", hdrTTL, ttl, hdrMsgID, fmt.Sprint(i))
		}
		in := x.w.b.pull(t, "FIELDS.c", "batch=2 no_wait") // and they are not acknowledged
		in.next()
		in.next()
		in.stop()
		x.settle()
		x.compare()
		x.follow.stop(false)
		x.follow.open(x.g)
		x.follow.give(x.rnd, x.g.committed())
		e := x.follow.e // nothing runs in it
		richer(e)
		machine := reflect.TypeFor[consumer.Machine]()
		st, _ := machine.FieldByName("st")
		f := &fieldsOf{t: t, local: twinsLocal, left: 20_000, fields: make(map[string]bool), skipped: make(map[string]bool),
			seen: func() []string { return stateOf(e) },
			types: typesOf(catalogue{}, timetable{}, shift{}, move{}, machineRun{}, edgestore.Chain{}, edgestore.Stamp{},
				stream{}, position{}, api.LostInfo{}, dedup{}, idClock{}, freshIDs{}, idChunk{}, freshID{},
				expiries{}, expirySlot{}, clockState{}, arrival{}, consumers{}, member{}, deltaLog{}, consumer.SeqPair{}),
		}
		f.types[st.Type] = true
		pending, _ := st.Type.FieldByName("pending")
		f.types[pending.Type] = true
		slots, _ := pending.Type.FieldByName("slots")
		f.types[slots.Type.Elem()] = true
		f.types[machine] = true
		for i := range machine.NumField() {
			if name := machine.Field(i).Name; name != "st" && name != "replayEnd" {
				f.local["Machine."+name] = "of a leader, or of its configuration"
			}
		}
		f.local["stream.view"] = "its configuration has a test of its own"
		f.local["member.cfg"], f.local["deltaLog.logged"] = "its configuration has a test of its own", "of its configuration"
		f.want = f.hash()
		if f.want == panicked {
			t.Fatal("the state can't be told")
		}
		f.walk(reflect.ValueOf(&e.mu.cat).Elem(), func() {})
		for _, s := range e.allStreams() {
			if !s.memory {
				f.walk(reflect.ValueOf(s).Elem(), func() {})
			}
		}
		if f.hash() != f.want {
			t.Error("something was not taken back")
		}
		if names := f.unnoticed(); len(names) > 0 {
			t.Errorf("of these fields a change is not noticed, and no reason is told for it: %q", names)
		}
		if len(f.fields) < 80 {
			t.Errorf("only %d fields were met: %q", len(f.fields), slices.Sorted(maps.Keys(f.fields)))
		}
		for name := range twinsLocal {
			if owner, _, _ := strings.Cut(name, "."); !f.skipped[name] && owner != "streamView" {
				t.Errorf("there is no field %s, which is said to be local", name)
			}
		}
		t.Logf("%d fields, %d tries", len(f.fields), 20_000-f.left)
	})
}

// richer gives a follower what the operations of the twins seldom leave.
func richer(e *Engine) {
	e.mu.cat.clock.shifts = append(e.mu.cat.clock.shifts, shift{from: 1, end: 2, by: 3})
	e.mu.cat.clock.moves = append(e.mu.cat.clock.moves, move{1, 2, 1})
	for _, s := range e.allStreams() {
		if s.memory {
			continue
		}
		s.lastMsgID = append(s.lastMsgID, 'x')
		s.clock.arrivals = append(s.clock.arrivals, arrival{1, 2})
		s.setPosition("somewhere", position{1, "id", api.LostInfo{Msgs: 1, LastSeq: 1, Reason: "x"}})
		for _, m := range s.consumers.byName {
			st := reflect.ValueOf(m.m).Elem().FieldByName("st")
			for field, value := range map[string]any{"exhausted": map[uint64]uint32{3: 2}, "ahead": map[uint64]struct{}{5: {}}, "list": []uint64{1, 4}} {
				f := st.FieldByName(field)
				reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(value))
			}
		}
	}
}

// Every field of a configuration is in what is logged and compared of it.
func TestTwins_compareEveryFieldOfAConfiguration(t *testing.T) {
	stream, cons := new(asset.StreamConfig), new(consumer.Config)
	fill(reflect.ValueOf(stream).Elem(), 6)
	fill(reflect.ValueOf(cons).Elem(), 6)
	for name, c := range map[string]struct {
		v     reflect.Value
		seen  func() []string
		local map[string]string
	}{
		"stream":   {reflect.ValueOf(stream).Elem(), func() []string { return []string{string(asset.Encode(stream))} }, nil},
		"consumer": {reflect.ValueOf(cons).Elem(), func() []string { return []string{string(cons.Encode())} }, nil},
	} {
		f := &fieldsOf{t: t, local: c.local, left: 2000, fields: make(map[string]bool), skipped: make(map[string]bool), seen: c.seen,
			types: typesOf(asset.StreamConfig{}, asset.Placement{}, asset.StreamSource{}, asset.ExternalStream{}, asset.SourceConsumer{}, asset.SubjectTransform{}, asset.Republish{}, asset.ConsumerLimits{}, consumer.Config{}),
		}
		f.want = f.hash()
		f.walk(c.v, func() {})
		if names := f.unnoticed(); len(names) > 0 {
			t.Errorf("%s: of these fields a change is not noticed: %q", name, names)
		}
	}
}
