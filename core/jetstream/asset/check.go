package asset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/subject"
)

// APIPrefix begins the subjects of the API of a server's own domain.
const APIPrefix = "$JS.API."

// MaxSeq bounds what a stream counts up to, for a purge, an origin or a
// configuration may move it to anywhere: nothing that adds to a sequence comes
// near an overflow.
const MaxSeq = 1<<63 - 1

const (
	maxNameBytes        = 255
	maxDescriptionBytes = 4096
	maxMetadataBytes    = 128 << 10
	maxReplicas         = 5
	minDuration         = 100 * time.Millisecond
	defaultDuplicates   = 2 * time.Minute
)

// validName reports whether s can name a stream or consumer: one subject
// token that is also safe as a file name.
func validName(s string) bool {
	return s != "" && len(s) <= maxNameBytes && !strings.ContainsAny(s, " \t\r\n\f.*>/\\")
}

// Check checks c and fills in the defaults, in place. maxDuplicates is the
// longest window for message ids that the server allows, 0 for any; pedantic
// asks for an error instead of an adjustment.
func (c *StreamConfig) Check(maxDuplicates time.Duration, pedantic bool) *apierror.Error {
	if err := c.checkName(); err != nil {
		return err
	}
	if err := c.checkDefaults(pedantic); err != nil {
		return err
	}
	if err := c.checkTimes(maxDuplicates, pedantic); err != nil {
		return err
	}
	if err := c.checkRules(); err != nil {
		return err
	}
	if err := c.checkUnsupported(); err != nil {
		return err
	}
	if err := c.checkSubjects(); err != nil {
		return err
	}
	if err := c.checkSources(); err != nil {
		return err
	}
	if err := c.checkTransforms(); err != nil {
		return err
	}
	c.stampLevel()
	return nil
}

func (c *StreamConfig) checkName() *apierror.Error {
	switch {
	case len(c.Name) > maxNameBytes:
		return apierror.ErrStreamConfig.With("stream name is too long, maximum allowed is %d", maxNameBytes)
	case c.Name == "" || strings.ContainsAny(c.Name, " \t\r\n\f.*>"):
		return apierror.ErrStreamConfig.With(`stream name is required and can not contain '.', '*', '>', '\', '/'`)
	case strings.ContainsAny(c.Name, `/\`):
		return apierror.ErrStreamNamePath
	case len(c.Description) > maxDescriptionBytes:
		return apierror.ErrStreamConfig.With("stream description is too long, maximum allowed is %d", maxDescriptionBytes)
	}
	n := 0
	for k, v := range c.Metadata {
		n += len(k) + len(v)
	}
	if n > maxMetadataBytes {
		return apierror.ErrStreamConfig.With("stream metadata exceeds maximum size of %d bytes", maxMetadataBytes)
	}
	return c.checkRemade()
}

// unlimited turns 0 and everything below -1 into -1. It reports whether a
// value below -1 was given, which pedantic requests may not.
func unlimited[T int | int32 | int64](v *T) (adjusted bool) {
	adjusted = *v < -1
	if *v <= 0 {
		*v = -1
	}
	return adjusted
}

func (c *StreamConfig) checkDefaults(pedantic bool) *apierror.Error {
	for _, f := range []struct {
		name     string
		adjusted bool
	}{
		{"max_msgs", unlimited(&c.MaxMsgs)},
		{"max_msgs_per_subject", unlimited(&c.MaxMsgsPer)},
		{"max_bytes", unlimited(&c.MaxBytes)},
		{"max_msg_size", unlimited(&c.MaxMsgSize)},
		{"max_consumers", unlimited(&c.MaxConsumers)},
	} {
		if f.adjusted && pedantic {
			return apierror.ErrPedantic.With("pedantic mode: %s must be set to -1", f.name)
		}
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	switch {
	case c.Replicas < 0:
		return errReplicasNegative
	case c.Replicas > maxReplicas:
		return apierror.ErrStreamConfig.With("maximum replicas is %d", maxReplicas)
	}
	if p := c.Placement; p != nil {
		if p.Preferred != "" {
			return apierror.ErrStreamConfig.With("preferred server not permitted in placement")
		}
		if p.Cluster == "" && len(p.Tags) == 0 {
			c.Placement = nil
		}
	}
	return nil
}

func (c *StreamConfig) checkTimes(maxDuplicates time.Duration, pedantic bool) *apierror.Error {
	switch {
	case c.MaxAge < 0:
		return apierror.ErrStreamConfig.With("max age can not be negative")
	case c.MaxAge != 0 && c.MaxAge < minDuration:
		return apierror.ErrStreamConfig.With("max age needs to be >= 100ms")
	case c.Duplicates < 0:
		return apierror.ErrStreamConfig.With("duplicates window can not be negative")
	}
	if c.Duplicates == 0 && c.Mirror == nil && len(c.Sources) == 0 {
		c.Duplicates = defaultDuplicates
		if maxDuplicates > 0 {
			c.Duplicates = min(c.Duplicates, maxDuplicates)
		}
		if c.MaxAge != 0 && c.MaxAge < c.Duplicates {
			if pedantic {
				return apierror.ErrPedantic.With("pedantic mode: duplicate window cannot be bigger than max age")
			}
			c.Duplicates = c.MaxAge
		}
	}
	switch {
	case c.MaxAge != 0 && c.Duplicates > c.MaxAge:
		return apierror.ErrStreamConfig.With("duplicates window can not be larger then max age")
	case c.Duplicates != 0 && c.Duplicates < minDuration:
		return apierror.ErrStreamConfig.With("duplicates window needs to be >= 100ms")
	case maxDuplicates > 0 && c.Duplicates > maxDuplicates:
		return apierror.ErrStreamConfig.With("duplicates window can not be larger then server limit of %v", maxDuplicates)
	}
	return c.checkMarkers(pedantic)
}

// checkMarkers checks subject delete markers. They are messages with a TTL that
// roll up their subject, so both have to be allowed.
func (c *StreamConfig) checkMarkers(pedantic bool) *apierror.Error {
	switch d := c.SubjectDeleteMarkerTTL; {
	case d == 0:
		return nil
	case d < 0:
		return apierror.ErrStreamConfig.With("subject delete marker TTL must not be negative")
	case d < time.Second:
		return apierror.ErrStreamConfig.With("subject delete marker TTL must be at least 1 second")
	case c.Mirror != nil:
		return apierror.ErrStreamConfig.With("subject delete markers forbidden on mirrors")
	case pedantic && !c.AllowMsgTTL:
		return apierror.ErrStreamConfig.With("subject delete marker cannot be set if message TTLs are disabled")
	case pedantic && !c.AllowRollup:
		return apierror.ErrStreamConfig.With("subject delete marker cannot be set if roll-ups are disabled")
	case pedantic && c.DenyPurge:
		return apierror.ErrStreamConfig.With("roll-ups require the purge permission")
	}
	c.AllowMsgTTL, c.AllowRollup, c.DenyPurge = true, true, false
	return nil
}

func (c *StreamConfig) checkRules() *apierror.Error {
	switch {
	case c.DenyPurge && c.AllowRollup:
		return apierror.ErrStreamConfig.With("roll-ups require the purge permission")
	case c.DiscardNewPer && c.Discard != DiscardNew:
		return apierror.ErrStreamConfig.With("discard new per subject requires discard new policy to be set")
	case c.DiscardNewPer && c.MaxMsgsPer <= 0:
		return apierror.ErrStreamConfig.With("discard new per subject requires max msgs per subject > 0")
	case c.FirstSeq > MaxSeq:
		return apierror.ErrStreamConfig.With("first sequence is too large")
	case c.Mirror == nil && c.MirrorDirect:
		return apierror.ErrStreamConfig.With("stream has no mirror but does have mirror direct")
	}
	if c.Mirror != nil {
		switch {
		case c.FirstSeq > 0:
			return errMirrorFirstSeq
		case len(c.Subjects) > 0:
			return errMirrorWithSubjects
		case len(c.Sources) > 0:
			return errMirrorWithSources
		}
	}
	return nil
}

// checkUnsupported refuses what this server does not do, rather than taking
// the configuration and not keeping its promise.
func (c *StreamConfig) checkUnsupported() *apierror.Error {
	what, are := "", "are"
	switch {
	case c.Replicas > 1:
		return apierror.ErrReplicasNotSupported
	case c.MirrorDirect:
		what = "direct gets from a mirror in place of its origin"
	case c.AllowMsgCounter:
		what = "message counters"
	case c.AllowAtomic:
		what, are = "atomic batch publishing", "is"
	case c.AllowMsgSchedules:
		what = "message schedules"
	case c.AllowBatched:
		what, are = "batch publishing", "is"
	case c.PersistMode == PersistAsync:
		what, are = "asynchronous persistence", "is"
	default:
		return nil
	}
	return apierror.ErrStreamConfig.With("%s %s not supported by this server", what, are)
}

func (c *StreamConfig) checkSubjects() *apierror.Error {
	if len(c.Subjects) == 0 {
		if c.Mirror == nil && len(c.Sources) == 0 {
			c.Subjects = []string{c.Name}
		}
		return nil
	}
	for i, s := range c.Subjects {
		if !subject.ValidPattern(s) {
			return apierror.ErrStreamConfig.With("invalid subject")
		}
		for _, t := range c.Subjects[:i] {
			if subject.Collide(s, t) {
				return apierror.ErrStreamConfig.With("subject %q overlaps with %q", t, s)
			}
		}
		if c.NoAck {
			continue
		}
		switch {
		case s == ">":
			return apierror.ErrStreamConfig.With("capturing all subjects requires no-ack to be true")
		case collidesAny(s, "$JS.>", "$JSC.>", "$NRG.>") && !subject.Covers("$JS.EVENT.>", s):
			return apierror.ErrStreamConfig.With("subjects that overlap with jetstream api require no-ack to be true")
		case collidesAny(s, "$SYS.>") && !subject.Covers("$SYS.ACCOUNT.>", s):
			return apierror.ErrStreamConfig.With("subjects that overlap with system api require no-ack to be true")
		}
	}
	return nil
}

// CheckSubjects says why a stream can't have these subjects, if it can't.
func CheckSubjects(subjects []string) error {
	for i, s := range subjects {
		c := StreamConfig{Subjects: subjects[:i+1]}
		if err := c.checkSubjects(); err != nil {
			return fmt.Errorf("%q: %s", s, err.Description)
		}
	}
	return nil
}

func collidesAny(s string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return subject.Collide(s, p) })
}

func (c *StreamConfig) checkTransforms() *apierror.Error {
	if t := c.SubjectTransform; t != nil {
		if t.Source != "" && !subject.ValidPattern(t.Source) {
			return errTransformSource.With("stream transform source: invalid subject %s", t.Source)
		}
		if _, err := NewTransform(t.Source, t.Destination); err != nil {
			return errTransformDest.With("stream transform: %v", err)
		}
	}
	if r := c.Republish; r != nil {
		if r.Source == "" {
			r.Source = ">"
		}
		for _, s := range c.Subjects {
			// A destination inside the stream's own subjects would feed on
			// itself for ever.
			if subject.Collide(WildcardForm(r.Destination), s) {
				return apierror.ErrStreamConfig.With("stream configuration for republish destination forms a cycle")
			}
		}
		if _, err := NewTransform(r.Source, r.Destination); err != nil {
			return apierror.ErrStreamConfig.With("stream configuration for republish with transform from '%s' to '%s' not valid", r.Source, r.Destination)
		}
	}
	return nil
}

// WildcardForm replaces each mapping function of a transform's destination by
// a wildcard: the set of subjects it may produce.
func WildcardForm(dest string) string {
	var out []string
	for t := range strings.SplitSeq(dest, ".") {
		if strings.Contains(t, "{{") || strings.HasPrefix(t, "$") && len(t) > 1 && t[1] >= '0' && t[1] <= '9' {
			t = "*"
		}
		out = append(out, t)
	}
	return strings.Join(out, ".")
}

// NewTransform is a transform of everything where src is empty.
func NewTransform(src, dest string) (*subject.Transform, error) {
	if src == "" {
		src = ">"
	}
	return subject.NewTransform(src, dest)
}

// CheckUpdate refuses changes that a stream can't make while it lives, and
// carries over what an update leaves as it is. c has been checked.
func (c *StreamConfig) CheckUpdate(old *StreamConfig) *apierror.Error {
	bad := func(text string) *apierror.Error {
		return apierror.ErrStreamConfig.With("stream configuration update %s", text)
	}
	switch {
	case c.Name != old.Name:
		return apierror.ErrStreamConfig.With("stream configuration name must match original")
	case c.Storage != old.Storage:
		return bad("can not change storage type")
	case c.Retention != old.Retention && (c.Retention == WorkQueueRetention || old.Retention == WorkQueueRetention):
		return bad("can not change retention policy to/from workqueue")
	case old.Sealed && !c.Sealed:
		return bad("can not unseal a sealed stream")
	case old.DenyDelete && !c.DenyDelete:
		return bad("can not cancel deny message deletes")
	case old.DenyPurge && !c.DenyPurge:
		return bad("can not cancel deny purge")
	case old.AllowMsgTTL && !c.AllowMsgTTL:
		return apierror.ErrStreamConfig.With("message TTL status can not be disabled")
	case old.Mirror != nil && c.Mirror != nil && !EqualSource(old.Mirror, c.Mirror), old.Mirror == nil && c.Mirror != nil:
		return errMirrorNotUpdatable
	}
	if c.Sealed {
		c.MaxAge = 0
		c.Discard = DiscardNew
		c.DenyDelete, c.DenyPurge = true, true
		c.AllowRollup = false
	}
	return nil
}

// EqualSource compares what two sources say.
func EqualSource(a, b *StreamSource) bool {
	x, y := &StreamConfig{Mirror: a}, &StreamConfig{Mirror: b}
	return Equal(x, y)
}
