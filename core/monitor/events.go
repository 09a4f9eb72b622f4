package monitor

import (
	"encoding/json"
	"time"
)

// Types of the events on $SYS subjects.
const (
	TypeConnect      = "io.nats.server.advisory.v1.client_connect"
	TypeDisconnect   = "io.nats.server.advisory.v1.client_disconnect"
	TypeAccountConns = "io.nats.server.advisory.v1.account_connections"
	TypeLatency      = "io.nats.server.metric.v1.service_latency"
)

// Event is the head of what the server publishes by itself.
type Event struct {
	Type string    `json:"type"`
	ID   string    `json:"id"`
	Time time.Time `json:"timestamp"`
}

// Connected tells that somebody has logged in.
type Connected struct {
	Event
	Server *ServerInfo `json:"server"`
	Client EventClient `json:"client"`
}

// Disconnected tells that a connection has ended, or was not let in.
type Disconnected struct {
	Event
	Server   *ServerInfo `json:"server"`
	Client   EventClient `json:"client"`
	Sent     DataStats   `json:"sent"`     // by the client
	Received DataStats   `json:"received"` // by the client
	Reason   string      `json:"reason"`
}

// AccountConns tells how many are in an account.
type AccountConns struct {
	Event
	Server *ServerInfo `json:"server"`
	AccountStat
}

// EventClient is who an event is about.
type EventClient struct {
	Start      time.Time     `json:"start"`
	Host       string        `json:"host,omitempty"`
	ID         uint64        `json:"id,omitempty"`
	Account    string        `json:"acc,omitempty"`
	User       string        `json:"user,omitempty"`
	Name       string        `json:"name,omitempty"`
	Lang       string        `json:"lang,omitempty"`
	Version    string        `json:"ver,omitempty"`
	RTT        time.Duration `json:"rtt,omitempty"`
	Stop       *time.Time    `json:"stop,omitempty"`
	NameTag    string        `json:"name_tag,omitempty"`
	Kind       string        `json:"kind,omitempty"`
	ClientType string        `json:"client_type,omitempty"`
	MQTTClient string        `json:"client_id,omitempty"`
}

// Latency tells how long a service of an account took. Who asked and who answered is
// what services hear of clients.
type Latency struct {
	Event
	Status      int                 `json:"status"`
	Description string              `json:"description,omitempty"`
	Requestor   json.RawMessage     `json:"requestor,omitempty"`
	Responder   json.RawMessage     `json:"responder,omitempty"`
	Header      map[string][]string `json:"header,omitempty"`
	Start       time.Time           `json:"start"`
	Service     time.Duration       `json:"service"`
	System      time.Duration       `json:"system"` // between servers
	Total       time.Duration       `json:"total"`
}

// LeafConnected tells that a leaf link is up.
type LeafConnected struct {
	Server  *ServerInfo `json:"server"`
	Account string      `json:"acc"`
}
