package subject

// node is one token of the interest trie. The wildcards have their own fields,
// so that a published token "*" finds only wildcard subscriptions. Most nodes are
// leaves with one value, of which there may be very many: what those do not need is
// behind a pointer.
type node[T comparable] struct {
	children *edges[T] // nil: none
	star     *node[T]
	tail     *node[T] // a leaf: nothing stands behind ">"
	plain    set[T]
	queues   *[]queue[T] // nil: none
}

type queue[T comparable] struct {
	name    string
	members set[T]
}

func (n *node[T]) empty() bool {
	return n.children == nil && n.star == nil && n.tail == nil &&
		len(n.plain.items) == 0 && n.queues == nil
}

// groups are the queue groups.
func (n *node[T]) groups() []queue[T] {
	if n.queues == nil {
		return nil
	}
	return *n.queues
}

func (n *node[T]) child(token string, last bool) *node[T] {
	switch {
	case token == "*":
		return n.star
	case token == ">" && last:
		return n.tail
	}
	return findEdge(n.children, token)
}

func (n *node[T]) addChild(token string, last bool) *node[T] {
	c := new(node[T])
	switch {
	case token == "*":
		n.star = c
	case token == ">" && last:
		n.tail = c
	default:
		if n.children == nil {
			n.children = new(edges[T])
		}
		n.children.add(token, c)
	}
	return c
}

func (n *node[T]) removeChild(token string, last bool) {
	switch {
	case token == "*":
		n.star = nil
	case token == ">" && last:
		n.tail = nil
	default:
		if n.children.remove(token); n.children.len() == 0 {
			n.children = nil
		}
	}
}

// insert puts v below n; rest is the pattern from this node on.
func (n *node[T]) insert(pattern, queueName string, v T) (added, first bool) {
	for from := 0; ; {
		to := tokenEnd(pattern, from)
		token, last := pattern[from:to], to == len(pattern)
		c := n.child(token, last)
		if c == nil {
			c = n.addChild(token, last)
		}
		n = c
		if last {
			break
		}
		from = to + 1
	}
	s := &n.plain
	if queueName != "" {
		s = n.queue(queueName)
		if s == nil {
			all := append(n.groups(), queue[T]{name: queueName})
			n.queues = &all
			s = &all[len(all)-1].members
		}
	}
	added = s.add(v)
	return added, added && len(s.items) == 1
}

func (n *node[T]) queue(name string) *set[T] {
	all := n.groups()
	for i := range all {
		if all[i].name == name {
			return &all[i].members
		}
	}
	return nil
}

// remove takes v away and prunes the nodes that hold nothing any more.
func (n *node[T]) remove(pattern, queueName string, v T) (last, ok bool) {
	to := tokenEnd(pattern, 0)
	if to < len(pattern) {
		c := n.child(pattern[:to], false)
		if c == nil {
			return false, false
		}
		last, ok = c.remove(pattern[to+1:], queueName, v)
		if c.empty() {
			n.removeChild(pattern[:to], false)
		}
		return last, ok
	}
	c := n.child(pattern, true)
	if c == nil {
		return false, false
	}
	last, ok = c.removeHere(queueName, v)
	if c.empty() {
		n.removeChild(pattern, true)
	}
	return last, ok
}

func (n *node[T]) removeHere(queueName string, v T) (last, ok bool) {
	if queueName == "" {
		ok = n.plain.remove(v)
		return ok && len(n.plain.items) == 0, ok
	}
	all := n.groups()
	for i := range all {
		q := &all[i]
		if q.name != queueName {
			continue
		}
		ok = q.members.remove(v)
		if last = ok && len(q.members.items) == 0; last {
			end := len(all) - 1
			all[i] = all[end]
			all[end] = queue[T]{}
			if *n.queues = all[:end]; end == 0 {
				n.queues = nil
			}
		}
		return last, ok
	}
	return false, false
}

// visit calls f with every node whose pattern matches subject, until f says
// stop. The subject must be well-formed.
func (n *node[T]) visit(subject []byte, f func(*node[T]) (stop bool)) (stopped bool) {
	for {
		if n.tail != nil && f(n.tail) {
			return true
		}
		to := tokenEnd(subject, 0)
		if to == len(subject) {
			if n.star != nil && f(n.star) {
				return true
			}
			c := findEdge(n.children, subject)
			return c != nil && f(c)
		}
		if n.star != nil && n.star.visit(subject[to+1:], f) {
			return true
		}
		c := findEdge(n.children, subject[:to])
		if c == nil {
			return false
		}
		n, subject = c, subject[to+1:]
	}
}

// each calls f with every pattern and queue below n.
func (n *node[T]) each(prefix string, f func(pattern, queue string, members []T)) {
	if len(n.plain.items) > 0 {
		f(prefix, "", n.plain.items)
	}
	for _, q := range n.groups() {
		f(prefix, q.name, q.members.items)
	}
	if prefix != "" {
		prefix += "."
	}
	if n.star != nil {
		n.star.each(prefix+"*", f)
	}
	if n.tail != nil {
		n.tail.each(prefix+">", f)
	}
	if n.children != nil {
		n.children.each(func(token string, c *node[T]) { c.each(prefix+token, f) })
	}
}

// set keeps values in a slice, because matching copies them, and finds them by
// scanning while they are few. Above setScan it also keeps where each one is:
// ten thousand devices on one subject must not pay ten thousand steps each when
// they leave.
type set[T comparable] struct {
	items []T
	where map[T]int
}

const setScan = 32

func (s *set[T]) find(v T) int {
	if s.where != nil {
		if i, ok := s.where[v]; ok {
			return i
		}
		return -1
	}
	for i := range s.items {
		if s.items[i] == v {
			return i
		}
	}
	return -1
}

func (s *set[T]) add(v T) bool {
	if s.find(v) >= 0 {
		return false
	}
	s.items = append(s.items, v)
	switch {
	case s.where != nil:
		s.where[v] = len(s.items) - 1
	case len(s.items) > setScan:
		s.where = make(map[T]int, 2*setScan)
		for i, v := range s.items {
			s.where[v] = i
		}
	}
	return true
}

func (s *set[T]) remove(v T) bool {
	i := s.find(v)
	if i < 0 {
		return false
	}
	end := len(s.items) - 1
	s.items[i] = s.items[end]
	var zero T
	s.items[end] = zero
	s.items = s.items[:end]
	if s.where != nil {
		delete(s.where, v)
		if i < end {
			s.where[s.items[i]] = i
		}
		if end <= setScan/2 {
			s.where = nil
		}
	}
	if end == 0 {
		s.items = nil
	}
	return true
}
