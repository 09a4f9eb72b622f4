package monitor

import "time"

// Routez is /routez. There are no routes yet.
type Routez struct {
	ID     string     `json:"server_id"`
	Name   string     `json:"server_name"`
	Now    time.Time  `json:"now"`
	Num    int        `json:"num_routes"`
	Routes []struct{} `json:"routes"`
}

// Gatewayz is /gatewayz. There are no gateways yet.
type Gatewayz struct {
	ID       string              `json:"server_id"`
	Now      time.Time           `json:"now"`
	Outbound map[string]struct{} `json:"outbound_gateways"`
	Inbound  map[string]struct{} `json:"inbound_gateways"`
}
