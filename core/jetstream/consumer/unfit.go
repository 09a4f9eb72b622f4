package consumer

// Unfit takes the last Delivery back like Undelivered, for good: its message
// can never reach whoever it is for, as a link on the way takes none of that
// length. A consumer that feeds a mirror or a source passes it over, as if it
// did not match, and says so with a heartbeat: whatever came in its place would
// be missed and asked for again, for ever. Others keep it as delivered; it is
// offered again when its time to be acknowledged is over. Unfit reports whether
// the message was passed over.
func (m *Machine) Unfit(now int64, reason string, fx *Effects) bool {
	feeds := m.cfg.AckPolicy == AckNone || m.cfg.AckPolicy == AckFlowControl
	if l := &m.delivered; !l.valid || l.again || !feeds {
		return false
	}
	seq, notBefore := m.delivered.seq, m.notBefore
	m.Undelivered(now, fx)
	m.notBefore = notBefore
	if m.listed(seq) {
		m.Removed(now, seq, nil, "", fx)
	} else {
		m.uncount()
		m.skipTo(seq + 1)
	}
	if !m.cfg.Pull() {
		fx.skipped(m.deliverTo, m.st.looked(), seq, reason)
	}
	return true
}

// Headers of the heartbeat that tells of a message which was passed over. A
// stock target takes it for the heartbeat that it is.
const (
	HdrSkipped       = "Frond-Skipped-Sequence"
	HdrSkippedReason = "Frond-Skipped-Reason"
)

func (fx *Effects) skipped(to []byte, at SeqPair, seq uint64, reason string) {
	fx.status(to, func(dst []byte) []byte {
		dst = appendHeaderLine(dst, "100 Idle Heartbeat")
		dst = appendNumber(dst, "Nats-Last-Consumer", at.Consumer)
		dst = appendNumber(dst, "Nats-Last-Stream", at.Stream)
		dst = appendNumber(dst, HdrSkipped, seq)
		dst = append(dst, HdrSkippedReason+": "+reason+crlf...)
		return append(dst, crlf...)
	})
}
