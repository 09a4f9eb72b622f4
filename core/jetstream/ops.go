package jetstream

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// The kinds of operations, as they stand in the journal. Numbers are never
// given another meaning.
//
// Each is a row of MessagePack values; the publish operations end with the
// message as an edgestore blob, so that a store can read it from the journal.
// New values are added at the end of a row: a reader takes what it knows.
const (
	// Of the catalogue (incarnation 0).
	opStreamCreate uint8 = 1 // incarnation, account, created, config
	opStreamDelete uint8 = 2 // incarnation
	opClockStep    uint8 = 3 // timetable: the clock was set
	opFormat       uint8 = 4 // format

	// Of one stream.
	opPublish        uint8 = 16 // flags; blob
	opIngest         uint8 = 17 // flags, origin, origin sequence, origin time, origin sequence before; blob
	opConfig         uint8 = 18 // config
	opMsgDelete      uint8 = 19 // sequence
	opPurge          uint8 = 20 // filter, sequence, keep
	opExpire         uint8 = 21 // cutoff, sequence below, tick, limit, sequence above: what is too old goes
	opSkip           uint8 = 22 // last sequence, time: a gap that a mirror's origin has
	opOrigin         uint8 = 23 // source, identity of its stream, restart: forget the position
	opShift          uint8 = 24 // not written any more: what opNotes says, of places that were not corrected
	opLost           uint8 = 25 // first and last sequence of messages that can't be read
	opMarker         uint8 = 26 // flags, sequence that it is for; blob
	opPassedOver     uint8 = 27 // source, origin sequence, origin sequence before, reason: no link carries it
	opNotes          uint8 = 28 // count, and for each note: seat, what it moved the last sequence beside what it says
	opClockMove      uint8 = 29 // time, from, to, by: what is due by its TTL is due later
	opConsumerCreate uint8 = 32 // name, created, config, time to begin at
	opConsumerDelete uint8 = 33 // name
	opConsumerDelta  uint8 = 34 // id, number, delta
	opConsumerConfig uint8 = 35 // name, config
	opRelease        uint8 = 36 // sequences that no consumer needs any more
)

// Flags of a publish operation say which headers matter when it is applied,
// so that messages without any are not searched.
const (
	flagMsgID uint8 = 1 << iota
	flagExpect
	flagRollup
	flagAfter // an ingest tells the origin sequence before it
	flagLoop  // an ingest is of a message that came round too often: only its place counts
	flagTTL

	// flagRepublished is never written: another stream republished the message.
	flagRepublished uint8 = 1 << 7
)

// opReader reads the values of an operation. The first error sticks.
type opReader struct {
	b   []byte
	err error
}

func (r *opReader) uint() (v uint64) {
	if r.err == nil {
		v, r.b, r.err = msgp.ReadUint64Bytes(r.b)
	}
	return v
}

func (r *opReader) int() (v int64) {
	if r.err == nil {
		v, r.b, r.err = msgp.ReadInt64Bytes(r.b)
	}
	return v
}

func (r *opReader) bool() (v bool) {
	if r.err == nil {
		v, r.b, r.err = msgp.ReadBoolBytes(r.b)
	}
	return v
}

func (r *opReader) string() (v string) {
	if r.err == nil {
		v, r.b, r.err = msgp.ReadStringBytes(r.b)
	}
	return v
}

// bytes is borrowed from the operation.
func (r *opReader) bytes() (v []byte) {
	if r.err == nil {
		v, r.b, r.err = msgp.ReadBytesZC(r.b)
	}
	return v
}

func (r *opReader) done(what string) error {
	if r.err != nil {
		return fmt.Errorf("%s operation: %w: %w", what, edgestore.ErrCorrupt, r.err)
	}
	return nil
}

// streamCreate is what opStreamCreate says.
type streamCreate struct {
	incarnation uint64
	account     string
	created     int64 // nanoseconds since 1970
	config      []byte
}

func (c *streamCreate) append(b []byte) []byte {
	b = msgp.AppendUint64(b, c.incarnation)
	b = msgp.AppendString(b, c.account)
	b = msgp.AppendInt64(b, c.created)
	return msgp.AppendBytes(b, c.config)
}

func readStreamCreate(b []byte) (c streamCreate, err error) {
	r := opReader{b: b}
	c = streamCreate{r.uint(), r.string(), r.int(), r.bytes()}
	return c, r.done("stream create")
}

// purge is what opPurge says.
type purge struct {
	filter    string
	seq, keep uint64
}

func (p *purge) append(b []byte) []byte {
	b = msgp.AppendString(b, p.filter)
	b = msgp.AppendUint64(b, p.seq)
	return msgp.AppendUint64(b, p.keep)
}

func readPurge(b []byte) (p purge, err error) {
	r := opReader{b: b}
	p = purge{r.string(), r.uint(), r.uint()}
	return p, r.done("purge")
}

// origin is where an ingested message comes from: which source of the stream
// ("" for the stream that is mirrored), its place and time there, and the place
// of the one that was brought before it.
type origin struct {
	source string
	seq    uint64
	at     int64
	after  uint64
}

func (o *origin) append(b []byte, flags uint8) []byte {
	b = msgp.AppendUint64(b, uint64(flags|flagAfter))
	b = msgp.AppendString(b, o.source)
	b = msgp.AppendUint64(b, o.seq)
	b = msgp.AppendInt64(b, o.at)
	return msgp.AppendUint64(b, o.after)
}

// readOrigin also gives what follows: the blob.
func readOrigin(b []byte) (o origin, flags uint8, blob []byte, err error) {
	r := opReader{b: b}
	flags = uint8(r.uint())
	o = origin{source: r.string(), seq: r.uint(), at: r.int()}
	if flags&flagAfter != 0 {
		o.after = r.uint()
	}
	return o, flags &^ flagAfter, r.b, r.done("ingest")
}
