//go:build !windows

package main

import (
	"errors"
	"os"
)

var errNoService = errors.New("service is for Windows; here systemd, OpenRC or procd run frond: packages install what they need")

func controlService(string) error { return errNoService }

func installService(string) error { return errNoService }

// host runs the program in what started it.
func host(args []string) int { return run(args, os.Stdout, os.Stderr) }
