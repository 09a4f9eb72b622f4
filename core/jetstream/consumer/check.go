package consumer

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/subject"
)

const (
	maxNameBytes        = 255
	maxDescriptionBytes = 4096
	maxMetadataBytes    = 128 << 10
	maxGroupBytes       = 16

	defaultAckWait         = 30 * time.Second
	defaultMaxWaiting      = 512
	defaultMaxAckPending   = 1000
	defaultInactive        = 5 * time.Second
	defaultPriorityTimeout = 2 * time.Minute
	minHeartbeat           = 100 * time.Millisecond
	ackFlowHeartbeat       = time.Second
)

// StreamFacts is what a consumer's configuration is checked against.
type StreamFacts struct {
	Subjects  []string
	Retention Retention
	Replicas  int
	// Inactive and MaxAckPending are the stream's consumer_limits; 0 none.
	Inactive      time.Duration
	MaxAckPending int
	// ServerMaxAckPending and ServerMaxBatch are the lowest of the limits of
	// the server and the account; 0 none.
	ServerMaxAckPending int
	ServerMaxBatch      int
	// Clustered allows more than one replica.
	Clustered bool
}

// Check checks c and fills in the defaults, in place. pedantic asks for an
// error where a value would be adjusted. The errors are of type *apierror.Error.
func (c *Config) Check(s *StreamFacts, pedantic bool) error {
	steps := []func(*StreamFacts, bool) *apierror.Error{
		c.checkName, c.checkAckFlow, c.checkDefaults, c.checkPolicies, c.checkLimits, c.checkPush, c.checkPull, c.checkStart,
		c.checkFilters, c.checkReplicas, c.checkRetention, c.checkPriority,
	}
	for _, step := range steps {
		if err := step(s, pedantic); err != nil {
			return err
		}
	}
	c.StampLevel()
	return nil
}

func pedanticError(format string, args ...any) *apierror.Error {
	return apierror.ErrPedantic.With("pedantic mode: "+format, args...)
}

func (c *Config) checkName(*StreamFacts, bool) *apierror.Error {
	if c.Durable != "" {
		switch {
		case len(c.Durable) > maxNameBytes:
			return errNameTooLong
		case !validName(c.Durable):
			return errInvalidConfig.With("consumer durable name can not contain '.', '*', '>'")
		case c.Name != "" && c.Name != c.Durable:
			return errDurableNameMismatch
		}
		c.Name = c.Durable
	}
	if c.Name != "" {
		switch {
		case len(c.Name) > maxNameBytes:
			return errNameTooLong
		case strings.ContainsAny(c.Name, `/\`):
			return errNamePath
		case !validName(c.Name):
			return errInvalidConfig.With("consumer name can not contain '.', '*', '>'")
		}
	}
	if len(c.Description) > maxDescriptionBytes {
		return errDescriptionTooLong
	}
	n := 0
	for k, v := range c.Metadata {
		n += len(k) + len(v)
	}
	if n > maxMetadataBytes {
		return errMetadataTooLong.With("consumer metadata exceeds maximum size of %d bytes", maxMetadataBytes)
	}
	return nil
}

func validName(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t\r\n\f.*>")
}

// checkAckFlow runs before defaults are filled in: this policy wants some
// values to be unset (ADR-60).
func (c *Config) checkAckFlow(_ *StreamFacts, pedantic bool) *apierror.Error {
	if c.AckPolicy != AckFlowControl {
		return nil
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = ackFlowHeartbeat
	}
	switch {
	case c.DeliverSubject == "":
		return errAckFlowPush
	case c.Heartbeat != ackFlowHeartbeat:
		return errInvalidConfig.With("flow control ack policy heartbeat needs to be 1s")
	case c.MaxAckPending < 0:
		return errAckFlowMaxAckPending
	case c.AckWait != 0 || len(c.BackOff) > 0:
		return errAckFlowNoAckWait
	case c.MaxDeliver > 0:
		return errAckFlowNoMaxDeliver
	}
	c.FlowControl = true
	return nil
}

func (c *Config) checkDefaults(s *StreamFacts, pedantic bool) *apierror.Error {
	switch {
	case c.AckWait < 0:
		return errAckWaitNegative
	case c.MaxDeliver < -1 && pedantic:
		return pedanticError("max_deliver must be set to -1")
	case c.MaxWaiting < 0 && pedantic:
		return pedanticError("max_waiting must not be negative")
	case c.Inactive < 0 && pedantic:
		return pedanticError("inactive_threshold must not be negative")
	case c.MaxAckPending < -1 && pedantic:
		return pedanticError("max_ack_pending must be set to -1")
	case c.MaxRequestBatch < 0 && pedantic:
		return pedanticError("max_batch must not be negative")
	case c.MaxRequestBytes < 0 && pedantic:
		return pedanticError("max_bytes must not be negative")
	case c.Heartbeat < 0 && pedantic:
		return pedanticError("idle_heartbeat must not be negative")
	case c.MaxAckPending == 0 && s.MaxAckPending > 0 && pedantic:
		return pedanticError("max_ack_pending must be set if it's configured in stream limits")
	case c.Inactive == 0 && s.Inactive > 0 && pedantic:
		return pedanticError("inactive_threshold must be set if it's configured in stream limits")
	}
	c.Heartbeat = max(c.Heartbeat, 0)
	for _, d := range c.BackOff {
		if d < 0 {
			return errBackoffNegative
		}
	}
	if len(c.BackOff) > 0 {
		if pedantic && c.AckWait != 0 && c.AckWait != c.BackOff[0] {
			return pedanticError("first backoff value has to equal batch AckWait")
		}
		c.AckWait = c.BackOff[0]
	}
	if c.MaxDeliver <= 0 {
		c.MaxDeliver = -1
	}
	if c.MaxDeliver > 0 && len(c.BackOff) > c.MaxDeliver {
		return errBackoffMaxDeliver
	}
	if c.AckWait == 0 && len(c.BackOff) == 0 && (c.AckPolicy == AckExplicit || c.AckPolicy == AckAll) {
		c.AckWait = defaultAckWait
	}
	c.MaxWaiting, c.Inactive = max(c.MaxWaiting, 0), max(c.Inactive, 0)
	c.MaxRequestBatch, c.MaxRequestBytes = max(c.MaxRequestBatch, 0), max(c.MaxRequestBytes, 0)
	c.MaxAckPending = max(c.MaxAckPending, -1)
	if c.Pull() && c.MaxWaiting == 0 {
		c.MaxWaiting = defaultMaxWaiting
	}
	switch {
	case c.MaxAckPending != 0:
	case s.MaxAckPending > 0:
		c.MaxAckPending = s.MaxAckPending
	case c.AckPolicy != AckNone:
		c.MaxAckPending = defaultMaxAckPending
		if s.ServerMaxAckPending > 0 {
			c.MaxAckPending = min(c.MaxAckPending, s.ServerMaxAckPending)
		}
	}
	if c.Inactive == 0 {
		switch {
		case c.Upgraded(): // what it needs is kept however long the link is down
		case s.Inactive > 0:
			c.Inactive = s.Inactive
		case c.Durable == "":
			c.Inactive = defaultInactive
		}
	}
	return nil
}

func (c *Config) checkPolicies(*StreamFacts, bool) *apierror.Error {
	if _, err := parseSample(c.SampleFrequency); err != nil {
		return errInvalidSampling.With("failed to parse consumer sampling configuration: %v", err)
	}
	return nil
}

// parseSample reads a percentage, "30" or "30%".
func parseSample(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, strconv.ErrRange
	}
	return n, nil
}

func (c *Config) checkLimits(s *StreamFacts, _ bool) *apierror.Error {
	// -1, no limit, is let through, as by the stock server.
	for _, limit := range []int{s.MaxAckPending, s.ServerMaxAckPending} {
		if limit > 0 && c.MaxAckPending > limit {
			return errMaxAckPendingExcess.With("consumer max ack pending exceeds system limit of %d", limit)
		}
	}
	if s.Inactive > 0 && c.Inactive > s.Inactive {
		return errInactiveExcess.With("consumer inactive threshold exceeds system limit of %v", s.Inactive)
	}
	if s.ServerMaxBatch > 0 && c.MaxRequestBatch > s.ServerMaxBatch {
		return errMaxBatchExcess.With("consumer max request batch exceeds server limit of %d", s.ServerMaxBatch)
	}
	return nil
}

func (c *Config) checkPush(s *StreamFacts, _ bool) *apierror.Error {
	if c.Pull() {
		return nil
	}
	switch {
	case !subject.ValidPattern(c.DeliverSubject) || ReservedTarget(c.DeliverSubject):
		return errDeliverInvalid
	case !subject.IsLiteral(c.DeliverSubject):
		return errDeliverWildcards
	case deliverCycle(s.Subjects, c.DeliverSubject):
		return ErrDeliverCycle
	case c.MaxWaiting != 0:
		return errPushMaxWaiting
	case c.AckPolicy == AckNone && c.MaxAckPending > 0:
		return errMaxPendingAckPolicy
	case c.Heartbeat > 0 && c.Heartbeat < minHeartbeat:
		return errSmallHeartbeat
	case c.FlowControl && c.Heartbeat <= 0:
		return errFlowNeedsHeartbeat
	case c.Direct && c.Durable != "":
		return errDirectNotEphemeral
	}
	return nil
}

// deliverCycle reports whether the stream would store what the consumer sends.
func deliverCycle(subjects []string, deliver string) bool {
	for _, s := range subjects {
		if subject.Match(s, deliver) {
			return true
		}
	}
	return false
}

func (c *Config) checkPull(s *StreamFacts, _ bool) *apierror.Error {
	if !c.Pull() {
		return nil
	}
	switch {
	case c.AckPolicy == AckNone && s.Retention == WorkQueueRetention:
		return errPullRequiresAck
	case c.RateLimit > 0:
		return errPullRateLimit
	case c.Heartbeat > 0:
		return errHeartbeatRequiresPush
	case c.FlowControl:
		return errFlowRequiresPush
	case c.Direct:
		return errDirectRequiresPush
	case c.MaxExpires != 0 && c.MaxExpires < time.Millisecond:
		return errSmallExpires
	}
	return nil
}

func (c *Config) checkStart(*StreamFacts, bool) *apierror.Error {
	policy := func(name, what, state string) *apierror.Error {
		return errInvalidPolicy.With("consumer delivery policy is deliver %s, but optional %s is %s set", name, what, state)
	}
	seq, at := c.OptStartSeq > 0, c.OptStartTime != nil
	simple := func(name string) *apierror.Error {
		switch {
		case seq:
			return policy(name, "start sequence", "also")
		case at:
			return policy(name, "start time", "also")
		}
		return nil
	}
	switch c.DeliverPolicy {
	case DeliverAll:
		return simple("all")
	case DeliverLast:
		return simple("last")
	case DeliverNew:
		return simple("new")
	case DeliverLastPerSubject:
		if err := simple("last per subject"); err != nil {
			return err
		}
		if len(c.Filters()) == 0 {
			return policy("last per subject", "filter subject", "not")
		}
	case DeliverByStartSequence:
		switch {
		case !seq:
			return policy("by start sequence", "start sequence", "not")
		case at:
			return policy("by start sequence", "start time", "also")
		}
	case DeliverByStartTime:
		switch {
		case !at:
			return policy("by start time", "start time", "not")
		case seq:
			// The doubled word is what clients are used to.
			return policy("by start time", "start start sequence", "also")
		}
	}
	return nil
}

func (c *Config) checkFilters(*StreamFacts, bool) *apierror.Error {
	if c.FilterSubject != "" && len(c.FilterSubjects) > 0 {
		return errBothFilters
	}
	if slices.Contains(c.FilterSubjects, "") {
		return errEmptyFilter
	}
	for _, f := range c.Filters() {
		if !subject.ValidPattern(f) {
			return errInvalidConfig.With("invalid subject")
		}
	}
	for i, f := range c.FilterSubjects {
		for _, g := range c.FilterSubjects[:i] {
			if subject.Covers(f, g) || subject.Covers(g, f) {
				return errOverlappingFilters
			}
		}
	}
	return nil
}

func (c *Config) checkReplicas(s *StreamFacts, _ bool) *apierror.Error {
	switch {
	case c.Replicas < 0:
		return errReplicasNegative
	case c.Replicas > 1 && !s.Clustered:
		return apierror.ErrReplicasNotSupported
	case c.Replicas > max(s.Replicas, 1):
		return errReplicasExceed
	case s.Retention != LimitsRetention && c.Replicas != 0 && c.Replicas != max(s.Replicas, 1):
		return errReplicasMatchStream
	}
	return nil
}

func (c *Config) checkRetention(s *StreamFacts, _ bool) *apierror.Error {
	switch {
	case s.Retention == LimitsRetention:
		return nil
	case c.Direct && s.Retention == InterestRetention:
		return errCreate.With("interest stream requires acknowledgements of a mirror or source")
	case s.Retention == InterestRetention:
		return nil
	case c.AckPolicy != AckExplicit && c.AckPolicy != AckFlowControl:
		return errWorkQueueExplicit
	case c.DeliverPolicy != DeliverAll && !c.Sourcing:
		return errWorkQueueDeliverAll
	}
	return nil
}

// ForOrigin makes of what another server asks for, to mirror or source a
// stream, what the stream gives. One that deletes what was acknowledged gives
// a durable consumer whose messages are acknowledged once they are safe over
// there; asked for without acknowledgements, a message would be gone when it
// was sent. Any other gives a consumer of its own to every attempt, with suffix
// behind its name.
func (c *Config) ForOrigin(r Retention, suffix string) {
	switch {
	case !c.Sourcing || !c.Direct || c.Name == "":
	case r == LimitsRetention:
		c.Name += "-" + suffix
	default:
		c.Durable, c.Direct = c.Name, false
		c.AckPolicy, c.AckWait, c.MaxDeliver, c.Inactive = AckFlowControl, 0, 0, 0
		c.MemoryStorage = false
	}
}

// Rejoin keeps of the consumer that is there what another attempt of the same
// mirror or source may not change: it goes on from its acknowledgements,
// wherever that attempt thinks it stands.
func (c *Config) Rejoin(old *Config) {
	c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = old.DeliverPolicy, old.OptStartSeq, old.OptStartTime
}

// Upgraded reports whether ForOrigin made it durable.
func (c *Config) Upgraded() bool {
	return c.Sourcing && !c.Direct && c.AckPolicy == AckFlowControl
}

func (c *Config) checkPriority(*StreamFacts, bool) *apierror.Error {
	if c.PriorityPolicy == PriorityNone {
		switch {
		case len(c.PriorityGroups) > 0:
			return errGroupsWithoutPolicy
		case c.PriorityTimeout != 0:
			return errPinnedWithoutPolicy
		}
		return nil
	}
	if !c.Pull() {
		return errPushPriority
	}
	if len(c.PriorityGroups) == 0 {
		return errPriorityNoGroup
	}
	for _, g := range c.PriorityGroups {
		switch {
		case g == "":
			return errEmptyGroup
		case !validGroup(g):
			return errGroupName
		}
	}
	if c.PriorityPolicy == PriorityPinnedClient && c.PriorityTimeout == 0 {
		c.PriorityTimeout = defaultPriorityTimeout
	}
	return nil
}

func validGroup(s string) bool {
	if s == "" || len(s) > maxGroupBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-_/=", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// CheckUnique checks c against the other consumers of a workqueue stream, of
// which each message belongs to one. Those that mirror or source it get what
// the workers get.
func (c *Config) CheckUnique(s *StreamFacts, others []*Config) error {
	if s.Retention != WorkQueueRetention || c.Direct || c.Upgraded() {
		return nil
	}
	for _, o := range others {
		if o.Direct || o.Upgraded() {
			continue
		}
		mine, theirs := c.Filters(), o.Filters()
		if len(mine) == 0 || len(theirs) == 0 {
			return errWorkQueueUnfiltered
		}
		for _, f := range mine {
			for _, g := range theirs {
				if subject.Collide(f, g) {
					return errWorkQueueNotUnique
				}
			}
		}
	}
	return nil
}

// CheckUpdate refuses changes that a consumer can't make while it lives. c has
// passed Check; bound says that somebody listens on the old deliver subject.
func (c *Config) CheckUpdate(old *Config, bound bool) error {
	bad := func(text string) error { return errCreate.With("%s", text) }
	switch {
	case c.DeliverPolicy != old.DeliverPolicy:
		return bad("deliver policy can not be updated")
	case c.MemoryStorage != old.MemoryStorage:
		return bad("storage type can not be updated")
	case c.Direct != old.Direct:
		return bad("direct can not be updated")
	case c.Sourcing != old.Sourcing:
		return bad("sourcing can not be updated")
	case c.OptStartSeq != old.OptStartSeq:
		return bad("start sequence can not be updated")
	case !sameTime(c.OptStartTime, old.OptStartTime):
		return bad("start time can not be updated")
	case c.AckPolicy != old.AckPolicy:
		return bad("ack policy can not be updated")
	case c.ReplayPolicy != old.ReplayPolicy:
		return bad("replay policy can not be updated")
	case c.Heartbeat != old.Heartbeat:
		return bad("heart beats can not be updated")
	case c.FlowControl != old.FlowControl:
		return bad("flow control can not be updated")
	case c.DeliverSubject != old.DeliverSubject && old.Pull():
		return bad("can not update pull consumer to push based")
	case c.DeliverSubject != old.DeliverSubject && c.Pull():
		return bad("can not update push consumer to pull based")
	case c.DeliverSubject != old.DeliverSubject && bound:
		return errNameInUse
	case c.MaxWaiting != old.MaxWaiting:
		return bad("max waiting can not be updated")
	}
	return nil
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}
