package subject

// edges are the literal children of a trie node. Most nodes have one or two,
// for which a map costs ten times the memory and the time to make; a node with
// one child for each device has thousands.
type edges[T comparable] struct {
	few  []edge[T]
	many map[string]*node[T] // instead of few
}

type edge[T comparable] struct {
	token string
	node  *node[T]
}

// fewEdges is up to how many children are found by comparing.
const fewEdges = 6

func (e *edges[T]) len() int { return len(e.few) + len(e.many) }

func findEdge[T comparable, S Text](e *edges[T], token S) *node[T] {
	if e == nil {
		return nil
	}
	if e.many != nil {
		return e.many[string(token)]
	}
	for i := range e.few {
		if e.few[i].token == string(token) {
			return e.few[i].node
		}
	}
	return nil
}

// add puts a child that is not there.
func (e *edges[T]) add(token string, n *node[T]) {
	if e.many == nil && len(e.few) < fewEdges {
		e.few = append(e.few, edge[T]{token, n})
		return
	}
	if e.many == nil {
		e.many = make(map[string]*node[T], 2*fewEdges)
		for _, f := range e.few {
			e.many[f.token] = f.node
		}
		e.few = nil
	}
	e.many[token] = n
}

func (e *edges[T]) remove(token string) {
	if e.many != nil {
		delete(e.many, token)
		// Well below the limit, so that a child that comes and goes does not
		// turn one form into the other each time.
		if len(e.many) <= fewEdges/2 {
			for token, n := range e.many {
				e.few = append(e.few, edge[T]{token, n})
			}
			e.many = nil
		}
		return
	}
	for i := range e.few {
		if e.few[i].token != token {
			continue
		}
		end := len(e.few) - 1
		e.few[i] = e.few[end]
		e.few[end] = edge[T]{}
		if e.few = e.few[:end]; end == 0 {
			e.few = nil
		}
		return
	}
}

func (e *edges[T]) each(f func(token string, n *node[T])) {
	for i := range e.few {
		f(e.few[i].token, e.few[i].node)
	}
	for token, n := range e.many {
		f(token, n)
	}
}
