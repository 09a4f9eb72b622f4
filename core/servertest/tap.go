package servertest

import (
	"context"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
)

// Tap is a module that does nothing, and gives a test what a server offers its
// modules, from the start of the server on.
type Tap struct{ core.Services }

// Name is part of core.Module.
func (*Tap) Name() string { return "tap" }

// Verify is part of core.Module.
func (*Tap) Verify(_, _ *config.Options) error { return nil }

// Start is part of core.Module.
func (t *Tap) Start(s core.Services) error {
	t.Services = s
	return nil
}

// Commit is part of core.Module.
func (*Tap) Commit(_, _ *config.Options) {}

// Stop is part of core.Module.
func (*Tap) Stop(context.Context) error { return nil }

// Describe is part of core.Module.
func (*Tap) Describe(*monitor.Description) {}
