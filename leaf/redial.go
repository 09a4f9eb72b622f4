package leaf

import (
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"time"
)

const (
	// firstRedial is the longest first pause behind a link that had lived; the
	// next ones are twice as long each, up to calmRedial.
	firstRedial = 50 * time.Millisecond
	calmRedial  = 200 * time.Millisecond
	// From there they grow with the time that the hub has been away, to a tenth
	// of it. But a machine that refuses is up, or what forwards to it (a
	// container's proxy takes and closes), and so will its server be: for
	// restartTime since it began to refuse the pauses stay short. A hub that starts
	// again asks its origins within some hundred milliseconds, and a stock one that
	// finds no edge then asks again only after 40 seconds.
	redialShare   = 10
	restartTime   = 2 * time.Minute
	restartRedial = 100 * time.Millisecond
	// livedFor is after how long a link counts as one that had lived: those
	// that end sooner do not begin the short pauses again.
	livedFor = time.Second
	// duelOver is after how long a link that is replaced is no longer one of a
	// row of them: two copies that replace each other's links at the hub have
	// pauses up to loopDelay, and so links that live as long.
	duelOver = 2 * loopDelay
)

// redial paces the attempts of one remote. The zero value is that of a hub
// that was never reached: its pauses are as long as the configuration says.
type redial struct {
	lost  time.Time // when the last link that had lived ended; zero for never
	tries int       // pauses since
	// refusing is since when every attempt is turned away; zero while the last was
	// not. A machine that was off for an hour begins to refuse when it is up again.
	refusing time.Time
	// duel is how many links in a row another server replaced at the hub, since
	// the last one that ended otherwise.
	duel int
}

// ended is told of a link that ended, and whether the hub said that another
// server has its name: then the chance is small that one that dials at once
// does any good, and both would do nothing else without end.
func (r *redial) ended(started, now time.Time, replaced bool) {
	lived := now.Sub(started)
	switch {
	case replaced && lived < duelOver:
		r.duel++
		return
	case replaced:
		r.duel = 1
		return
	}
	r.duel = 0
	if r.lost.IsZero() || lived >= livedFor {
		r.lost, r.tries = now, 0
	}
}

// pause is the time until the next attempt: half of what is due and up to as
// much again, so that many spokes do not dial in step. It is never longer than
// every, which the configuration says, but when the hub asked for it or another
// server takes the place of this one. quick is true while it is shorter only for
// the chance that the hub starts again.
func (r *redial) pause(now time.Time, err error, every, asked time.Duration) (d time.Duration, quick bool) {
	if every <= 0 {
		every = time.Second
	}
	switch {
	case !turnedAway(err):
		r.refusing = time.Time{}
	case r.refusing.IsZero():
		r.refusing = now
	}
	d = every
	if r.duel > 0 {
		for n := 1; n < r.duel && d < loopDelay; n++ {
			d = min(2*d, loopDelay)
		}
	} else if !r.lost.IsZero() {
		away := now.Sub(r.lost)
		switch d = firstRedial << min(r.tries, 8); {
		case turnedAway(err) && now.Sub(r.refusing) < restartTime:
			d = min(d, restartRedial)
		case d > calmRedial:
			d = max(calmRedial, away/redialShare)
		}
		d = min(d, every)
		r.tries++
	}
	return max(asked, d/2+rand.N(d/2+1)), d < every
}

// turnedAway reports whether a machine answered for which there is no server.
func turnedAway(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}
