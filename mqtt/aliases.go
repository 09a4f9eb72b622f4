package mqtt

import (
	"bytes"
	"encoding/binary"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
)

// maxAliases is how many topic aliases a connection has, each way: in CONNACK for
// those of the client, and of those that it takes itself as many as this. An alias
// costs its topic, which is bounded as subjects are; before the first one a
// connection has nothing of it.
const maxAliases = 32

// aliasesIn are the topics of a client's aliases, by number less one. They belong to
// the reader.
type aliasesIn [maxAliases]aliased

// aliased is what an alias stands for.
type aliased struct {
	topic []byte // nil for nothing
	bad   error  // why the topic is refused, of which topic has the beginning only
}

// resolve gives a PUBLISH that has an alias the topic that it stands for. It reports
// whether the topic is one that it had before; else the alias is to be remembered,
// when the topic has been looked at.
func (c *conn) resolve(p *publication) (known bool, err error) {
	switch {
	case p.alias < 0:
		return false, nil
	case p.alias == 0 || p.alias > maxAliases: // [MQTT-3.3.2-8] [MQTT-3.3.2-9]
		return false, fail(packets.ErrTopicAliasInvalid, "topic alias %d, the highest is %d", p.alias, maxAliases)
	case len(p.topic) > 0:
		return false, nil
	case c.aliases == nil || c.aliases[p.alias-1].topic == nil:
		return false, fail(errProtocol, "topic alias %d stands for nothing", p.alias)
	}
	a := &c.aliases[p.alias-1]
	p.topic, p.bad = a.topic, a.bad
	return true, nil
}

// name has an alias stand for the topic of a PUBLISH, whether that is refused or not.
func (c *conn) name(p *publication) {
	if p.alias <= 0 {
		return
	}
	if c.aliases == nil {
		c.aliases = new(aliasesIn)
	}
	a := &c.aliases[p.alias-1]
	if a.bad = p.bad; p.bad != nil {
		a.topic = []byte(core.Cut(p.topic)) // it is refused each time, whatever its end is
		return
	}
	if !bytes.Equal(a.topic, p.topic) { // some clients send both each time
		a.topic = bytes.Clone(p.topic)
	}
}

// aliasOf is the alias in a property block that was walked; -1 for none.
func aliasOf(block []byte) int {
	for len(block) > 0 {
		if block[0] == packets.PropTopicAlias {
			return int(binary.BigEndian.Uint16(block[1:]))
		}
		block = block[1+propertySize(block[0], block[1:]):]
	}
	return -1
}

// aliasesOut are the topics that a client knows by an alias: the first ones that it
// was sent. They are guarded by the lock of the connection's outbound.
type aliasesOut struct {
	most   int // of the client, maxAliases at most
	known  map[string]uint16
	naming bool // what encodeLocked has made tells a new one
}

// newAliasesOut is for a client that takes so many; nil for none.
func newAliasesOut(most uint16) *aliasesOut {
	if most == 0 {
		return nil
	}
	return &aliasesOut{most: min(int(most), maxAliases)}
}

// aliasBytes is the size of the property.
const aliasBytes = 3

// shortenLocked puts an alias into what encodeLocked has made, in the place of the
// topic if the client knows it. A new one is told if a packet of size bytes may be
// longer by that. It is for what goes out at once: what waits may be overtaken by
// others.
func (c *conn) shortenLocked(size int) {
	a := c.aliasesOut
	if len(c.topic) <= aliasBytes {
		return
	}
	id, known := a.known[string(c.topic)]
	switch {
	case known:
		c.topic = c.topic[:0]
	case len(a.known) >= a.most || !c.fits(size+aliasBytes+1): // one for the length of the properties
		return
	default:
		id, a.naming = uint16(len(a.known)+1), true
	}
	c.props = binary.BigEndian.AppendUint16(append(c.props, packets.PropTopicAlias), id)
}

// namedLocked is called when a packet is on its way: the client knows an alias that
// it tells.
func (c *conn) namedLocked() {
	a := c.aliasesOut
	if a == nil || !a.naming {
		return
	}
	a.naming = false
	if a.known == nil {
		a.known = make(map[string]uint16)
	}
	a.known[string(c.topic)] = uint16(len(a.known) + 1)
}
