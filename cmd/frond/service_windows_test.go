package main

import (
	"io"
	"log/slog"
	"testing"

	"golang.org/x/sys/windows/svc"
)

// The service manager sees a start, a server that runs, a stop that it asked
// for, and the end only when the server is down.
func TestSignals_service_states(t *testing.T) {
	s := &signals{control: make(chan svc.Cmd, 4), ready: make(chan struct{}), ended: make(chan struct{})}
	requests, status := make(chan svc.ChangeRequest), make(chan svc.Status, 8)
	type end struct {
		specific bool
		code     uint32
	}
	done := make(chan end)
	go func() {
		specific, code := s.Execute(nil, requests, status)
		done <- end{specific, code}
	}()
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	waited := make(chan struct{})
	reloads := 0 // of the goroutine that waits
	if st := <-status; st.State != svc.StartPending {
		t.Fatalf("the first state is %v", st.State)
	}
	go func() {
		defer close(waited)
		s.wait(logger, nil, func() { reloads++ })
	}()
	if st := <-status; st.State != svc.Running || st.Accepts&svc.AcceptStop == 0 {
		t.Fatalf("ready: %+v", st)
	}
	requests <- svc.ChangeRequest{Cmd: svc.ParamChange} // a reload does not end it
	requests <- svc.ChangeRequest{Cmd: svc.Interrogate}
	if st := <-status; st.State != svc.Running {
		t.Fatalf("asked while it runs: %v", st.State)
	}
	requests <- svc.ChangeRequest{Cmd: svc.Stop}
	if st := <-status; st.State != svc.StopPending {
		t.Fatalf("told to stop: %v", st.State)
	}
	<-waited
	if reloads != 1 {
		t.Errorf("%d reloads", reloads)
	}
	select {
	case e := <-done:
		t.Fatalf("ended before the server was down: %+v", e)
	default:
	}
	close(s.ended)
	if e := <-done; e.specific || e.code != 0 {
		t.Errorf("a clean end is %+v", e)
	}
}

// A start that failed is a failure to the manager.
func TestSignals_service_start_fails(t *testing.T) {
	s := &signals{control: make(chan svc.Cmd, 4), ready: make(chan struct{}), ended: make(chan struct{})}
	close(s.ended)
	if specific, code := s.Execute(nil, nil, make(chan svc.Status, 8)); !specific || code != 1 {
		t.Errorf("%v %d", specific, code)
	}
}
