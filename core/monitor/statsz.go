package monitor

import "time"

// Statsz is what a server tells of itself every few seconds, and is asked for by
// $SYS.REQ.SERVER.PING: the answer that has no envelope.
type Statsz struct {
	Server *ServerInfo  `json:"server"`
	Stats  *ServerStats `json:"statsz"`
}

// ServerStats are the figures of a Statsz.
type ServerStats struct {
	Start              time.Time      `json:"start"`
	Mem                int64          `json:"mem"`
	Cores              int            `json:"cores"`
	CPU                float64        `json:"cpu"`
	Connections        int            `json:"connections"`
	TotalConnections   uint64         `json:"total_connections"`
	ActiveAccounts     int            `json:"active_accounts"`
	Subscriptions      uint64         `json:"subscriptions"`
	Sent               DataStats      `json:"sent"`
	SentToClients      DataStats      `json:"sent_to_clients"`
	Received           DataStats      `json:"received"`
	ReceivedFromClient DataStats      `json:"received_from_clients"`
	SlowConsumers      int64          `json:"slow_consumers"`
	SlowByKind         *KindCounts    `json:"slow_consumer_stats,omitempty"`
	StaleConnections   int64          `json:"stale_connections,omitempty"`
	StaleByKind        *KindCounts    `json:"stale_connection_stats,omitempty"`
	StalledClients     int64          `json:"stalled_clients,omitempty"`
	ActiveServers      int            `json:"active_servers,omitempty"`
	JetStream          *JetStreamVarz `json:"jetstream,omitempty"`
	MemLimit           int64          `json:"gomemlimit,omitempty"`
	MaxProcs           int            `json:"gomaxprocs,omitempty"`
}

// NewServerStats is the part of v that a Statsz has; v must not be used any more. The
// folder of the store is not told to other servers.
func NewServerStats(v *Varz, activeAccounts int) *ServerStats {
	s := &ServerStats{
		Start: v.Start, Mem: v.Mem, Cores: v.Cores, CPU: v.CPU, Connections: v.Connections, TotalConnections: v.TotalConnections,
		ActiveAccounts: activeAccounts, Subscriptions: v.Subscriptions,
		Sent: DataStats{Msgs: v.OutMsgs, Bytes: v.OutBytes}, SentToClients: DataStats{Msgs: v.OutClientMsgs, Bytes: v.OutClientBytes},
		Received: DataStats{Msgs: v.InMsgs, Bytes: v.InBytes}, ReceivedFromClient: DataStats{Msgs: v.InClientMsgs, Bytes: v.InClientBytes},
		SlowConsumers: v.SlowConsumers, StaleConnections: v.StaleConnections, StalledClients: v.StalledClients,
		ActiveServers: 1, MemLimit: v.MemLimit, MaxProcs: v.MaxProcs,
	}
	if v.SlowConsumers > 0 {
		s.SlowByKind = v.SlowByKind
	}
	if v.StaleConnections > 0 {
		s.StaleByKind = v.StaleByKind
	}
	if v.JetStream.Config != nil {
		config := *v.JetStream.Config
		config.StoreDir = ""
		s.JetStream = &JetStreamVarz{Config: &config, Stats: v.JetStream.Stats, Limits: v.JetStream.Limits}
	}
	return s
}

// DataStats count messages and their bytes; the parts are of other servers.
type DataStats struct {
	Msgs     int64  `json:"msgs"`
	Bytes    int64  `json:"bytes"`
	Gateways *Count `json:"gateways,omitempty"`
	Routes   *Count `json:"routes,omitempty"`
	Leafs    *Count `json:"leafs,omitempty"`
}

// Count is a part of DataStats.
type Count struct {
	Msgs  int64 `json:"msgs"`
	Bytes int64 `json:"bytes"`
}
