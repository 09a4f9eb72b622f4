package main

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/windows/svc"

	"github.com/frondmq/frond/core"
)

// signals are what ends the server: Ctrl-C on a console, or the service manager.
type signals struct {
	console chan os.Signal
	control chan svc.Cmd

	ready chan struct{} // closed once the doors are open
	ended chan struct{} // closed when the server is down
	// dispatched is closed when the service manager knows that; nil on a console.
	dispatched chan struct{}
}

func catchSignals() *signals {
	s := &signals{
		console: make(chan os.Signal, 4), control: make(chan svc.Cmd, 4),
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	signal.Notify(s.console, os.Interrupt, syscall.SIGTERM)
	if is, err := svc.IsWindowsService(); err == nil && is {
		s.dispatched = make(chan struct{})
		go func() {
			defer close(s.dispatched)
			_ = svc.Run(serviceName, s) // nobody is there to tell
		}()
	}
	return s
}

// stop is the last thing: the service manager takes the end of Execute for the
// end of the service, and waits for no process.
func (s *signals) stop() {
	signal.Stop(s.console)
	close(s.ended)
	if s.dispatched != nil {
		<-s.dispatched
	}
}

func (s *signals) wait(logger *slog.Logger, _ *core.Log, reload func()) {
	close(s.ready)
	for {
		select {
		case sig := <-s.console:
			logger.Info(`Trapped "` + sig.String() + `" signal`)
			return
		case c := <-s.control:
			if c == svc.ParamChange {
				reload()
				continue
			}
			logger.Info("The service manager ends the server")
			return
		}
	}
}

// Execute is the service as its manager sees it.
func (s *signals) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	now := svc.Status{State: svc.StartPending, WaitHint: hint}
	status <- now
	ready := s.ready
	for {
		select {
		case <-ready:
			ready = nil
			if now.State == svc.StartPending {
				now = svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown | svc.AcceptParamChange}
				status <- now
			}
		case <-s.ended:
			// A server that was never ready has failed: its manager starts it anew.
			if ready != nil {
				return true, 1
			}
			return false, 0
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- now
				continue
			case svc.Stop, svc.Shutdown:
				now = svc.Status{State: svc.StopPending, WaitHint: hint}
				status <- now
			}
			select {
			case s.control <- r.Cmd:
			default: // there are enough of them waiting
			}
		}
	}
}

// hint is how long the manager may wait for a state before it takes the service
// for hung.
const hint = uint32((stopTimeout + 15*time.Second) / time.Millisecond)

func signalProcess(string, int) error {
	return errors.New("signals are not supported on this system; frond service stop ends a service")
}

func knownSignal(string) bool { return true }
