package leaf

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"
)

func TestRedial(t *testing.T) {
	const every = 5 * time.Second
	begin := time.Unix(1000, 0)
	// check runs one pause and tells when it is over.
	check := func(t *testing.T, r *redial, now time.Time, err error, want time.Duration) time.Time {
		t.Helper()
		d, quick := r.pause(now, err, every, 0)
		if d < want/2 || d > want || quick != (want < every) {
			t.Errorf("%v (quick %v), want between %v and %v", d, quick, want/2, want)
		}
		return now.Add(d)
	}
	refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)

	t.Run("a hub that was never reached is dialed at the configured pace", func(t *testing.T) {
		var r redial
		for range 5 {
			check(t, &r, begin, errNo, every)
		}
	})

	t.Run("behind a link that had lived the pauses begin short and grow with the outage", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin)
		now := begin
		for _, want := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, calmRedial, calmRedial} {
			now = check(t, &r, now, errNo, want)
		}
		for _, away := range []time.Duration{4 * time.Second, 20 * time.Second} {
			check(t, &r, begin.Add(away), errNo, away/redialShare)
		}
		check(t, &r, begin.Add(time.Hour), refused, every)
		for range 100 { // and no number of attempts makes it longer or negative
			check(t, &r, begin.Add(time.Hour), refused, every)
		}
	})

	t.Run("they stay short for long while the machine is up and its server is not", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin)
		for range 3 {
			r.pause(begin, refused, every, 0)
		}
		for _, err := range []error{refused, fmt.Errorf("first INFO: %w", syscall.ECONNRESET), fmt.Errorf("first INFO: %w", io.EOF)} {
			check(t, &r, begin.Add(restartTime-1), err, restartRedial)
		}
		check(t, &r, begin.Add(restartTime-1), errNo, every)
		check(t, &r, begin.Add(restartTime), refused, min(every, restartTime/redialShare))
	})

	t.Run("links that end at once do not begin the short pauses again", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin)
		for range 10 {
			r.pause(begin, errNo, every, 0)
		}
		late := begin.Add(time.Minute)
		r.ended(late.Add(-livedFor/2), late)
		check(t, &r, late, errNo, every)
		r.ended(late.Add(-livedFor), late)
		check(t, &r, late, errNo, firstRedial)
	})

	t.Run("what the configuration says is never exceeded, what the hub asks is kept", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin)
		if d, _ := r.pause(begin, errNo, 20*time.Millisecond, 0); d > 20*time.Millisecond {
			t.Errorf("%v with reconnect 20ms", d)
		}
		if d, _ := r.pause(begin, errNo, every, loopDelay); d != loopDelay {
			t.Errorf("%v, asked %v", d, loopDelay)
		}
	})
}
