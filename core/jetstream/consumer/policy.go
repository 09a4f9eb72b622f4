package consumer

import (
	"fmt"
	"strconv"
)

// DeliverPolicy says where in the stream a consumer begins.
type DeliverPolicy uint8

const (
	DeliverAll DeliverPolicy = iota
	DeliverLast
	DeliverNew
	DeliverByStartSequence
	DeliverByStartTime
	DeliverLastPerSubject
)

// AckPolicy says what an acknowledgement means.
type AckPolicy uint8

const (
	AckNone AckPolicy = iota
	AckAll
	AckExplicit
	// AckFlowControl acknowledges with the answers to flow control (ADR-60).
	AckFlowControl
)

// ReplayPolicy says how fast stored messages are delivered.
type ReplayPolicy uint8

const (
	ReplayInstant ReplayPolicy = iota
	ReplayOriginal
)

// PriorityPolicy says how pull requests compete (ADR-42).
type PriorityPolicy uint8

const (
	PriorityNone PriorityPolicy = iota
	PriorityOverflow
	PriorityPinnedClient
	PriorityPrioritized
)

// Retention is that of the stream; the values are those of the stream's
// configuration.
type Retention uint8

const (
	LimitsRetention Retention = iota
	InterestRetention
	WorkQueueRetention
)

func deliverNames() []string {
	return []string{"all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject"}
}
func ackNames() []string    { return []string{"none", "all", "explicit", "flow_control"} }
func replayNames() []string { return []string{"instant", "original"} }
func priorityNames() []string {
	return []string{"none", "overflow", "pinned_client", "prioritized"}
}

func (p DeliverPolicy) MarshalJSON() ([]byte, error)  { return marshalName(deliverNames(), int(p)) }
func (p AckPolicy) MarshalJSON() ([]byte, error)      { return marshalName(ackNames(), int(p)) }
func (p ReplayPolicy) MarshalJSON() ([]byte, error)   { return marshalName(replayNames(), int(p)) }
func (p PriorityPolicy) MarshalJSON() ([]byte, error) { return marshalName(priorityNames(), int(p)) }

func (p AckPolicy) String() string { return nameOf(ackNames(), int(p)) }

func (p *DeliverPolicy) UnmarshalJSON(b []byte) error {
	if string(b) == `"undefined"` || string(b) == `""` {
		*p = DeliverAll
		return nil
	}
	n, err := unmarshalName(deliverNames(), b)
	*p = DeliverPolicy(n)
	return err
}

func (p *AckPolicy) UnmarshalJSON(b []byte) error {
	n, err := unmarshalName(ackNames(), b)
	*p = AckPolicy(n)
	return err
}

func (p *ReplayPolicy) UnmarshalJSON(b []byte) error {
	n, err := unmarshalName(replayNames(), b)
	*p = ReplayPolicy(n)
	return err
}

func (p *PriorityPolicy) UnmarshalJSON(b []byte) error {
	n, err := unmarshalName(priorityNames(), b)
	if err != nil {
		return fmt.Errorf("unknown priority policy: %s", b)
	}
	*p = PriorityPolicy(n)
	return nil
}

func nameOf(names []string, n int) string {
	if n >= len(names) {
		return strconv.Itoa(n)
	}
	return names[n]
}

func marshalName(names []string, n int) ([]byte, error) {
	if n >= len(names) {
		return nil, fmt.Errorf("can not marshal %d", n)
	}
	return strconv.AppendQuote(nil, names[n]), nil
}

func unmarshalName(names []string, b []byte) (int, error) {
	for n, name := range names {
		if string(b) == `"`+name+`"` {
			return n, nil
		}
	}
	return 0, fmt.Errorf("can not unmarshal %q", b)
}
