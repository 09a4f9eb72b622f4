package core

import "time"

// epoch is what Ticks counts from: before everything in this process, so that no
// moment of it has the number 0.
var epoch = time.Now().Add(-time.Second)

// Ticks is a moment as a number, for what is kept in atomics: nanoseconds by the
// monotonic clock, which nobody sets. t comes from time.Now in this process.
func Ticks(t time.Time) int64 { return int64(t.Sub(epoch)) }

// Moment is the time of Ticks: by the monotonic clock for whoever computes with
// it, and by the wall clock of now for whoever shows it.
func Moment(ticks int64) time.Time {
	now := time.Now()
	return now.Add(time.Duration(ticks - Ticks(now)))
}
