package mqtt

// totals are what came from clients, and went to them. Packets and bytes are of all
// kinds, messages and payload those of PUBLISH alone.
type totals struct {
	packetsIn, packetsOut int64
	bytesIn, bytesOut     int64
	msgsIn, msgsOut       int64
	payloadIn, payloadOut int64
	dropped               int64
}

// tally counts the clients of one account. It is guarded by the lock of Module.mu.
// Who comes and goes costs a look at it, a message does not: the sums are made when
// somebody wants them.
type tally struct {
	conns    map[*conn]struct{}
	ended    totals // of those that are gone
	connects int64
	highest  int // clients at once
}

// tallyLocked is that of an account.
func (m *Module) tallyLocked(account string) *tally {
	t := m.mu.tallies[account]
	if t == nil {
		t = &tally{conns: make(map[*conn]struct{})}
		if m.mu.tallies == nil {
			m.mu.tallies = make(map[string]*tally)
		}
		m.mu.tallies[account] = t
	}
	return t
}

func (t *tally) come(c *conn) {
	t.conns[c] = struct{}{}
	t.connects++
	t.highest = max(t.highest, len(t.conns))
}

func (t *tally) leave(c *conn) {
	delete(t.conns, c)
	t.ended.add(c)
}

// census is a tally at one moment.
type census struct {
	totals
	connects, clients, highest int64
	kept, subscriptions        int64 // of the clients that are there
}

// census counts the clients of an account.
func (m *Module) census(account string) census {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tallyLocked(account)
	s := census{totals: t.ended, connects: t.connects, clients: int64(len(t.conns)), highest: int64(t.highest)}
	for c := range t.conns {
		s.add(c)
		s.subscriptions += c.numSubs.Load()
		if c.outlived.Load() {
			s.kept++
		}
	}
	return s
}

// add adds what a connection has had.
func (t *totals) add(c *conn) {
	c.out.Lock()
	t.bytesOut += c.out.TotalLocked()
	c.out.Unlock()
	sent := c.outMsgs.Load()
	t.packetsIn += c.packetsIn.Load()
	t.packetsOut += sent + c.answers.Load()
	t.bytesIn += c.wireIn.Load()
	t.msgsIn += c.inMsgs.Load()
	t.msgsOut += sent
	t.payloadIn += c.inBytes.Load()
	t.payloadOut += c.outBytes.Load()
	t.dropped += c.drops.total()
}
