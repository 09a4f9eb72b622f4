//go:build lite

package core

import (
	"context"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// In the lite build nobody can be in the system account, so nothing is asked or told
// there.
type system struct{}

func newSystem(*Server) *system                          { return nil }
func (*system) start(string) error                       { return nil }
func (*system) leave()                                   {}
func (*system) stop(context.Context) error               { return nil }
func (*system) joined(Connection)                        {}
func (*system) left(*monitor.ConnInfo, wire.CloseReason) {}
func (*system) accountQuestions(*account.Account)        {}

// OnReload says how the configuration is read anew when the system account asks for
// it; in the lite build nobody does.
func (s *Server) OnReload(func() error) {}
