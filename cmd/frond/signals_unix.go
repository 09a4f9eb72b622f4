//go:build unix

package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/frondmq/frond/core"
)

// signals are those that the process gets.
type signals struct{ c chan os.Signal }

func catchSignals() *signals {
	s := &signals{make(chan os.Signal, 4)}
	signal.Notify(s.c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	return s
}

func (s *signals) stop() { signal.Stop(s.c) }

// wait obeys signals until one ends the server.
func (s *signals) wait(logger *slog.Logger, log *core.Log, reload func()) {
	for sig := range s.c {
		logger.Info(`Trapped "` + sig.String() + `" signal`)
		switch sig {
		case syscall.SIGINT, syscall.SIGTERM:
			return
		case syscall.SIGHUP:
			reload()
		case syscall.SIGUSR2:
			logger.Error("Lame duck mode is not supported yet")
		case syscall.SIGUSR1:
			switch isFile, err := log.Reopen(); {
			case err != nil:
				logger.Error("File log could not be re-opened", "err", err)
			case isFile:
				logger.Info("File log re-opened")
			default:
				logger.Info("File log re-open ignored, not a file logger")
			}
		}
	}
}

// signalNumbers are the commands of --signal.
var signalNumbers = map[string]syscall.Signal{
	"stop": syscall.SIGKILL, "quit": syscall.SIGINT, "term": syscall.SIGTERM,
	"reopen": syscall.SIGUSR1, "reload": syscall.SIGHUP, "ldm": syscall.SIGUSR2,
}

func signalProcess(command string, pid int) error {
	return syscall.Kill(pid, signalNumbers[command])
}

func knownSignal(command string) bool {
	_, ok := signalNumbers[command]
	return ok
}
