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

	links          // among all that wait
	isEnding bool  // it is among those that end when there is nothing
	ending   links // there
}

// ends reports whether the request is over when there is nothing for it.
func (r *request) ends() bool { return r.noWait && (r.expires == 0 || r.gave > 0) }

// waiting is the queue of pull requests: round-robin, and by priority where the
// policy says so. Requests are reused. A delivery must not look at all of them,
// for there may be very many: whoever is behind a request of its priority, and who
// ends when there is nothing, is known.
type waiting struct {
	list
	last   [priorities]*request // of each priority
	ends   list                 // those that end when there is nothing, in the order in which they came to that
	free   *request
	n      int
	wanted int   // the sum of what is wanted
	dueAt  int64 // lower bound of the next expiry, heartbeat or hold; 0 none
	restAt int64 // nothing is done about what is due before that
}

// list is one of requests, and links are where a request is in it. A request is in
// two, so each call says which links are meant.
type list struct{ head, tail *request }

type links struct{ prev, next *request }

func queued(r *request) *links { return &r.links }
func ending(r *request) *links { return &r.ending }

// insert puts r behind another one, nil is in front of all.
func (l *list) insert(r, behind *request, at func(*request) *links) {
	x := at(r)
	x.prev = behind
	if behind == nil {
		x.next, l.head = l.head, r
	} else {
		x.next, at(behind).next = at(behind).next, r
	}
	if x.next == nil {
		l.tail = r
	} else {
		at(x.next).prev = r
	}
}

func (l *list) remove(r *request, at func(*request) *links) {
	x := at(r)
	if x.prev == nil {
		l.head = x.next
	} else {
		at(x.prev).next = x.next
	}
	if x.next == nil {
		l.tail = x.prev
	} else {
		at(x.next).prev = x.prev
	}
	*x = links{}
}

// priorities are those that a request may have.
const priorities = 10

// restAfter is how many requests may be looked through for what is due as often as
// something is; with more, time passes in between in proportion.
const restAfter = 1000

// restPerRequest is some ten times what it takes to look at one.
const restPerRequest = 50

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
	var at *request
	for p := r.priority; p >= 0 && at == nil; p-- {
		at = w.last[p]
	}
	w.last[r.priority] = r
	w.insert(r, at, queued)
	w.n++
	w.wanted += max(r.n, 0)
	w.due(r)
	w.judge(r)
}

// judge puts r among those that end when there is nothing, or takes it out. Call it
// when what that hangs on has changed.
func (w *waiting) judge(r *request) { w.setEnding(r, r.ends()) }

func (w *waiting) setEnding(r *request, ends bool) {
	switch {
	case ends == r.isEnding:
		return
	case ends:
		w.ends.insert(r, w.ends.tail, ending)
	default:
		w.ends.remove(r, ending)
	}
	r.isEnding = ends
}

func (w *waiting) unlink(r *request) {
	w.setEnding(r, false)
	if w.last[r.priority] == r {
		w.last[r.priority] = nil
		if r.prev != nil && r.prev.priority == r.priority {
			w.last[r.priority] = r.prev
		}
	}
	w.remove(r, queued)
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
		w.judge(r)
		return
	}
	w.unlink(r)
	w.add(r)
}

// look is when something is to be done about what is due; 0 is never.
func (w *waiting) look() int64 {
	if w.dueAt == 0 {
		return 0
	}
	return max(w.dueAt, w.restAt)
}

// looked is called when all were looked through at now.
func (w *waiting) looked(now int64) {
	if w.n > restAfter {
		w.restAt = now + int64(w.n)*restPerRequest
	}
}

func (w *waiting) due(r *request) {
	for _, at := range [...]int64{r.expires, r.beatAt, r.holdUntil} {
		if at != 0 && (w.dueAt == 0 || at < w.dueAt) {
			w.dueAt = at
		}
	}
}
