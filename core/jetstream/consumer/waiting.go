package consumer

// request is a pull request that waits for messages.
type request struct {
	reply    []byte
	n        int // messages wanted
	bytes    int // room left, when limited
	limited  bool
	noWait   bool
	gave     int   // messages delivered
	expires  int64 // 0: never
	interval int64 // of heartbeats, 0: none
	beatAt   int64
	arrived  int64
	heard    bool // there was interest in the reply: without, the client is gone
	// holdUntil keeps a request out while interest in its reply may still be
	// on its way through a link.
	holdUntil int64

	priority                  int
	minPending, minAckPending int64
	id                        []byte

	prev, next *request
}

// ends reports whether the request is over when there is nothing for it.
func (r *request) ends() bool { return r.noWait && (r.expires == 0 || r.gave > 0) }

// waiting is the queue of pull requests: round-robin, and by priority where the
// policy says so. Requests are reused.
type waiting struct {
	head, tail *request
	free       *request
	n          int
	wanted     int   // the sum of what is wanted
	dueAt      int64 // lower bound of the next expiry, heartbeat or hold; 0 none
}

func (w *waiting) take() *request {
	r := w.free
	if r == nil {
		return &request{}
	}
	w.free = r.next
	*r = request{reply: r.reply[:0], id: r.id[:0]}
	return r
}

// add puts r behind all requests of its priority; a lower number goes first.
func (w *waiting) add(r *request) {
	at := w.tail
	for at != nil && at.priority > r.priority {
		at = at.prev
	}
	r.prev = at
	if at == nil {
		r.next, w.head = w.head, r
	} else {
		r.next, at.next = at.next, r
	}
	if r.next == nil {
		w.tail = r
	} else {
		r.next.prev = r
	}
	w.n++
	w.wanted += max(r.n, 0)
	w.due(r)
}

func (w *waiting) unlink(r *request) {
	if r.prev == nil {
		w.head = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		w.tail = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
	w.n--
	w.wanted -= max(r.n, 0)
}

// drop takes r out for good. It may be reused by the next take.
func (w *waiting) drop(r *request) {
	w.unlink(r)
	r.next, w.free = w.free, r
	if w.n == 0 {
		w.dueAt = 0
	}
}

// revive takes back the last drop, so that r can be added again.
func (w *waiting) revive(r *request) {
	if w.free != r {
		panic("consumer: the request to revive was not the last to go")
	}
	w.free = r.next
	r.next = nil
}

func (w *waiting) rotate(r *request) {
	if r == w.tail {
		w.due(r)
		return
	}
	w.unlink(r)
	w.add(r)
}

func (w *waiting) due(r *request) {
	for _, at := range [...]int64{r.expires, r.beatAt, r.holdUntil} {
		if at != 0 && (w.dueAt == 0 || at < w.dueAt) {
			w.dueAt = at
		}
	}
}
