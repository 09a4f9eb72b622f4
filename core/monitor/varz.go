package monitor

import "time"

// Varz is the general state of the server, /varz.
type Varz struct {
	ID                string            `json:"server_id"`
	Name              string            `json:"server_name"`
	Version           string            `json:"version"`
	Proto             int               `json:"proto"`
	GitCommit         string            `json:"git_commit,omitempty"`
	GoVersion         string            `json:"go"`
	Host              string            `json:"host"`
	Port              int               `json:"port"`
	AuthRequired      bool              `json:"auth_required,omitempty"`
	TLSRequired       bool              `json:"tls_required,omitempty"`
	TLSVerify         bool              `json:"tls_verify,omitempty"`
	TLSOCSPPeerVerify bool              `json:"tls_ocsp_peer_verify,omitempty"`
	IP                string            `json:"ip,omitempty"`
	ConnectURLs       []string          `json:"connect_urls,omitempty"`
	WSConnectURLs     []string          `json:"ws_connect_urls,omitempty"`
	MaxConnections    int               `json:"max_connections"`
	MaxSubscriptions  int               `json:"max_subscriptions,omitempty"`
	PingInterval      time.Duration     `json:"ping_interval"`
	PingMax           int               `json:"ping_max"`
	HTTPHost          string            `json:"http_host"`
	HTTPPort          int               `json:"http_port"`
	HTTPBasePath      string            `json:"http_base_path"`
	HTTPSPort         int               `json:"https_port"`
	AuthTimeout       float64           `json:"auth_timeout"` // seconds
	MaxControlLine    int               `json:"max_control_line"`
	MaxPayload        int               `json:"max_payload"`
	MaxPending        int64             `json:"max_pending"`
	Cluster           ClusterVarz       `json:"cluster"`
	Gateway           GatewayVarz       `json:"gateway"`
	Leaf              LeafVarz          `json:"leaf"`
	MQTT              MQTTVarz          `json:"mqtt"`
	Websocket         WebsocketVarz     `json:"websocket"`
	JetStream         JetStreamVarz     `json:"jetstream"`
	TLSTimeout        float64           `json:"tls_timeout"` // seconds
	WriteDeadline     time.Duration     `json:"write_deadline"`
	WriteTimeout      string            `json:"write_timeout,omitempty"`
	Start             time.Time         `json:"start"`
	Now               time.Time         `json:"now"`
	Uptime            string            `json:"uptime"` // see Uptime
	Mem               int64             `json:"mem"`    // resident bytes
	Cores             int               `json:"cores"`
	MaxProcs          int               `json:"gomaxprocs"`
	MemLimit          int64             `json:"gomemlimit,omitempty"`
	Memory            *MemoryVarz       `json:"memory,omitempty"`
	CPU               float64           `json:"cpu"` // percent of one core
	Connections       int               `json:"connections"`
	TotalConnections  uint64            `json:"total_connections"`
	Routes            int               `json:"routes"`
	Remotes           int               `json:"remotes"`
	Leafs             int               `json:"leafnodes"`
	InMsgs            int64             `json:"in_msgs"`
	InBytes           int64             `json:"in_bytes"`
	InClientMsgs      int64             `json:"in_client_msgs"`
	InClientBytes     int64             `json:"in_client_bytes"`
	OutMsgs           int64             `json:"out_msgs"`
	OutBytes          int64             `json:"out_bytes"`
	OutClientMsgs     int64             `json:"out_client_msgs"`
	OutClientBytes    int64             `json:"out_client_bytes"`
	SlowConsumers     int64             `json:"slow_consumers"`
	StaleConnections  int64             `json:"stale_connections"`
	StalledClients    int64             `json:"stalled_clients"`
	Subscriptions     uint64            `json:"subscriptions"`
	HTTPReqStats      map[string]uint64 `json:"http_req_stats"`
	ConfigLoadTime    time.Time         `json:"config_load_time"`
	ConfigDigest      string            `json:"config_digest"`
	Tags              []string          `json:"tags,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`
	FeatureFlags      map[string]bool   `json:"feature_flags,omitempty"`
	SystemAccount     string            `json:"system_account,omitempty"`
	SlowByKind        *KindCounts       `json:"slow_consumer_stats"`
	StaleByKind       *KindCounts       `json:"stale_connection_stats,omitempty"`
	DiskWait          DiskWait          `json:"disk_io_wait_stats"`
	TLSCertNotAfter   *time.Time        `json:"tls_cert_not_after,omitempty"`

	// Not of nats-server.
	FrondVersion string `json:"frond_version,omitempty"`
}

// KindCounts splits a count by kind of connection.
type KindCounts struct {
	Clients  uint64 `json:"clients"`
	Routes   uint64 `json:"routes"`
	Gateways uint64 `json:"gateways"`
	Leafs    uint64 `json:"leafs"`
}

// DiskWait counts those who waited for a turn at the disk.
type DiskWait struct {
	Waiters     int64         `json:"waiters"`
	Waits       uint64        `json:"waits"`
	WaitTime    time.Duration `json:"wait_time"`
	MaxWaitTime time.Duration `json:"max_wait_time"`
}

// ClusterVarz describes the routes' listener.
type ClusterVarz struct {
	Name            string        `json:"name,omitempty"`
	Host            string        `json:"addr,omitempty"`
	Port            int           `json:"cluster_port,omitempty"`
	AuthTimeout     float64       `json:"auth_timeout,omitempty"`
	URLs            []string      `json:"urls,omitempty"`
	TLSTimeout      float64       `json:"tls_timeout,omitempty"`
	TLSRequired     bool          `json:"tls_required,omitempty"`
	TLSVerify       bool          `json:"tls_verify,omitempty"`
	PoolSize        int           `json:"pool_size,omitempty"`
	WriteDeadline   time.Duration `json:"write_deadline,omitempty"`
	WriteTimeout    string        `json:"write_timeout,omitempty"`
	TLSCertNotAfter *time.Time    `json:"tls_cert_not_after,omitempty"`
}

// GatewayVarz describes the gateways' listener.
type GatewayVarz struct {
	Name            string              `json:"name,omitempty"`
	Host            string              `json:"host,omitempty"`
	Port            int                 `json:"port,omitempty"`
	AuthTimeout     float64             `json:"auth_timeout,omitempty"`
	TLSTimeout      float64             `json:"tls_timeout,omitempty"`
	TLSRequired     bool                `json:"tls_required,omitempty"`
	TLSVerify       bool                `json:"tls_verify,omitempty"`
	Advertise       string              `json:"advertise,omitempty"`
	ConnectRetries  int                 `json:"connect_retries,omitempty"`
	Gateways        []RemoteGatewayVarz `json:"gateways,omitempty"`
	RejectUnknown   bool                `json:"reject_unknown,omitempty"`
	WriteDeadline   time.Duration       `json:"write_deadline,omitempty"`
	WriteTimeout    string              `json:"write_timeout,omitempty"`
	TLSCertNotAfter *time.Time          `json:"tls_cert_not_after,omitempty"`
}

// RemoteGatewayVarz is one configured gateway.
type RemoteGatewayVarz struct {
	Name       string   `json:"name"`
	TLSTimeout float64  `json:"tls_timeout,omitempty"`
	URLs       []string `json:"urls,omitempty"`
}

// LeafVarz describes the leafnodes' listener and remotes.
type LeafVarz struct {
	Host              string           `json:"host,omitempty"`
	Port              int              `json:"port,omitempty"`
	AuthTimeout       float64          `json:"auth_timeout,omitempty"`
	TLSTimeout        float64          `json:"tls_timeout,omitempty"`
	TLSRequired       bool             `json:"tls_required,omitempty"`
	TLSVerify         bool             `json:"tls_verify,omitempty"`
	Remotes           []RemoteLeafVarz `json:"remotes,omitempty"`
	TLSOCSPPeerVerify bool             `json:"tls_ocsp_peer_verify,omitempty"`
	WriteDeadline     time.Duration    `json:"write_deadline,omitempty"`
	WriteTimeout      string           `json:"write_timeout,omitempty"`
	TLSCertNotAfter   *time.Time       `json:"tls_cert_not_after,omitempty"`
}

// RemoteLeafVarz is one configured leaf remote. URLs carry no secrets.
type RemoteLeafVarz struct {
	LocalAccount      string        `json:"local_account,omitempty"`
	TLSTimeout        float64       `json:"tls_timeout,omitempty"`
	URLs              []string      `json:"urls,omitempty"`
	Deny              *LeafDenyVarz `json:"deny,omitempty"`
	TLSOCSPPeerVerify bool          `json:"tls_ocsp_peer_verify,omitempty"`

	Connected bool `json:"-"` // or not to be
}

// LeafDenyVarz are the subjects a remote does not let through.
type LeafDenyVarz struct {
	Exports []string `json:"exports,omitempty"`
	Imports []string `json:"imports,omitempty"`
}

// MQTTVarz describes the MQTT listener.
type MQTTVarz struct {
	Host              string        `json:"host,omitempty"`
	Port              int           `json:"port,omitempty"`
	NoAuthUser        string        `json:"no_auth_user,omitempty"`
	AuthTimeout       float64       `json:"auth_timeout,omitempty"`
	TLSMap            bool          `json:"tls_map,omitempty"`
	TLSTimeout        float64       `json:"tls_timeout,omitempty"`
	TLSPinnedCerts    []string      `json:"tls_pinned_certs,omitempty"`
	JSDomain          string        `json:"js_domain,omitempty"`
	AckWait           time.Duration `json:"ack_wait,omitempty"`
	MaxAckPending     uint16        `json:"max_ack_pending,omitempty"`
	TLSOCSPPeerVerify bool          `json:"tls_ocsp_peer_verify,omitempty"`
	TLSCertNotAfter   *time.Time    `json:"tls_cert_not_after,omitempty"`

	// Not of nats-server.
	RefusedConnects uint64 `json:"refused_connects,omitempty"` // CONNECTs that were not let in
	LostProperties  uint64 `json:"lost_properties,omitempty"`  // that can't be message headers
	LostRetained    uint64 `json:"lost_retained,omitempty"`    // retained messages that were not stored
	LostKept        uint64 `json:"lost_kept,omitempty"`        // by kept sessions, of what came by links

	Listeners []MQTTListenerVarz `json:"listeners,omitempty"` // beside that port
}

// MQTTListenerVarz describes one of the MQTT listeners that have TLS and users of
// their own.
type MQTTListenerVarz struct {
	Name        string  `json:"name"`
	Host        string  `json:"host"`
	Port        int     `json:"port"`
	TLSRequired bool    `json:"tls_required,omitempty"`
	OwnUsers    bool    `json:"own_users,omitempty"`
	NoAuthUser  string  `json:"no_auth_user,omitempty"`
	AuthTimeout float64 `json:"auth_timeout"`
	Connections int     `json:"connections"` // now
	MaxConns    int     `json:"max_connections,omitempty"`
}

// WebsocketVarz describes the WebSocket listener.
type WebsocketVarz struct {
	Host              string        `json:"host,omitempty"`
	Port              int           `json:"port,omitempty"`
	Advertise         string        `json:"advertise,omitempty"`
	NoAuthUser        string        `json:"no_auth_user,omitempty"`
	JWTCookie         string        `json:"jwt_cookie,omitempty"`
	HandshakeTimeout  time.Duration `json:"handshake_timeout,omitempty"`
	AuthTimeout       float64       `json:"auth_timeout,omitempty"`
	NoTLS             bool          `json:"no_tls,omitempty"`
	TLSMap            bool          `json:"tls_map,omitempty"`
	TLSPinnedCerts    []string      `json:"tls_pinned_certs,omitempty"`
	SameOrigin        bool          `json:"same_origin,omitempty"`
	AllowedOrigins    []string      `json:"allowed_origins,omitempty"`
	Compression       bool          `json:"compression,omitempty"`
	TLSOCSPPeerVerify bool          `json:"tls_ocsp_peer_verify,omitempty"`
	TLSCertNotAfter   *time.Time    `json:"tls_cert_not_after,omitempty"`
}

// JetStreamVarz is empty when JetStream is off.
type JetStreamVarz struct {
	Config *JetStreamConfig `json:"config,omitempty"`
	Stats  *JetStreamStats  `json:"stats,omitempty"`
	Limits *JetStreamLimits `json:"limits,omitempty"`
}

// JetStreamConfig is what JetStream was given.
type JetStreamConfig struct {
	MaxMemory    int64         `json:"max_memory"`
	MaxStore     int64         `json:"max_storage"`
	StoreDir     string        `json:"store_dir,omitempty"`
	SyncInterval time.Duration `json:"sync_interval,omitempty"`
	SyncAlways   bool          `json:"sync_always,omitempty"`
	Domain       string        `json:"domain,omitempty"`
	CompressOK   bool          `json:"compress_ok,omitempty"`
	UniqueTag    string        `json:"unique_tag,omitempty"`
	Strict       bool          `json:"strict,omitempty"`
}

// JetStreamStats is what JetStream uses.
type JetStreamStats struct {
	Memory         uint64            `json:"memory"`
	Store          uint64            `json:"storage"`
	ReservedMemory uint64            `json:"reserved_memory"`
	ReservedStore  uint64            `json:"reserved_storage"`
	Accounts       int               `json:"accounts"`
	HAAssets       int               `json:"ha_assets"`
	API            JetStreamAPIStats `json:"api"`
}

// JetStreamAPIStats counts JetStream API requests.
type JetStreamAPIStats struct {
	Level    int    `json:"level"`
	Total    uint64 `json:"total"`
	Errors   uint64 `json:"errors"`
	Inflight uint64 `json:"inflight,omitempty"`
}

// JetStreamLimits bound what one asset may ask for.
type JetStreamLimits struct {
	MaxRequestBatch           int           `json:"max_request_batch,omitempty"`
	MaxAckPending             int           `json:"max_ack_pending,omitempty"`
	MaxHAAssets               int           `json:"max_ha_assets,omitempty"`
	Duplicates                time.Duration `json:"max_duplicate_window,omitempty"`
	MaxBatchInflightPerStream int           `json:"max_batch_inflight_per_stream,omitempty"`
	MaxBatchInflightTotal     int           `json:"max_batch_inflight_total,omitempty"`
	MaxBatchSize              int           `json:"max_batch_size,omitempty"`
	MaxBatchTimeout           time.Duration `json:"max_batch_timeout,omitempty"`
	DefaultMaxConsumers       int           `json:"default_max_consumers,omitempty"`
}

// MemoryVarz is the memory of a process that has a limit, in bytes.
type MemoryVarz struct {
	Limit        int64  `json:"limit"`
	From         string `json:"limit_from"` // max_memory, cgroup or GOMEMLIMIT
	InUse        int64  `json:"in_use"`     // by all but what waits, as last measured
	Waiting      int64  `json:"waiting"`    // to be written to clients and links
	WaitingLimit int64  `json:"waiting_limit"`
	Partial      int64  `json:"partial"` // of messages that have come in part
	// Of what is in use: JetStream's operations that wait for the disk or to be
	// applied, those that were written last, and messages decoded from files.
	Staged  int64 `json:"staged"`
	Journal int64 `json:"journal"`
	Caches  int64 `json:"caches"`
	Short   bool  `json:"short,omitempty"` // publishers are held up
}
