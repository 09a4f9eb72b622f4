package jetstream

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/edgestore"
)

// The catalogue keeps which consumers there are beside the stores, which keep
// what those did: a store that is lost must not take its consumers with it.

const rowConsumer = "consumer/" // incarnation, name

// consumerRow is what the catalogue has of a consumer.
type consumerRow struct {
	name    string
	id      uint64
	created int64
	config  []byte
}

func consumerRows(inc uint64) string { return fmt.Sprintf("%s%016x/", rowConsumer, inc) }

func readConsumerRow(key string, value []byte) (inc uint64, row consumerRow, err error) {
	hex, name, ok := strings.Cut(strings.TrimPrefix(key, rowConsumer), "/")
	inc, err = strconv.ParseUint(hex, 16, 64)
	if !ok || err != nil {
		return 0, row, fmt.Errorf("catalogue: row %q: %w", key, edgestore.ErrCorrupt)
	}
	r := opReader{b: value}
	row = consumerRow{name, r.uint(), r.int(), append([]byte(nil), r.bytes()...)}
	return inc, row, r.done("catalogue: consumer")
}

// changedRows gives the rows of consumers that came, changed or went since the
// last call. The caller holds the stream's mu.
func (c *consumers) changedRows() (aux []edgestore.Aux) {
	for name := range c.changed {
		row := edgestore.Aux{Key: consumerRows(c.s.incarnation) + name}
		if m := c.byName[name]; m != nil && !m.volatile.Load() {
			row.Value = msgp.AppendUint64(nil, m.id)
			row.Value = msgp.AppendInt64(row.Value, m.created)
			row.Value = msgp.AppendBytes(row.Value, m.config().Encode())
		}
		aux = append(aux, row)
	}
	c.changed = nil
	return aux
}

func (c *consumers) change(name string) {
	if c.s.memory {
		return
	}
	if c.changed == nil {
		c.changed = make(map[string]bool)
	}
	c.changed[name] = true
}

// bringBack makes the consumers again that the catalogue has and the store has
// lost. What they did is lost with it, so they begin anew: what they had
// delivered and not more comes again. Recovery only.
func (s *stream) bringBack(rows []consumerRow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bringBackLocked(rows)
}

func (s *stream) bringBackLocked(rows []consumerRow) error {
	for _, row := range rows {
		if s.consumers.byName[row.name] != nil {
			continue
		}
		cfg, err := consumer.Decode(row.config)
		if err != nil {
			return err
		}
		from := *cfg
		if from.DeliverPolicy == consumer.DeliverNew || from.DeliverPolicy == consumer.DeliverLast {
			at := s.lineOf(atTime(row.created))
			from.DeliverPolicy, from.OptStartTime = consumer.DeliverByStartTime, &at
		}
		st := s.store.State()
		start, err := consumer.StartOf(&from, st.FirstSeq, st.LastSeq, s.config().MaxMsgsPer, s.store)
		if err != nil { // it can't be read which are the newest: it gets all
			from.DeliverPolicy = consumer.DeliverAll
			if start, err = consumer.StartOf(&from, st.FirstSeq, st.LastSeq, s.config().MaxMsgsPer, s.store); err != nil {
				return err
			}
		}
		m := newMember(s, row.name, row.id, row.created, cfg, start)
		m.deltas.dirty = true
		s.consumers.add(m)
		if s.dirtyFrom == 0 {
			s.dirtyFrom = max(s.applied, 1)
		}
		s.e.report(Damage{
			Kind: DamageConsumer, Account: s.acct.name, Stream: s.name, Where: s.where(),
			What: fmt.Sprintf("the state of consumer %q of stream %q is lost: it delivers again from where it began", row.name, s.name),
			Do:   "expect messages that were delivered before; nothing is left out",
		})
	}
	return nil
}

// rowsBehind has the catalogue told anew of all consumers of a stream whose store
// is ahead of it: a drain ended between the two, and what the store has is not
// replayed. rows are what the catalogue says. Recovery only.
func (s *stream) rowsBehind(rows []consumerRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range rows {
		s.consumers.change(row.name)
	}
	for name := range s.consumers.byName {
		s.consumers.change(name)
	}
	if len(s.consumers.changed) > 0 && s.dirtyFrom == 0 {
		s.dirtyFrom = max(s.applied, 1)
	}
}

// skipped looks at an operation that the store says it has. If the store does not
// have the consumer, and nor did the catalogue, which may be behind it, the journal
// is the last that does. Recovery only.
func (c *consumers) skipped(en *edgestore.Entry) {
	r := opReader{b: en.Data}
	switch en.Kind {
	case opConsumerCreate:
		op, err := readConsumerCreate(en.Data)
		if err != nil || c.byName[op.name] != nil {
			return
		}
		if c.missed == nil {
			c.missed = make(map[string]consumerRow)
		}
		c.missed[op.name] = consumerRow{op.name, operationID(en), op.created, bytes.Clone(op.config)}
	case opConsumerConfig:
		if row, ok := c.missed[r.string()]; ok {
			row.config = bytes.Clone(r.bytes())
			c.missed[row.name] = row
		}
	case opConsumerDelete:
		delete(c.missed, r.string())
	}
}

// bringMissed makes the consumers that skipped found. The caller holds mu.
func (s *stream) bringMissed() {
	rows := slices.Collect(maps.Values(s.consumers.missed))
	s.consumers.missed = nil
	for _, row := range rows {
		if err := s.bringBackLocked([]consumerRow{row}); err != nil {
			s.e.logger.Error("recovery: a consumer could not be made again", "stream", s.name, "consumer", row.name, "err", err)
			continue
		}
		s.consumers.change(row.name)
	}
}
