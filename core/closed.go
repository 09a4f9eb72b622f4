package core

import (
	"encoding/binary"
	"time"

	"github.com/frondmq/frond/core/monitor"
)

// closedRing remembers the newest connections that are gone. Of devices that come and
// go there are soon as many as it holds, and nobody may ever ask: they are bytes, one
// behind the other, and become descriptions when somebody does.
type closedRing struct {
	limit  int
	n      int // in chunks, those included that are above the limit
	chunks []closedChunk
}

// closedChunk is some of them, oldest first. What is in b never changes.
type closedChunk struct {
	b []byte
	n int
}

// closedChunkSize is from how many bytes on a chunk is full.
const closedChunkSize = 8 << 10

func (r *closedRing) add(i *monitor.ConnInfo) {
	if r.limit <= 0 {
		return
	}
	last := len(r.chunks) - 1
	if last < 0 || len(r.chunks[last].b) >= closedChunkSize {
		r.chunks = append(r.chunks, closedChunk{})
		last++
	}
	k := &r.chunks[last]
	k.b, k.n = appendClosed(k.b, i), k.n+1
	if r.n++; r.n-r.chunks[0].n >= r.limit {
		r.n -= r.chunks[0].n
		r.chunks[0] = closedChunk{}
		r.chunks = r.chunks[1:]
	}
}

// closedList is what was remembered at one moment.
type closedList struct {
	chunks []closedChunk
	skip   int // so many of the oldest are above the limit
}

func (r *closedRing) list() closedList {
	return closedList{append([]closedChunk(nil), r.chunks...), max(r.n-r.limit, 0)}
}

// all are the remembered connections, oldest first.
func (l closedList) all() []*monitor.ConnInfo {
	var all []*monitor.ConnInfo
	skip := l.skip
	for _, k := range l.chunks {
		for b := k.b; len(b) > 0; {
			var i *monitor.ConnInfo
			if i, b = readClosed(b); skip > 0 {
				skip--
				continue
			}
			all = append(all, i)
		}
	}
	return all
}

// appendClosed writes a description, behind its size.
func appendClosed(b []byte, i *monitor.ConnInfo) []byte {
	var space [512]byte
	c := closedCoder{b: space[:0]}
	c.info(i)
	return append(binary.AppendUvarint(b, uint64(len(c.b))), c.b...)
}

func readClosed(b []byte) (i *monitor.ConnInfo, rest []byte) {
	size, n := binary.Uvarint(b)
	b, rest = b[n:n+int(size)], b[n+int(size):]
	i = new(monitor.ConnInfo)
	(&closedCoder{b: b, reads: true}).info(i)
	return i, rest
}

// closedCoder writes a description, or reads one: what each step is given.
type closedCoder struct {
	b     []byte // what was written, or is to be read
	reads bool
}

// info are the fields. Subscriptions are not among them: a connection that is going is
// not asked for them.
func (c *closedCoder) info(i *monitor.ConnInfo) {
	number(c, &i.Cid)
	c.texts(&i.Kind, &i.Type, &i.IP)
	number(c, &i.Port)
	c.moment(&i.Start)
	c.moment(&i.LastActivity)
	if c.there(i.Stop != nil) {
		pointed(c, &i.Stop)
		c.moment(i.Stop)
	}
	c.texts(&i.Reason, &i.Uptime, &i.Idle)
	c.numbers(&i.InMsgs, &i.OutMsgs, &i.InBytes, &i.OutBytes)
	number(c, &i.NumSubs)
	c.texts(&i.AuthorizedUser, &i.Account, &i.AccountName, &i.Name, &i.Lang, &i.Version, &i.MQTTClient, &i.MQTTListener)
	number(c, &i.RoundTrip)
	number(c, &i.Pending)
	if c.there(i.UID != nil || i.PID != 0 || i.Stalls != 0 || i.RTT != "") {
		if c.there(i.UID != nil) {
			pointed(c, &i.UID)
			number(c, i.UID)
		}
		number(c, &i.PID)
		number(c, &i.Stalls)
		c.texts(&i.RTT)
	}
	if c.there(i.TLSVersion != "" || i.TLSCipher != "" || i.TLSFirst || len(i.TLSPeerCerts) > 0) {
		c.texts(&i.TLSVersion, &i.TLSCipher)
		i.TLSFirst = c.there(i.TLSFirst)
		for k := range several(c, &i.TLSPeerCerts) {
			cert := &i.TLSPeerCerts[k]
			c.texts(&cert.Subject, &cert.SPKISHA256, &cert.CertSHA256)
		}
	}
	if c.there(i.JWT != "" || i.IssuerKey != "" || i.NameTag != "" || len(i.Tags) > 0) {
		c.texts(&i.JWT, &i.IssuerKey, &i.NameTag)
		for k := range several(c, &i.Tags) {
			c.texts(&i.Tags[k])
		}
	}
	if c.there(i.MQTTDrops != nil) {
		pointed(c, &i.MQTTDrops)
		d := i.MQTTDrops
		c.numbers(&d.Slow, &d.TooLarge, &d.Unfit, &d.Expired, &d.Denied, &d.Refused)
	}
}

// there is a condition; behind one that does not hold nothing is written.
func (c *closedCoder) there(is bool) bool {
	n := 0
	if is {
		n = 1
	}
	number(c, &n)
	return n != 0
}

func number[T ~int | ~int32 | ~int64 | ~uint32 | ~uint64](c *closedCoder, p *T) {
	if !c.reads {
		c.b = binary.AppendVarint(c.b, int64(*p))
		return
	}
	v, n := binary.Varint(c.b)
	*p, c.b = T(v), c.b[n:]
}

func (c *closedCoder) numbers(list ...*int64) {
	for _, p := range list {
		number(c, p)
	}
}

func (c *closedCoder) texts(list ...*string) {
	for _, p := range list {
		n := len(*p)
		number(c, &n)
		if c.reads {
			*p, c.b = string(c.b[:n]), c.b[n:]
		} else {
			c.b = append(c.b, *p...)
		}
	}
}

// moment is a time of the wall clock. One that is not known stays so.
func (c *closedCoder) moment(p *time.Time) {
	if c.there(!p.IsZero()) {
		ns := p.UnixNano()
		number(c, &ns)
		if c.reads {
			*p = time.Unix(0, ns)
		}
	}
}

// pointed makes room for what is read.
func pointed[T any](c *closedCoder, p **T) {
	if c.reads {
		*p = new(T)
	}
}

// several are as many values as were written.
func several[T any](c *closedCoder, p *[]T) []T {
	n := len(*p)
	number(c, &n)
	if c.reads && n > 0 {
		*p = make([]T, n)
	}
	return *p
}
