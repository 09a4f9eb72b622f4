package leaf

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// protocolVersion is what INFO and CONNECT announce: 3 understands message
// tracing headers in passing.
const protocolVersion = 3

// info is the INFO of a leaf link, in both directions.
type info struct {
	ServerID      string       `json:"server_id"`
	ServerName    string       `json:"server_name"`
	Version       string       `json:"version"`
	Proto         int          `json:"proto"`
	Go            string       `json:"go"`
	Host          string       `json:"host"`
	Port          int          `json:"port"`
	Headers       bool         `json:"headers"`
	AuthRequired  bool         `json:"auth_required,omitempty"`
	TLSRequired   bool         `json:"tls_required,omitempty"`
	TLSVerify     bool         `json:"tls_verify,omitempty"`
	MaxPayload    int          `json:"max_payload"`
	JetStream     bool         `json:"jetstream,omitempty"`
	IP            string       `json:"ip,omitempty"`
	ConnID        uint64       `json:"client_id,omitempty"`
	Nonce         string       `json:"nonce,omitempty"`
	Cluster       string       `json:"cluster,omitempty"`
	Domain        string       `json:"domain,omitempty"`
	Compression   string       `json:"compression,omitempty"`
	ConnectInfo   bool         `json:"connect_info,omitempty"`
	RemoteAccount string       `json:"remote_account,omitempty"`
	IsSystem      bool         `json:"acc_is_sys,omitempty"` // the account is that of the system
	APILevel      int          `json:"api_lvl,omitempty"`
	Import        *permissions `json:"import,omitempty"`
	Export        *permissions `json:"export,omitempty"`
	InfoOnConnect bool         `json:"info_on_connect,omitempty"`
	LeafURLs      []string     `json:"leafnode_urls,omitempty"`
	Frond         *extra       `json:"frond,omitempty"`
}

// permissions is one direction of a user's rights as INFO carries it.
type permissions struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

func permissionsOf(r *subject.Rules) *permissions {
	if r == nil || len(r.Allow) == 0 && len(r.Deny) == 0 {
		return nil
	}
	return &permissions{Allow: r.Allow, Deny: r.Deny}
}

func (p *permissions) rules() *subject.Rules {
	if p == nil {
		return nil
	}
	return &subject.Rules{Allow: p.Allow, Deny: p.Deny}
}

// connect is the CONNECT of the dialing side.
type connect struct {
	Version       string   `json:"version,omitempty"`
	NKey          string   `json:"nkey,omitempty"`
	JWT           string   `json:"jwt,omitempty"`
	Sig           string   `json:"sig,omitempty"`
	User          string   `json:"user,omitempty"`
	Password      string   `json:"pass,omitempty"`
	Token         string   `json:"auth_token,omitempty"`
	ServerID      string   `json:"server_id,omitempty"`
	Domain        string   `json:"domain,omitempty"`
	Name          string   `json:"name,omitempty"`
	Hub           bool     `json:"is_hub,omitempty"`
	Cluster       string   `json:"cluster,omitempty"`
	Headers       bool     `json:"headers,omitempty"`
	JetStream     bool     `json:"jetstream,omitempty"`
	DenyPub       []string `json:"deny_pub,omitempty"`
	Isolate       bool     `json:"isolate,omitempty"`
	Compression   string   `json:"compress_mode,omitempty"`
	RemoteAccount string   `json:"remote_account,omitempty"`
	Protocol      int      `json:"protocol,omitempty"`
	Frond         *extra   `json:"frond,omitempty"`

	// Only peers that took the wrong door have these.
	Lang    string `json:"lang,omitempty"`
	Gateway string `json:"gateway,omitempty"`
}

func (i *info) line() ([]byte, error) {
	text, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("encode INFO: %w", err)
	}
	return wire.AppendInfo(nil, text), nil
}

func (c *connect) line() ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode CONNECT: %w", err)
	}
	return wire.AppendConnect(nil, text), nil
}

// errWrongPort says that the dialed port is not a leafnode port.
var errWrongPort = &wire.Error{Text: "", Reason: wire.ReasonWrongPort}

func parseInfo(args []byte) (*info, error) {
	i := &info{}
	if err := json.Unmarshal(args, i); err != nil {
		return nil, fmt.Errorf("INFO of the peer: %w", err)
	}
	return i, nil
}

func parseConnect(args []byte) (*connect, error) {
	c := &connect{}
	if err := json.Unmarshal(args, c); err != nil {
		return nil, errors.Join(&wire.Error{Reason: wire.ReasonProtocolViolation}, fmt.Errorf("CONNECT of the peer: %w", err))
	}
	return c, nil
}
