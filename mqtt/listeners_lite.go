//go:build lite

package mqtt

import (
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
)

// The lite build has the port of the block alone: these are those beside it of
// listeners.go, none.
type (
	port  struct{}
	ports struct{}
)

func (*ports) verify(*config.Options, bool) error   { return nil }
func (*ports) openNext() (int, error)               { return 0, nil }
func (*ports) abandon()                             {}
func (*ports) close()                               {}
func (*ports) describe() []monitor.MQTTListenerVarz { return nil }
func (*Module) commitPorts()                        {}
func surplus([]*conn) []*conn                       { return nil }
func (*listener) enter() bool                       { return true }
func (*listener) leave()                            {}
func (*listener) stands() bool                      { return true }
