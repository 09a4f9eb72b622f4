//go:build lite

package config

func webSocketRow() field[Options] {
	return notYet[Options]("websocket ws", "clients over WebSocket", "the lite build has no WebSocket; the edge build has")
}

func webSocketSections() []Section { return nil }

func (v *validator) webSocket() {
	if v.o.WebSocket.Port != 0 {
		v.errorf("websocket", "the lite build has no WebSocket; the edge build has")
	}
}
