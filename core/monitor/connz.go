package monitor

import "time"

// Connz is a page of connections, /connz. NewConnz makes one.
type Connz struct {
	ID       string      `json:"server_id"`
	Now      time.Time   `json:"now"`
	NumConns int         `json:"num_connections"` // on this page
	Total    int         `json:"total"`
	Offset   int         `json:"offset"`
	Limit    int         `json:"limit"`
	Conns    []*ConnInfo `json:"connections"`
}

// ConnInfo is one connection: of a client of any protocol, or of a leaf.
type ConnInfo struct {
	Cid            uint64        `json:"cid"`
	Kind           string        `json:"kind,omitempty"` // KindClient or KindLeaf; tools index its first letter
	Type           string        `json:"type,omitempty"` // TypeNATS, TypeMQTT ..., clients only
	IP             string        `json:"ip"`             // or "unix:PATH"
	Port           int           `json:"port"`
	UID            *uint32       `json:"uid,omitempty"` // on a Unix socket: the system's user
	PID            int32         `json:"pid,omitempty"` // and the process that connected
	Start          time.Time     `json:"start"`
	LastActivity   time.Time     `json:"last_activity"`
	Stop           *time.Time    `json:"stop,omitempty"`   // nil while open
	Reason         string        `json:"reason,omitempty"` // of the end
	RTT            string        `json:"rtt,omitempty"`    // filled in from RoundTrip
	Uptime         string        `json:"uptime"`           // filled in, unless Stop came with it
	Idle           string        `json:"idle"`             // likewise
	Pending        int           `json:"pending_bytes"`
	InMsgs         int64         `json:"in_msgs"`
	OutMsgs        int64         `json:"out_msgs"`
	InBytes        int64         `json:"in_bytes"`
	OutBytes       int64         `json:"out_bytes"`
	Stalls         int64         `json:"stalls,omitempty"`
	NumSubs        uint32        `json:"subscriptions"`
	Name           string        `json:"name,omitempty"`
	Lang           string        `json:"lang,omitempty"`
	Version        string        `json:"version,omitempty"`
	TLSVersion     string        `json:"tls_version,omitempty"`
	TLSCipher      string        `json:"tls_cipher_suite,omitempty"`
	TLSPeerCerts   []TLSPeerCert `json:"tls_peer_certs,omitempty"` // with auth
	TLSFirst       bool          `json:"tls_first,omitempty"`
	AuthorizedUser string        `json:"authorized_user,omitempty"` // with auth
	Account        string        `json:"account,omitempty"`         // with auth
	Subs           []string      `json:"subscriptions_list,omitempty"`
	SubsDetail     []SubDetail   `json:"subscriptions_list_detail,omitempty"`
	JWT            string        `json:"jwt,omitempty"`
	IssuerKey      string        `json:"issuer_key,omitempty"`
	NameTag        string        `json:"name_tag,omitempty"`
	Tags           []string      `json:"tags,omitempty"`
	MQTTClient     string        `json:"mqtt_client,omitempty"`
	// Not of nats-server.
	MQTTListener string     `json:"mqtt_listener,omitempty"` // one beside the port of the block
	MQTTDrops    *MQTTDrops `json:"mqtt_drops,omitempty"`

	// RoundTrip is the last measured round trip, for RTT and for sorting.
	RoundTrip time.Duration `json:"-"`
	// AccountName is the account whatever was asked, for the filter.
	AccountName string `json:"-"`
}

// MQTTDrops counts the messages that an MQTT client was not sent, by the reason, and
// those that it published and that were refused.
type MQTTDrops struct {
	Slow     int64 `json:"slow,omitempty"`      // it does not read what it asks for
	TooLarge int64 `json:"too_large,omitempty"` // larger than it takes
	Unfit    int64 `json:"unfit,omitempty"`     // the subject is no topic
	Expired  int64 `json:"expired,omitempty"`
	Denied   int64 `json:"denied,omitempty"` // it may not hear them
	Refused  int64 `json:"refused,omitempty"`
}

// TLSPeerCert is a certificate the peer presented.
type TLSPeerCert struct {
	Subject    string `json:"subject,omitempty"`
	SPKISHA256 string `json:"spki_sha256,omitempty"`
	CertSHA256 string `json:"cert_sha256,omitempty"`
}

// SubDetail is one subscription.
type SubDetail struct {
	Account    string `json:"account,omitempty"`
	AccountTag string `json:"account_tag,omitempty"`
	Subject    string `json:"subject"`
	Queue      string `json:"qgroup,omitempty"`
	SID        string `json:"sid"`
	Msgs       int64  `json:"msgs"`
	Max        int64  `json:"max,omitempty"`
	Cid        uint64 `json:"cid"`
}

// Names of ConnInfo.Kind and ConnInfo.Type.
const (
	KindClient = "Client"
	KindLeaf   = "Leafnode"

	TypeNATS      = "nats"
	TypeMQTT      = "mqtt"
	TypeWebsocket = "websocket"
)

// ConnState selects connections by their life. The numbers are those of the
// request on $SYS.
type ConnState int

const (
	ConnOpen ConnState = iota
	ConnClosed
	ConnAll
)

// DefaultPage is the page size of lists.
const DefaultPage = 1024

// ConnzOptions is what was asked of /connz. The JSON form is the body of the
// request on $SYS.
type ConnzOptions struct {
	Sort          string    `json:"sort"`
	Auth          bool      `json:"auth"`
	Subscriptions bool      `json:"subscriptions"`
	SubsDetail    bool      `json:"subscriptions_detail"`
	Offset        int       `json:"offset"`
	Limit         int       `json:"limit"`
	CID           uint64    `json:"cid"`
	MQTTClient    string    `json:"mqtt_client"`
	State         ConnState `json:"state"`
	User          string    `json:"user"`
	Account       string    `json:"acc"`
	FilterSubject string    `json:"filter_subject"` // needs Account
}
