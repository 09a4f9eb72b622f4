package config

import "time"

// Kind is the type of a value as it stands in a file.
type Kind uint8

const (
	KindString Kind = iota
	KindInt
	KindFloat
	KindBool
	KindTime
	KindList
	KindMap
)

// String is the name used in messages, with its article.
func (k Kind) String() string {
	return [...]string{"a string", "an integer", "a float", "a boolean", "a date", "a list", "a map"}[k]
}

// Value is one node of the parsed tree, with variables already put in. The
// field for its Kind is the one to read.
type Value struct {
	Kind  Kind
	Str   string
	Int   int64
	Float float64
	Bool  bool
	Time  time.Time
	List  []*Value
	Map   *Map
	// Pos is where the value begins, for a variable where it is used.
	Pos Position

	// nodes counts this value and all below it, so that variables that
	// contain variables cannot grow without end.
	nodes int
}

// Map keeps the keys in the order of the file.
type Map struct {
	Entries []*Entry
	byKey   map[string]*Entry
}

// Entry is one key of a map. Keys stay as written.
type Entry struct {
	Key   string
	Pos   Position
	Value *Value
	// used marks a key that a variable referred to: it may be anything.
	used bool
}

func newMap() *Map { return &Map{byKey: make(map[string]*Entry)} }

// Get finds a key as written, or returns nil.
func (m *Map) Get(key string) *Entry { return m.byKey[key] }

// set adds the key. When it is there already the last one wins.
func (m *Map) set(key string, pos Position, v *Value) {
	if e := m.byKey[key]; e != nil {
		e.Pos, e.Value = pos, v
		return
	}
	e := &Entry{Key: key, Pos: pos, Value: v}
	m.Entries = append(m.Entries, e)
	m.byKey[key] = e
}

// plain turns the tree into what encoding/json knows.
func (v *Value) plain() any {
	switch v.Kind {
	case KindInt:
		return v.Int
	case KindFloat:
		return v.Float
	case KindBool:
		return v.Bool
	case KindTime:
		return v.Time
	case KindList:
		l := make([]any, len(v.List))
		for i, x := range v.List {
			l[i] = x.plain()
		}
		return l
	case KindMap:
		m := make(map[string]any, len(v.Map.Entries))
		for _, e := range v.Map.Entries {
			m[e.Key] = e.Value.plain()
		}
		return m
	default:
		return v.Str
	}
}
