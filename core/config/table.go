package config

import (
	"fmt"
	"slices"
	"strings"
)

// Status says what this version makes of a key.
type Status uint8

const (
	// Supported keys do what their help says.
	Supported Status = iota
	// NotYet keys are refused: nobody shall believe that they work.
	NotYet
	// Ignored keys are accepted with a warning: the thing they tune does not
	// exist here, and leaving it out changes nothing that one was promised.
	Ignored
)

// Reload says what a reload of the configuration makes of a changed key. For a
// block it is about switching the block on and off: its keys speak for themselves.
type Reload uint8

const (
	// Restart keys need one: a reload that would change them is refused as a whole.
	Restart Reload = iota + 1
	// Live keys are taken by a reload. What they say of connections holds for those
	// that begin after it, unless their help says more.
	Live
	// Never is for keys that are refused or have no effect: nothing changes.
	Never
)

func (r Reload) String() string {
	switch r {
	case Restart:
		return "restart"
	case Live:
		return "live"
	case Never:
		return "never"
	}
	return ""
}

// Key is one row of a table, as documentation shows it.
type Key struct {
	Name    string
	Aliases []string
	Type    string
	Default string
	Help    string
	Status  Status
	Reload  Reload
	Own     bool   // not of nats-server
	Why     string // of NotYet and Ignored
	Example string // a value that differs from the default
	// Module is whose block it is, and Build names a build that has it; both are
	// empty for what every build can do.
	Module, Build string
}

// Section is the table of one block.
type Section struct {
	Name string // the path of the block, "" for the top level
	Keys []Key
}

// field is a row that also knows how to fill in a T.
type field[T any] struct {
	Key
	set func(d *decoder, t *T, it item)
}

// block is the table of one kind of map. It is the only place that knows the
// names of its keys.
type block[T any] struct {
	fields []field[T]
	// unknown words the error for other keys; %q is the key.
	unknown string
}

const unknownField = "unknown field %q"

// item is a key with its value on the way into the options.
type item struct {
	key  string // as written
	name string // main name
	path string // dotted, with main names
	pos  Position
	v    *Value
}

// decoder collects what is found on the way.
type decoder struct {
	src       Source
	errs      Errors
	warns     []Warning
	positions map[string]Position
}

func (d *decoder) errorf(pos Position, format string, args ...any) {
	d.errs = append(d.errs, &Error{Pos: pos, Reason: fmt.Sprintf(format, args...)})
}

func (d *decoder) warnf(it item, format string, args ...any) {
	d.warns = append(d.warns, Warning{Pos: it.pos, Field: it.key, Reason: fmt.Sprintf(format, args...)})
}

// row declares a supported key: what a reload makes of it, then its main name
// and aliases, separated by blanks.
func row[T any](reload Reload, names, typ, def, help, example string, set func(*decoder, *T, item)) field[T] {
	n := strings.Fields(names)
	return field[T]{set: set, Key: Key{Name: n[0], Aliases: n[1:], Reload: reload, Type: typ, Default: def, Help: help, Example: example}}
}

// own marks a row as one that nats-server does not have.
func own[T any](f field[T]) field[T] {
	f.Own = true
	return f
}

// of marks the block of a module, and says which build has it.
func of[T any](module, build string, f field[T]) field[T] {
	f.Module, f.Build = module, build
	return f
}

// notYet declares a key that this version refuses.
func notYet[T any](names, help, why string) field[T] {
	n := strings.Fields(names)
	return field[T]{Key: Key{Name: n[0], Aliases: n[1:], Help: help, Status: NotYet, Reload: Never, Why: why}}
}

// without declares a key of nats-server that has no meaning here.
func without[T any](names, why string) field[T] {
	n := strings.Fields(names)
	return field[T]{Key: Key{Name: n[0], Aliases: n[1:], Status: Ignored, Reload: Never, Why: why}}
}

// answers reports whether the row has that name, in small letters.
func (k *Key) answers(name string) bool {
	return k.Name == name || slices.Contains(k.Aliases, name)
}

// decode puts a map into t, key by key in the order of the file, so that of
// two spellings of one key the later wins. There is one of it for each kind of
// block: what does not need T stands in the decoder.
func (b *block[T]) decode(d *decoder, t *T, path string, m *Map) {
	for _, e := range m.Entries {
		name := strings.ToLower(e.Key)
		i := 0
		for i < len(b.fields) && !b.fields[i].answers(name) {
			i++
		}
		if i == len(b.fields) {
			d.unknownKey(e, b.unknown, b.section(path))
		} else if it, ok := d.knownKey(e, &b.fields[i].Key, path); ok {
			b.fields[i].set(d, t, it)
		}
	}
}

func (d *decoder) unknownKey(e *Entry, unknown string, s Section) {
	if !e.used {
		d.errorf(e.Pos, unknown+"%s", e.Key, s.suggest(e.Key))
	}
}

// knownKey reports whether the key has something to set.
func (d *decoder) knownKey(e *Entry, k *Key, path string) (item, bool) {
	it := item{key: e.Key, name: k.Name, path: join(path, k.Name), pos: e.Pos, v: e.Value}
	d.positions[it.path] = e.Pos
	switch k.Status {
	case NotYet:
		d.errorf(e.Pos, "%q is not supported yet by this version of frond%s", e.Key, because(k.Why))
	case Ignored:
		d.warns = append(d.warns, Warning{Pos: e.Pos, Field: e.Key, Reason: k.Why, Ignored: true})
	}
	return it, k.Status == Supported
}

// decodeMap is decode for a value that must be a map.
func (b *block[T]) decodeMap(d *decoder, t *T, it item) bool {
	if it.v.Kind != KindMap {
		d.errorf(it.pos, "%q must be a map, got %s", it.key, it.v.Kind)
		return false
	}
	b.decode(d, t, it.path, it.v.Map)
	return true
}

func (b *block[T]) section(name string) Section {
	s := Section{Name: name}
	for _, f := range b.fields {
		s.Keys = append(s.Keys, f.Key)
	}
	return s
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// suggest finds the known name nearest to a wrong one.
func (s *Section) suggest(key string) string {
	var names []string
	for i := range s.Keys {
		names = append(append(names, s.Keys[i].Name), s.Keys[i].Aliases...)
	}
	best := Near(key, names)
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// Near is the one of names that key was probably meant to be, or "".
func Near(key string, names []string) string {
	key = strings.ToLower(key)
	best, bestDist := "", min(len(key)/4, 2)+2 // farther than that is a guess
	if len(key) < 5 {
		bestDist = 2
	}
	for _, name := range names {
		if d := editDistance(key, name); d < bestDist {
			best, bestDist = name, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions and replacements between two
// words, and an exchange of neighbours as one.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
