package consumer

import (
	"slices"
	"strconv"
	"time"
)

// Pull takes a request for messages, whose answers go to reply. What can't be
// answered is ignored. The API level is the caller's to check, before.
func (m *Machine) Pull(now int64, reply, body []byte, fx *Effects) {
	if len(reply) == 0 {
		return
	}
	if !m.cfg.Pull() {
		fx.plain(reply, "409 Consumer is push based")
		return
	}
	req, err := ParsePull(body)
	if err != nil {
		fx.plain(reply, "400 Bad Request - "+err.Error())
		return
	}
	m.active(now)
	if refusal := m.refuse(&req); refusal != "" {
		fx.plain(reply, refusal)
		return
	}
	if m.pinned() && req.ID != "" {
		if req.ID != string(m.pin.id) {
			fx.plain(reply, "423 Nats-Pin-Id mismatch")
			return
		}
		m.pin.pulledAt = now
	}
	full := m.cfg.MaxWaiting > 0 && m.waiting.n >= m.cfg.MaxWaiting
	if full && now-m.fullAt >= int64(time.Second) {
		m.fullAt = now
		m.prune(now, fx)
		full = m.waiting.n >= m.cfg.MaxWaiting
	}
	if req.NoWait {
		there := m.pendingN + uint64(m.queue.n)
		switch {
		case there == 0 && req.Expires == 0:
			fx.plain(reply, "404 No Messages")
			return
		case there > 0 && there < uint64(m.waiting.wanted) && m.stillWanted(now, there, fx):
			fx.plain(reply, "408 Requests Pending")
			return
		}
	}
	if full {
		if req.Heartbeat == 0 {
			fx.plain(reply, "409 Exceeded MaxWaiting")
		}
		return
	}
	r := m.waiting.take()
	r.reply = append(r.reply, reply...)
	r.id = append(r.id, req.ID...)
	r.n, r.noWait, r.arrived = req.Batch, req.NoWait, now
	r.bytes, r.limited = req.MaxBytes, req.MaxBytes > 0
	if m.waiting.n > 0 || m.pendingN == 0 || m.full() {
		r.heard = m.interest != nil && m.interest(reply) // it may have to wait
	}
	r.minPending, r.minAckPending = req.MinPending, req.MinAckPending
	if m.cfg.PriorityPolicy == PriorityPrioritized {
		r.priority = req.Priority
	}
	if req.Expires > 0 {
		r.expires = later(now, req.Expires)
	}
	if req.Heartbeat > 0 {
		r.interval, r.beatAt = req.Heartbeat, later(now, req.Heartbeat)
	}
	m.waiting.add(r)
}

// refuse checks a request against the configuration, in the order that clients
// know; the text is a status.
func (m *Machine) refuse(r *PullRequest) string {
	c := &m.cfg
	switch {
	case r.Heartbeat > 0 && r.Heartbeat > r.Expires/2:
		return "400 Bad Request - heartbeat value too large"
	case c.MaxRequestBatch > 0 && r.Batch > c.MaxRequestBatch:
		return "409 Exceeded MaxRequestBatch of " + strconv.Itoa(c.MaxRequestBatch)
	case c.MaxExpires > 0 && r.Expires > int64(c.MaxExpires):
		return "409 Exceeded MaxRequestExpires of " + c.MaxExpires.String()
	case c.MaxRequestBytes > 0 && r.MaxBytes > c.MaxRequestBytes:
		return "409 Exceeded MaxRequestMaxBytes of " + strconv.Itoa(c.MaxRequestBytes)
	case !r.isJSON:
		return ""
	case c.PriorityPolicy != PriorityOverflow && (r.MinPending != 0 || r.MinAckPending != 0):
		return "400 Bad Request - Not a Overflow Priority consumer"
	case c.PriorityPolicy != PriorityPinnedClient && r.ID != "":
		return "400 Bad Request - Not a Pinned Client Priority consumer"
	case r.Priority < 0 || r.Priority > 9:
		return "400 Bad Request - Priority must be between 0 and 9"
	case c.PriorityPolicy == PriorityNone:
		return ""
	case r.Group == "":
		return "400 Bad Request - Priority Group missing"
	case !slices.Contains(c.PriorityGroups, r.Group):
		return "400 Bad Request - Invalid Priority Group"
	}
	return ""
}

// pick is the request that gets the next message, or nil.
func (m *Machine) pick(now int64, fx *Effects) *request {
	for r := m.waiting.head; r != nil; {
		next := r.next
		switch {
		case r.expires != 0 && r.expires <= now:
			m.timeout(r, fx)
		case r.holdUntil > now:
		case m.eligible(r):
			return r
		case m.stale(r):
			fx.unfinished(r.reply, "423 Nats-Wrong-Pin-Id", r.n, r.bytes)
			m.waiting.drop(r)
		}
		r = next
	}
	return nil
}

// fit is pick for a message of a known cost: requests whose limit of bytes is
// too small for it end here.
func (m *Machine) fit(now int64, cost int, fx *Effects) *request {
	for {
		r := m.pick(now, fx)
		if r == nil || !r.limited || cost <= r.bytes {
			return r
		}
		fx.unfinished(r.reply, "409 Message Size Exceeds MaxBytes", r.n, r.bytes)
		m.waiting.drop(r)
	}
}

// served accounts for a message given to r.
func (m *Machine) served(now int64, r *request, cost int, fx *Effects) {
	if r.n > 0 {
		m.waiting.wanted--
	}
	r.n--
	r.gave++
	r.bytes -= cost
	r.holdUntil = 0
	if r.interval > 0 {
		r.beatAt = later(now, r.interval)
	}
	switch {
	case r.n <= 0:
		if r.limited && r.bytes > 0 {
			fx.unfinished(r.reply, "409 Batch Completed", 0, r.bytes)
		}
	case r.limited && r.bytes == 0:
	default:
		m.waiting.rotate(r)
		return
	}
	m.delivered.finished = true
	m.waiting.drop(r)
}

// atEnd ends requests that do not wait: all there was is delivered.
func (m *Machine) atEnd(fx *Effects) {
	for r := m.waiting.ends.head; r != nil; r = m.waiting.ends.head {
		fx.plain(r.reply, "404 No Messages")
		m.waiting.drop(r)
	}
}

func (m *Machine) timeout(r *request, fx *Effects) {
	fx.unfinished(r.reply, "408 Request Timeout", r.n, r.bytes)
	m.waiting.drop(r)
}

// prune drops requests that expired or that nobody listens for.
func (m *Machine) prune(now int64, fx *Effects) {
	for r := m.waiting.head; r != nil; {
		next := r.next
		switch {
		case r.expires != 0 && r.expires <= now:
			m.timeout(r, fx)
		case !m.listened(now, r):
			m.waiting.drop(r)
		}
		r = next
	}
}

// listened reports whether somebody listens for r. Interest that was never seen
// may still be on its way through a link; one that was and is gone is a client
// that left.
func (m *Machine) listened(now int64, r *request) bool {
	if m.interest == nil || m.interest(r.reply) {
		r.heard = true
		return true
	}
	return !r.heard && now-r.arrived < m.grace
}

// stillWanted looks, when there are fewer messages than requests wait for,
// whether that is so without those of clients that left.
func (m *Machine) stillWanted(now int64, there uint64, fx *Effects) bool {
	m.prune(now, fx)
	return there < uint64(m.waiting.wanted)
}

// tickRequests ends requests whose time is up and sends heartbeats.
func (m *Machine) tickRequests(now int64, fx *Effects) {
	w := &m.waiting
	if at := w.look(); at == 0 || now < at {
		return
	}
	w.looked(now)
	w.dueAt = 0
	beat := false
	for r := w.head; r != nil; {
		next := r.next
		if r.expires != 0 && r.expires <= now {
			m.timeout(r, fx)
			r = next
			continue
		}
		if r.beatAt != 0 && r.beatAt <= now {
			if beat = beat || m.full() && m.queue.n == 0; beat && r.ends() {
				fx.plain(r.reply, "404 No Messages")
				w.drop(r)
				r = next
				continue
			}
			fx.heartbeat(r.reply, m.st.looked(), nil)
			r.beatAt = later(now, r.interval)
		}
		if r.holdUntil <= now {
			r.holdUntil = 0
		}
		w.due(r)
		r = next
	}
	if beat {
		// Nothing comes for those that do not wait until something is
		// acknowledged. Clients count on being told with a heartbeat.
		m.atEnd(fx)
	}
}

// EndRequests ends all requests with a status, such as "409 Consumer Deleted",
// "409 Leadership Change" or "409 Server Shutdown"; the last one tells what was
// not delivered.
func (m *Machine) EndRequests(status string, fx *Effects) {
	for m.waiting.head != nil {
		r := m.waiting.head
		if status == ServerShutdown {
			fx.unfinished(r.reply, status, r.n, r.bytes)
		} else {
			fx.plain(r.reply, status)
		}
		m.waiting.drop(r)
	}
}

// Statuses for EndRequests.
const (
	ConsumerDeleted  = "409 Consumer Deleted"
	LeadershipChange = "409 Leadership Change"
	ServerShutdown   = "409 Server Shutdown"
)
