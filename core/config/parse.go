package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of the language that no honest file meets. They bound what a broken
// or hostile one costs.
const (
	maxDepth = 100       // maps, lists and includes inside each other
	maxNodes = 1_000_000 // values, counted again for each use of a variable
	maxFiles = 10_000    // that are included, counted again each time
)

// Source is where a parser gets what is not in the text.
type Source struct {
	// ReadFile reads an included file.
	ReadFile func(path string) ([]byte, error)
	// Env looks up a variable that is no key of the file.
	Env func(name string) (string, bool)
}

// parser builds the tree of one file.
type parser struct {
	scanner
	src    Source
	depth  int
	nodes  *int     // of all files together
	read   *int     // files that were included
	files  []string // the way to this one, outermost first
	env    []string // environment variables being resolved
	scopes []*Map   // enclosing maps, outermost first
}

// ParseTree reads text as a file named name. Keys are not looked at: any tree
// that follows the grammar is fine.
func ParseTree(name string, text []byte, src Source) (*Value, error) {
	var nodes, read int
	p := &parser{src: src, nodes: &nodes, read: &read, files: []string{name}}
	root, err := p.parse(name, text)
	if err != nil {
		return nil, err
	}
	return &Value{Kind: KindMap, Map: root, Pos: Position{File: name, Line: 1, Col: 1}, nodes: nodes}, nil
}

func (p *parser) open(name string, text []byte) error {
	p.scanner = scanner{file: name, text: string(text), line: 1}
	if i := strings.IndexByte(p.text, 0); i >= 0 {
		for p.pos < i {
			p.next()
		}
		return p.fail("Unexpected NUL byte: this is not a text file.")
	}
	return nil
}

func (p *parser) parse(name string, text []byte) (*Map, error) {
	if err := p.open(name, text); err != nil {
		return nil, err
	}
	root := newMap()
	p.scopes = []*Map{root}
	return root, p.top(root)
}

// top reads the file as a whole. It may stand in braces, as JSON does.
func (p *parser) top(m *Map) error {
	for open := 0; ; {
		p.gap()
		switch c := p.peek(); {
		case p.eof() && open > 0 && len(m.Entries) > 0:
			return p.fail("Unexpected EOF processing map.")
		case p.eof():
			return nil
		case c == '{':
			p.pos++
			open++
		case c == '}':
			if open == 0 && strings.Trim(p.text[p.pos+1:], " \t\r\n}") != "" {
				return p.fail("Unexpected '}'.")
			}
			p.pos++
			open = max(0, open-1)
		default:
			if err := p.entry(m, false); err != nil {
				return err
			}
			closed, err := p.endTop(open > 0)
			if err != nil {
				return err
			}
			if closed {
				open = max(0, open-1)
			}
		}
	}
}

// endTop checks what follows a value outside of maps; closed tells of a '}'.
func (p *parser) endTop(inBraces bool) (closed bool, err error) {
	p.blanks()
	switch c := p.peek(); {
	case p.eof(), c == '\n', p.atComment():
	case c == ',', c == ';':
		p.pos++
	case c == '}':
		p.pos++
		return true, nil
	default:
		level := "top"
		if inBraces {
			level = "block"
		}
		return false, p.fail("Expected a %s-level value to end with a new line, comment or EOF, but got '%s' instead.", level, p.got())
	}
	return false, nil
}

// entry reads one key with its value, or an include, into m.
func (p *parser) entry(m *Map, inMap bool) error {
	pos := p.here()
	var key string
	switch c := p.peek(); c {
	case ':', '=':
		stop := ""
		if inMap {
			stop = "."
		}
		return p.fail("Unexpected key separator '%c'%s", c, stop)
	case '"', '\'':
		pos.Col++ // a quoted key begins behind its quote
		var err error
		if key, err = p.raw(""); err != nil {
			return err
		}
	default:
		key = p.bareKey(inMap)
		if strings.EqualFold(key, "include") && (isBlank(p.peek()) || p.peek() == '\n') {
			return p.include(m)
		}
	}
	p.lines()
	sep := p.peek() == ':' || p.peek() == '='
	if sep {
		p.pos++
	}
	if err := p.beforeValue(inMap, sep); err != nil {
		return err
	}
	v, err := p.value(inMap)
	if err != nil {
		return err
	}
	m.set(key, pos, v)
	return nil
}

// beforeValue goes from the separator to the value.
func (p *parser) beforeValue(inMap, sep bool) error {
	if inMap {
		p.lines()
		if p.eof() {
			return p.fail("Unexpected EOF processing map.")
		}
		return nil
	}
	p.blanks()
	switch {
	case p.eof() && !sep:
		pos := p.here()
		return &Error{Pos: pos, Reason: fmt.Sprintf("config is invalid (%s:%d:%d)", pos.File, pos.Line, pos.Col)}
	case p.peek() == '\n':
		p.next()
		return p.fail("Expected value but found new line")
	}
	return nil
}

// include reads another file into m. That file is a world of its own: it does
// not see the variables of this one.
func (p *parser) include(m *Map) error {
	p.blanks()
	pos := p.here()
	var name string
	var err error
	switch c := p.peek(); {
	case c == '\n':
		p.next()
		return p.fail("Expected include value but found new line")
	case p.eof():
		return p.fail("Expected include value but found EOF")
	case c == '{':
		return p.fail("Expected include value but found start of a map")
	case c == '[':
		return p.fail("Expected include value but found start of an array")
	case c == '(':
		return p.fail("Expected include value but found start of a block")
	case c == '"':
		name, err = p.raw(" in double quoted include")
	case c == '\'':
		name, err = p.raw(" in quoted include")
	default:
		start := p.pos
		for c := p.peek(); !p.eof() && !isBlank(c) && c != '\n' && c != ';' && c != '}'; c = p.peek() {
			p.pos++
		}
		name = p.text[start:p.pos]
	}
	if err != nil {
		return err
	}
	return p.includeFile(m, name, pos)
}

func (p *parser) includeFile(m *Map, name string, pos Position) error {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(p.file), name)
	}
	wrap := func(at Position, reason string) error {
		return &Error{Pos: at, Reason: fmt.Sprintf("error parsing include file '%s', %s", name, reason)}
	}
	if slices.Contains(p.files, path) {
		return wrap(pos, "it is already being included")
	}
	if len(p.files) > maxDepth {
		return wrap(pos, fmt.Sprintf("includes are nested deeper than %d", maxDepth))
	}
	if *p.read++; *p.read > maxFiles {
		return &Error{Pos: pos, Reason: fmt.Sprintf("the configuration includes more than %d files", maxFiles)}
	}
	text, err := p.src.ReadFile(path)
	if err != nil {
		return wrap(pos, err.Error())
	}
	child := &parser{src: p.src, nodes: p.nodes, read: p.read, depth: p.depth, files: append(slices.Clip(p.files), path)}
	got, err := child.parse(path, text)
	if err != nil {
		e := asError(err)
		return wrap(e.Pos, e.Reason)
	}
	for _, e := range got.Entries {
		m.set(e.Key, e.Pos, e.Value)
		m.byKey[e.Key].used = m.byKey[e.Key].used || e.used
	}
	return nil
}

// asError returns the parser's own error type; it makes no others.
func asError(err error) *Error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Reason: err.Error()}
}
