package config

import (
	"fmt"
	"slices"
	"strings"
)

// value reads any value. inMap only matters for messages.
func (p *parser) value(inMap bool) (*Value, error) {
	pos := p.here()
	var v *Value
	var err error
	switch c := p.peek(); {
	case p.function() > 0:
		v, err = p.bare()
	case c == '{':
		v, err = p.nested(p.mapValue)
	case c == '[':
		v, err = p.nested(p.list)
	case c == '"':
		v, err = stringValue(p.quoted())
	case c == '\'':
		v, err = stringValue(p.raw(""))
	case c == '(':
		v, err = stringValue(p.block())
	case c == '-' || isDigit(c):
		v, err = p.number()
	case c == '.':
		return nil, p.fail("Floats must start with a digit")
	case inMap && (c == ',' || c == '}' || c == ';'):
		return nil, p.fail(`Unexpected map value terminator "%c".`, c)
	default:
		v, err = p.bare()
	}
	if err != nil {
		return nil, err
	}
	v.Pos = pos
	if *p.nodes++; *p.nodes > maxNodes {
		return nil, &Error{Pos: pos, Reason: fmt.Sprintf("the configuration has more than %d values", maxNodes)}
	}
	return v, nil
}

func stringValue(s string, err error) (*Value, error) {
	return &Value{Kind: KindString, Str: s, nodes: 1}, err
}

func (p *parser) nested(f func() (*Value, error)) (*Value, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("Values are nested deeper than %d.", maxDepth)
	}
	defer func() { p.depth-- }()
	p.pos++
	return f()
}

func (p *parser) mapValue() (*Value, error) {
	m := newMap()
	p.scopes = append(p.scopes, m)
	defer func() { p.scopes = p.scopes[:len(p.scopes)-1] }()
	for {
		p.gap()
		switch {
		case p.eof():
			return nil, p.fail("Unexpected EOF processing map.")
		case p.peek() == '}':
			p.pos++
			v := &Value{Kind: KindMap, Map: m, nodes: 1}
			for _, e := range m.Entries {
				v.nodes += e.Value.nodes
			}
			return v, nil
		}
		if err := p.entry(m, true); err != nil {
			return nil, err
		}
		p.blanks()
		switch c := p.peek(); {
		case c == ',' || c == ';':
			p.pos++
		case p.eof(), c == '\n', c == '}', p.atComment():
		default:
			return nil, p.fail(`Expected a map value terminator "," or a map terminator "}", but got '%s' instead.`, p.got())
		}
	}
}

func (p *parser) list() (*Value, error) {
	v := &Value{Kind: KindList, nodes: 1}
	for {
		p.gap()
		switch c := p.peek(); {
		case c == ']':
			p.pos++
			return v, nil
		case c == ',':
			return nil, p.fail("Unexpected array value terminator ','.")
		case p.eof(), c == ';', c == '}':
			return nil, p.badListEnd()
		}
		x, err := p.value(false)
		if err != nil {
			return nil, err
		}
		v.List = append(v.List, x)
		v.nodes += x.nodes
		p.blanks()
		switch c := p.peek(); {
		case c == ',':
			p.pos++
		case c == ']', c == '\n', p.atComment():
		default:
			return nil, p.badListEnd()
		}
	}
}

func (p *parser) badListEnd() error {
	return p.fail(`Expected an array value terminator "," or an array terminator "]", but got '%s' instead.`, p.got())
}

// bare reads a word: a boolean, a variable or a string.
func (p *parser) bare() (*Value, error) {
	pos := p.here()
	w, err := p.word()
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(w) {
	case "true", "yes", "on":
		return &Value{Kind: KindBool, Bool: true, nodes: 1}, nil
	case "false", "no", "off":
		return &Value{Kind: KindBool, nodes: 1}, nil
	}
	// "$2a$" begins a bcrypt hash, the one that needs no quotes.
	if strings.HasPrefix(w, "$") && !strings.HasPrefix(w, "$2a$") {
		return p.variable(w[1:], pos)
	}
	return stringValue(w, nil)
}

// variable finds a key defined before in this or an enclosing map, or else an
// environment variable, whose text is a value in this language.
func (p *parser) variable(name string, pos Position) (*Value, error) {
	for _, m := range slices.Backward(p.scopes) {
		if e := m.Get(name); e != nil {
			e.used = true
			v := *e.Value
			*p.nodes += v.nodes - 1
			return &v, nil
		}
	}
	if slices.Contains(p.env, name) {
		return nil, &Error{Pos: pos, Reason: fmt.Sprintf("variable reference cycle for '%s'", name)}
	}
	text, ok := p.src.Env(name)
	if !ok {
		return nil, &Error{Pos: pos, Reason: fmt.Sprintf("variable reference for '%s' on line %d can not be found", name, pos.Line)}
	}
	v, err := p.envValue(name, text)
	if err != nil {
		return nil, &Error{Pos: pos, Reason: fmt.Sprintf("variable reference for '%s' on line %d could not be parsed: %s", name, pos.Line, asError(err).Reason)}
	}
	return v, nil
}

func (p *parser) envValue(name, text string) (*Value, error) {
	child := &parser{
		src:   p.src,
		depth: p.depth,
		nodes: p.nodes,
		read:  p.read,
		files: p.files,
		env:   append(slices.Clip(p.env), name),
	}
	if err := child.open("$"+name, []byte(text)); err != nil {
		return nil, err
	}
	child.blanks()
	v, err := child.value(false)
	if err != nil {
		return nil, err
	}
	if _, err := child.endTop(false); err != nil {
		return nil, err
	}
	if child.gap(); !child.eof() {
		return nil, &Error{Pos: child.here(), Reason: "config is invalid"}
	}
	return v, nil
}
