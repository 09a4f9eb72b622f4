package core

import (
	"encoding/json"
	"runtime"

	"github.com/frondmq/frond/core/wire"
)

// What the server says it is. Level is the nats-server version whose client
// protocol and JetStream API are complete here: clients decide by it what they
// may use.
const (
	Level    = "2.12.0"
	apiLevel = 2
	// protocolLevel 1 means that INFO may come again at any time.
	protocolLevel = 1
)

// info is the INFO of a client connection. See "INFO" in the client protocol
// of the NATS documentation.
type info struct {
	ID            string `json:"server_id"`
	Name          string `json:"server_name"`
	Version       string `json:"version"`
	Proto         int    `json:"proto"`
	GoVersion     string `json:"go"`
	Host          string `json:"host"`
	Port          int    `json:"port"`
	Headers       bool   `json:"headers"`
	AuthRequired  bool   `json:"auth_required,omitempty"`
	TLSRequired   bool   `json:"tls_required,omitempty"`
	TLSVerify     bool   `json:"tls_verify,omitempty"`
	TLSAvailable  bool   `json:"tls_available,omitempty"`
	MaxPayload    int    `json:"max_payload"`
	JetStream     bool   `json:"jetstream,omitempty"`
	ClientID      uint64 `json:"client_id,omitempty"`
	ClientIP      string `json:"client_ip,omitempty"`
	Nonce         string `json:"nonce,omitempty"`
	Cluster       string `json:"cluster,omitempty"`
	Domain        string `json:"domain,omitempty"`
	ConnectInfo   bool   `json:"connect_info,omitempty"`
	RemoteAccount string `json:"remote_account,omitempty"`
	IsSystem      bool   `json:"acc_is_sys,omitempty"` // the account is that of the system
	APILevel      int    `json:"api_lvl,omitempty"`
	XKey          string `json:"xkey,omitempty"`
	LameDuck      bool   `json:"ldm,omitempty"` // go to another server
}

// clientInfo is what all INFOs on the client port have in common.
func (s *Server) clientInfo(n *snapshot) info {
	o := n.o
	host, port := s.advertised(o)
	i := info{
		ID:         s.identity.id,
		Name:       s.ServerName(),
		Version:    Level,
		Proto:      protocolLevel,
		GoVersion:  runtime.Version(),
		Host:       host,
		Port:       port,
		Headers:    !o.NoHeaders,
		MaxPayload: o.MaxPayload,
		JetStream:  s.jetStream(),
		Cluster:    s.clusterName(o),
		Domain:     s.domain(),
		APILevel:   apiLevel,
		XKey:       s.identity.xkey,
	}
	if t := o.TLS; t != nil {
		i.TLSVerify = t.Verify
		i.TLSRequired = !o.AllowNonTLS
		i.TLSAvailable = o.AllowNonTLS
	}
	return i
}

// line encodes i as the server sends it.
func (i *info) line() []byte {
	// The struct has only strings, numbers and booleans: Marshal can't fail.
	b, _ := json.Marshal(i)
	return wire.AppendInfo(make([]byte, 0, len(b)+8), b)
}
