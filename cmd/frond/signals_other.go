//go:build !unix && !windows

package main

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"

	"github.com/frondmq/frond/core"
)

type signals struct{ c chan os.Signal }

func catchSignals() *signals {
	s := &signals{make(chan os.Signal, 4)}
	signal.Notify(s.c, os.Interrupt)
	return s
}

func (s *signals) stop() { signal.Stop(s.c) }

func (s *signals) wait(logger *slog.Logger, _ *core.Log, _ func()) {
	sig := <-s.c
	logger.Info(`Trapped "` + sig.String() + `" signal`)
}

func signalProcess(string, int) error { return errors.New("signals are not supported on this system") }

func knownSignal(string) bool { return true }
