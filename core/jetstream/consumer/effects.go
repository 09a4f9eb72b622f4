package consumer

// Effects is what is to be done outside after a call. The caller keeps one,
// performs it after each call and Resets it; its slices are reused, and what
// they hold is valid until then.
type Effects struct {
	Statuses   []Status
	Advisories []Advisory
	// Acked lists stream sequences that this consumer will not ask for again:
	// acknowledged or terminated, or delivered where nothing is acknowledged.
	// Interest and workqueue streams remove messages by it.
	Acked []uint64
	// Inactive asks for the consumer to be deleted: its inactive threshold
	// passed.
	Inactive bool
	// Recount asks for a call of Recount: the number of pending messages is
	// not known any more.
	Recount bool

	text []byte
}

// Reset empties the effects and keeps the room.
func (fx *Effects) Reset() {
	fx.Statuses, fx.Advisories, fx.Acked = fx.Statuses[:0], fx.Advisories[:0], fx.Acked[:0]
	fx.Inactive, fx.Recount = false, false
	fx.text = fx.text[:0]
}

// Empty reports whether nothing is to be done.
func (fx *Effects) Empty() bool {
	return len(fx.Statuses) == 0 && len(fx.Advisories) == 0 && len(fx.Acked) == 0 && !fx.Inactive && !fx.Recount
}

// Status is a message without body: its header line tells what happened.
type Status struct {
	To []byte
	// Reply is set for flow control requests only.
	Reply  []byte
	Header []byte
}

// AdvisoryKind says what an Advisory tells.
type AdvisoryKind uint8

const (
	MaxDeliveries AdvisoryKind = iota + 1 // CONSUMER.MAX_DELIVERIES
	Naked                                 // CONSUMER.MSG_NAKED
	Terminated                            // CONSUMER.MSG_TERMINATED
	Sampled                               // METRIC.CONSUMER.ACK
	Resumed                               // CONSUMER.PAUSE: the pause ended
	Pinned                                // CONSUMER.PINNED
	Unpinned                              // CONSUMER.UNPINNED
)

// Advisory is an event of the consumer; the caller makes the JSON of it.
type Advisory struct {
	Kind       AdvisoryKind
	Seq, DSeq  uint64
	Deliveries uint64
	AckTime    int64  // Sampled: nanoseconds since the last delivery
	Reason     []byte // Terminated, Unpinned
	Group      string // Pinned, Unpinned
	PinID      []byte // Pinned
}

// keep copies b into the arena. Growing it leaves earlier results on the old
// array, where they stay valid.
func (fx *Effects) keep(b []byte) []byte {
	n := len(fx.text)
	fx.text = append(fx.text, b...)
	return fx.text[n:len(fx.text):len(fx.text)]
}

func (fx *Effects) status(to []byte, header func(dst []byte) []byte) *Status {
	st := Status{To: fx.keep(to)}
	n := len(fx.text)
	fx.text = header(fx.text)
	st.Header = fx.text[n:len(fx.text):len(fx.text)]
	fx.Statuses = append(fx.Statuses, st)
	return &fx.Statuses[len(fx.Statuses)-1]
}

func (fx *Effects) advise(a Advisory) { fx.Advisories = append(fx.Advisories, a) }
