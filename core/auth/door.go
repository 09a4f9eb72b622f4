package auth

// The connection types that a user may be limited to.
const (
	DoorStandard      = "STANDARD"
	DoorWebSocket     = "WEBSOCKET"
	DoorLeaf          = "LEAFNODE"
	DoorLeafWebSocket = "LEAFNODE_WS"
	DoorMQTT          = "MQTT"
	DoorMQTTWebSocket = "MQTT_WS"
	DoorInProcess     = "IN_PROCESS"
)

// Door is the connection type of the peer.
func (r *Request) Door() string {
	switch {
	case r.Kind == KindLeaf && r.WebSocket:
		return DoorLeafWebSocket
	case r.Kind == KindLeaf:
		return DoorLeaf
	case r.Kind == KindMQTT && r.WebSocket:
		return DoorMQTTWebSocket
	case r.Kind == KindMQTT:
		return DoorMQTT
	case r.InProcess:
		return DoorInProcess
	case r.WebSocket:
		return DoorWebSocket
	}
	return DoorStandard
}

func knownDoor(door string) bool {
	switch door {
	case DoorStandard, DoorWebSocket, DoorLeaf, DoorLeafWebSocket, DoorMQTT, DoorMQTTWebSocket, DoorInProcess:
		return true
	}
	return false
}
