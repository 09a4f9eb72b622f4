package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// host runs the program in what started it. A service has no console: what a
// start has to say before there is a log file goes to the event log.
func host(args []string) int {
	if is, err := svc.IsWindowsService(); err != nil || !is {
		return run(args, os.Stdout, os.Stderr)
	}
	log, err := eventlog.Open(serviceName)
	if err != nil {
		return run(args, io.Discard, io.Discard)
	}
	defer log.Close()
	return run(args, io.Discard, eventWriter{log})
}

type eventWriter struct{ log *eventlog.Log }

func (w eventWriter) Write(p []byte) (int, error) {
	if err := w.log.Error(1, strings.TrimSpace(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// installService makes the service. It does not start it: its account may not
// yet be allowed to write where the data goes.
func installService(file string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return withManager(func(m *mgr.Mgr) error {
		s, err := m.CreateService(serviceName, program, mgr.Config{
			StartType:        mgr.StartAutomatic,
			DisplayName:      "frond",
			Description:      "Message broker for the edge: NATS, MQTT and streams on disk.",
			ServiceStartName: `NT AUTHORITY\LocalService`,
		}, "-c", file)
		if errors.Is(err, windows.ERROR_SERVICE_EXISTS) {
			return errors.New("service frond is installed already: frond service uninstall removes it")
		}
		if err != nil {
			return fmt.Errorf("make service frond: %w", err)
		}
		defer s.Close()
		again := mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: 2 * time.Second}
		if err := s.SetRecoveryActions([]mgr.RecoveryAction{again, again, again}, 0); err != nil {
			return errors.Join(fmt.Errorf("set what follows a failure of service frond: %w", err), s.Delete())
		}
		// Of the form that the event log shows as it is; there may be one from before.
		_ = eventlog.InstallAsEventCreate(serviceName, eventlog.Error|eventlog.Warning|eventlog.Info)
		return nil
	})
}

// controlService starts, stops, reloads or removes the service, and waits until
// it is so.
func controlService(what string) error {
	return withService(func(s *mgr.Service) error {
		switch what {
		case "start":
			if err := s.Start(); err != nil {
				return fmt.Errorf("start service frond: %w (the event log says why, under frond)", err)
			}
			return reach(s, svc.Running)
		case "stop":
			return stopService(s)
		case "reload":
			_, err := s.Control(svc.ParamChange)
			return err
		case "uninstall":
			if err := stopService(s); err != nil {
				return err
			}
			_ = eventlog.Remove(serviceName)
			return s.Delete()
		}
		return fmt.Errorf("service %s is not known: install, start, stop, reload or uninstall", what)
	})
}

func stopService(s *mgr.Service) error {
	if _, err := s.Control(svc.Stop); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return fmt.Errorf("stop service frond: %w", err)
	}
	return reach(s, svc.Stopped)
}

// reach waits until the service is in a state, or has gone to another for good.
func reach(s *mgr.Service, want svc.State) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(stopTimeout + 15*time.Second)
	for {
		st, err := s.Query()
		switch {
		case err != nil:
			return fmt.Errorf("ask how service frond is: %w", err)
		case st.State == want:
			return nil
		case st.State == svc.Stopped:
			return errors.New("service frond has ended; its log file, or the event log under frond, says why")
		}
		select {
		case <-tick.C:
		case <-deadline:
			return errors.New("service frond takes too long; its log file says what it does")
		}
	}
}

func withManager(do func(*mgr.Mgr) error) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("reach the service manager: %w (an administrator may)", err)
	}
	defer func() { _ = m.Disconnect() }()
	return do(m)
}

func withService(do func(*mgr.Service) error) error {
	return withManager(func(m *mgr.Mgr) error {
		s, err := m.OpenService(serviceName)
		if err != nil {
			return fmt.Errorf("open service frond: %w (frond service install makes it)", err)
		}
		defer s.Close()
		return do(s)
	})
}
