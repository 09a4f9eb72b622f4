package jetstream

import (
	"time"

	"github.com/tinylib/msgp/msgp"
)

// expirePeriod is how often streams with a max_age are looked at. A message
// lives at most this much longer than it should.
const expirePeriod = time.Second

// expire logs an operation for each stream whose oldest message is too old.
// The operation carries the cutoff, so that applying it needs no clock.
func (e *Engine) expire(now time.Time) {
	if e.cfg.ClockSynced != nil && !e.cfg.ClockSynced() {
		// The stored times may be right and ours wrong: nothing is deleted
		// because a device woke up in the future or in 1970.
		return
	}
	for _, s := range e.allStreams() {
		age := s.config().MaxAge
		if age <= 0 {
			continue
		}
		cutoff := now.Add(-age)
		st := s.store.State()
		if st.Msgs == 0 || !st.FirstTime.Before(cutoff) {
			continue
		}
		rec := s.record(opExpire, false)
		if err := e.append(s.log, true, &rec, nil, nil, msgp.AppendInt64(nil, cutoff.UnixNano())); err != nil {
			e.logger.Warn("expiry put off", "stream", s.name, "err", err)
		}
	}
}
