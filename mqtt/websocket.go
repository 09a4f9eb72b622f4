//go:build !lite

package mqtt

import (
	"net"

	"github.com/frondmq/frond/core"
)

var _ core.WebSocketModule = (*Module)(nil)

// WebSocket is part of core.WebSocketModule: the subprotocol is that of MQTT 5, section
// 6, the path is nats-server's.
func (m *Module) WebSocket() (element, subprotocol string, ok bool) {
	return "mqtt", "mqtt", m.ready.Load() && m.services.Options().MQTT.Set
}

// ServeWebSocket is part of core.WebSocketModule. Who comes so has the users and limits
// of the block, not those of a listener beside it.
func (m *Module) ServeWebSocket(nc net.Conn, w *core.Upgraded) { m.accept(nc, m.own.Load(), w) }
