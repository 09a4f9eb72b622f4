package core

import (
	"time"

	"github.com/frondmq/frond/core/monitor"
)

// ClockPlausible is for tests of the rule.
func ClockPlausible(now time.Time) bool { return clockPlausible(now) }

// ClosedReasons are why connections ended, oldest first.
func (s *Server) ClosedReasons() []string {
	var reasons []string
	for _, c := range s.connections.Closed() {
		reasons = append(reasons, c.Reason)
	}
	return reasons
}

// Stalls is how often a publisher waited for a receiver.
func (s *Server) Stalls() int64 { return s.stalls.Load() }

// Embedded is how many subscriptions of the program around it are kept.
func (s *Server) Embedded() int {
	s.embedded.Lock()
	defer s.embedded.Unlock()
	return len(s.embedded.subs)
}

// SlowConsumers is how many connections were cut because they did not read.
func (s *Server) SlowConsumers() int64 {
	var v monitor.Varz
	s.connections.Count(&v)
	return v.SlowConsumers
}

// Modules is what a module is given.
func (s *Server) Modules() Services { return services{s} }

// Silent is how many connections have gone silent since the start.
func (s *Server) Silent() int64 { return s.connections.rested.silent.Load() }
