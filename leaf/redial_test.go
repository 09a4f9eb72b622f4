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
		r.ended(begin.Add(-time.Minute), begin, false)
		now := begin
		for _, want := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, calmRedial, calmRedial} {
			now = check(t, &r, now, errNo, want)
		}
		for _, away := range []time.Duration{4 * time.Second, 20 * time.Second} {
			check(t, &r, begin.Add(away), errNo, away/redialShare)
		}
		for range 100 { // and no number of attempts makes it longer or negative
			check(t, &r, begin.Add(time.Hour), errNo, every)
		}
	})

	t.Run("they stay short for long while the machine is up and its server is not", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin, false)
		for range 3 {
			r.pause(begin, refused, every, 0)
		}
		for _, err := range []error{refused, fmt.Errorf("first INFO: %w", syscall.ECONNRESET), fmt.Errorf("first INFO: %w", io.EOF)} {
			check(t, &r, begin.Add(restartTime-1), err, restartRedial)
		}
		check(t, &r, begin.Add(restartTime), refused, min(every, restartTime/redialShare))
	})

	t.Run("and that begins when the machine is up, however long it was off", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin, false)
		for range 10 {
			r.pause(begin, errNo, every, 0)
		}
		up := begin.Add(time.Hour)
		check(t, &r, up, errNo, every)
		check(t, &r, up, refused, restartRedial)
		check(t, &r, up.Add(restartTime-1), refused, restartRedial)
		check(t, &r, up.Add(restartTime), refused, every)
		check(t, &r, up.Add(restartTime), errNo, every) // off again
		check(t, &r, up.Add(2*restartTime), refused, restartRedial)
	})

	t.Run("links that end at once do not begin the short pauses again", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin, false)
		for range 10 {
			r.pause(begin, errNo, every, 0)
		}
		late := begin.Add(time.Minute)
		r.ended(late.Add(-livedFor/2), late, false)
		check(t, &r, late, errNo, every)
		r.ended(late.Add(-livedFor), late, false)
		check(t, &r, late, errNo, firstRedial)
	})

	t.Run("what the configuration says is never exceeded, what the hub asks is kept", func(t *testing.T) {
		var r redial
		r.ended(begin.Add(-time.Minute), begin, false)
		if d, _ := r.pause(begin, errNo, 20*time.Millisecond, 0); d > 20*time.Millisecond {
			t.Errorf("%v with reconnect 20ms", d)
		}
		if d, _ := r.pause(begin, errNo, every, loopDelay); d != loopDelay {
			t.Errorf("%v, asked %v", d, loopDelay)
		}
	})
}

// Two copies of a data folder replace each other's links at a stock hub, which
// takes each for the other one come again.
func TestRedial_replaced(t *testing.T) {
	const every = time.Second
	now := time.Unix(1000, 0)
	var r redial
	r.ended(now.Add(-time.Hour), now, false)
	r.ended(now.Add(-time.Hour), now, true)
	for _, want := range []time.Duration{every, 2 * every, 4 * every, 8 * every, 16 * every, loopDelay, loopDelay} {
		for range 3 { // attempts that fail do not shorten it
			if d, quick := r.pause(now, errNo, every, 0); d < want/2 || d > want || quick {
				t.Fatalf("%v (quick %v), want between %v and %v", d, quick, want/2, want)
			}
		}
		now = now.Add(want)
		r.ended(now.Add(-want), now, true)
	}
	if d, _ := r.pause(now, nil, time.Minute, 0); d < time.Minute/2 {
		t.Errorf("%v, configured is a minute", d)
	}
	r.ended(now.Add(-duelOver), now, true)
	if d, _ := r.pause(now, nil, every, 0); d > every {
		t.Errorf("%v behind a link that lived long", d)
	}
	r.ended(now.Add(-livedFor), now, false)
	if d, _ := r.pause(now, nil, every, 0); d > firstRedial {
		t.Errorf("%v behind a link that ended otherwise", d)
	}
}
