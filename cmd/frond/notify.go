package main

import (
	"net"
	"strconv"
	"sync"
	"time"
)

// supervisor is who started the program and wants to hear how it is: systemd,
// or anything else that gives NOTIFY_SOCKET. See sd_notify(3).
type supervisor struct {
	conn net.Conn // nil: nobody listens
	quit chan struct{}
	done sync.WaitGroup
}

// newSupervisor reads the environment. What it says is wrong is as if it was
// not said: a program must not fail for want of somebody to tell.
func newSupervisor(getenv func(string) string) *supervisor {
	s := &supervisor{quit: make(chan struct{})}
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return s
	}
	// A name that begins with @ is an abstract one; package net knows that.
	conn, err := net.Dial("unixgram", name)
	if err != nil {
		return s
	}
	s.conn = conn
	return s
}

// ready tells that the ports are open, and begins to feed the watchdog if one
// was asked for: WATCHDOG_USEC microseconds without a word and the program is
// ended. It is for a process that hangs as a whole; whether the server answers
// is what a probe of the monitoring port asks.
func (s *supervisor) ready(getenv func(string) string) {
	if s.conn == nil {
		return
	}
	s.say("READY=1")
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return
	}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		// Twice as often as needed, so that a late one is no end.
		tick := time.NewTicker(max(time.Duration(usec)*time.Microsecond/2, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-tick.C:
				s.say("WATCHDOG=1")
			}
		}
	}()
}

// stopping tells that the program is about to end by itself.
func (s *supervisor) stopping() {
	if s.conn == nil {
		return
	}
	close(s.quit)
	s.done.Wait()
	s.say("STOPPING=1")
	s.conn.Close()
}

func (s *supervisor) say(what string) {
	// There is nobody to tell that nobody listens any more.
	_, _ = s.conn.Write([]byte(what))
}
