package config

import (
	"net"
	"net/url"
	"strconv"
	"time"
)

// Options is everything the server can be told. It is a value given at
// construction; after Validate nobody changes it. Sizes are bytes.
type Options struct {
	// File is the path given to ParseFile, Digest is "sha256:<hex>" over the
	// parsed tree. Both are empty for options built in code.
	File   string `key:"-"`
	Digest string `key:"-"`

	Host            string            `key:"host listen"`
	Port            int               `key:"port listen"` // -1 picks a free port
	ClientAdvertise string            `key:"client_advertise"`
	ServerName      string            `key:"server_name"` // "" means the server's id
	ServerTags      []string          `key:"server_tags"`
	ServerMetadata  map[string]string `key:"server_metadata"`
	Unix            UnixSocket        `key:"unix_socket"` // clients beside the port

	MaxConns        int   `key:"max_connections"`   // a negative number refuses every client
	MaxSubs         int   `key:"max_subscriptions"` // per connection, 0 is unlimited
	MaxSubTokens    int   `key:"max_sub_tokens"`    // 0 is unlimited
	MaxControlLine  int   `key:"max_control_line"`
	MaxPayload      int   `key:"max_payload"`
	MaxPending      int64 `key:"max_pending"`
	MaxPendingTotal int64 `key:"max_pending_total"`  // of all clients together; 0 for none
	MaxMemory       int64 `key:"max_memory"`         // of the process; 0: what the system says
	MaxTracedMsgLen int   `key:"max_traced_msg_len"` // 0 is unlimited
	MaxClosedConns  int   `key:"max_closed_clients"` // how many closed connections /connz remembers

	PingInterval time.Duration `key:"ping_interval"`
	PingMax      int           `key:"ping_max"`
	// WriteDeadline bounds one write to a client. WriteTimeout says what
	// happens when it passes: "default", which closes clients, "close" or
	// "retry".
	WriteDeadline time.Duration `key:"write_deadline"`
	WriteTimeout  string        `key:"write_timeout"`

	NoHeaders             bool `key:"no_header_support"`
	ConnectErrorReports   int  `key:"connect_error_reports"`   // log the first and every n-th failed dial of a remote
	ReconnectErrorReports int  `key:"reconnect_error_reports"` // the same once it was linked

	Auth       Authorization `key:"authorization"`
	NoAuthUser string        `key:"no_auth_user"`
	// Accounts are the tenants beside GlobalAccount; see accounts.go.
	Accounts      []Account `key:"accounts"`
	Mappings      []Mapping `key:"mappings"`       // of GlobalAccount
	SystemAccount string    `key:"system_account"` // of server events
	TLS           *TLS      `key:"tls"`            // nil is plain TCP
	AllowNonTLS   bool      `key:"allow_non_tls"`  // plain clients beside TLS on the client port

	HTTPHost     string `key:"http https"`     // "" means Host
	HTTPPort     int    `key:"http_port http"` // 0 is off, -1 picks a free port
	HTTPSPort    int    `key:"https_port https"`
	HTTPBasePath string `key:"http_base_path"` // "" or "/path" without a slash at the end

	Log          Log    `key:""`
	PidFile      string `key:"pid_file"`
	PortsFileDir string `key:"ports_file_dir"`

	JetStream JetStream `key:"jetstream"`
	// EdgeStore are the subjects of the stream EDGE, which the server makes at
	// the start, or gives these subjects; none leaves it alone.
	EdgeStore []string  `key:"edge_store"`
	Leaf      Leaf      `key:"leafnodes"`
	MQTT      MQTT      `key:"mqtt"`
	WebSocket WebSocket `key:"websocket"`

	// positions of the keys that were given, by dotted path.
	positions map[string]Position
}

// UnixSocket is a socket in the file system, on which a server listens beside a
// port. It has no TLS.
type UnixSocket struct {
	Path  string `key:"path"`  // "" for none
	Mode  uint32 `key:"mode"`  // of the file: who may write to it may connect
	Group string `key:"group"` // that the file belongs to, by name or number; "" leaves the process's
	// Users are who need no password: the first of them that fits holds.
	Users []PeerUser `key:"users"`
}

// PeerUser makes a user of who connects to a Unix socket as a user or as a member
// of a group of the system. Both are names or numbers; one that is "" is any.
type PeerUser struct {
	UID  string `key:"uid"`
	GID  string `key:"gid"`
	User string `key:"user"` // of the authorization: a name, or a public user key
}

// Log says what is logged and where to.
type Log struct {
	File         string `key:"log_file"` // "" is standard error
	Debug        bool   `key:"debug"`
	Trace        bool   `key:"trace trace_verbose trace_headers"`
	TraceHeaders bool   `key:"trace_headers"` // of messages trace the headers only
	Time         bool   `key:"logtime"`
	TimeUTC      bool   `key:"logtime_utc"`
	SizeLimit    int64  `key:"log_size_limit"` // rotate above; 0 never
	MaxNum       int    `key:"log_max_num"`    // files kept, the live one counted; 0 keeps all
	JSON         bool   `key:"log_format"`     // lines are JSON objects, not text
}

// Authorization says who may connect. Either one user, or one token, or users.
type Authorization struct {
	User     string `key:"user"`
	Password string `key:"password secret!"` // plain or a bcrypt hash
	Token    string `key:"token secret!"`
	// NKey is only read for leaf listeners (a public user key).
	NKey string `key:"nkey"`
	// Account the single user of a leaf listener is bound to, "" is "$G".
	Account string `key:"account"`
	// Timeout is the time a peer has to present itself; 0 means 2s, or the
	// TLS timeout + 1s where TLS is on: see AuthTimeout.
	Timeout time.Duration `key:"timeout"`
	Users   []User        `key:"users"`
	// DefaultPermissions apply to users without their own.
	DefaultPermissions *Permissions `key:"default_permissions"`
}

// Empty reports whether nothing is configured, so that everyone is welcome.
func (a *Authorization) Empty() bool {
	return a.User == "" && a.Password == "" && a.Token == "" && a.NKey == "" && len(a.Users) == 0
}

// AuthTimeout is the time limit to use beside a TLS block that may be nil.
func (a *Authorization) AuthTimeout(t *TLS) time.Duration {
	switch {
	case a.Timeout > 0:
		return a.Timeout
	case t != nil:
		return t.Timeout + time.Second
	default:
		return defaultAuthTimeout
	}
}

// User is one who may connect: by name and password, or by nkey.
type User struct {
	User        string       `key:"user"`
	Password    string       `key:"password secret!"`
	NKey        string       `key:"nkey"`    // public user key
	Account     string       `key:"account"` // leaf listeners only, "" is "$G"
	Permissions *Permissions `key:"permissions"`
	// ConnTypes are upper case names (STANDARD, LEAFNODE, MQTT ...); empty
	// allows every door.
	ConnTypes []string `key:"allowed_connection_types"`
}

// Permissions bound what a user may publish and subscribe to. Nil rules allow
// everything.
type Permissions struct {
	Publish   *Rules `key:"publish"`
	Subscribe *Rules `key:"subscribe"`
	// Responses allows publishing to the reply subjects of received messages;
	// nil does not. With Responses and no Publish.Allow, nothing else may be
	// published.
	Responses *Responses `key:"allow_responses"`
}

// Rules are subjects; deny wins. An empty Allow allows all that is not denied.
// Subscribe rules may be "subject queue".
type Rules struct {
	Allow []string `key:"allow"`
	Deny  []string `key:"deny"`
}

// Responses bounds the use of a reply subject. Negative values are unlimited.
type Responses struct {
	Max     int           `key:"max"`
	Expires time.Duration `key:"expires"`
}

// JetStream says where and how much to store.
type JetStream struct {
	Enabled   bool   `key:"enable"`
	StoreDir  string `key:"store_dir /store_dir"` // "" means a folder under the system's temporary one
	MaxMemory int64  `key:"max_memory_store"`     // -1: decided from the machine's memory
	MaxStore  int64  `key:"max_file_store"`       // -1: decided from the free disk
	Domain    string `key:"domain"`
	Strict    bool   `key:"strict"` // refuse unknown fields in API requests

	// SyncInterval 0 is the default and the promise: nothing is acknowledged
	// before it is on the disk. A duration gives up that promise and syncs
	// that often.
	SyncInterval time.Duration `key:"sync_interval"`
	// CommitInterval makes a commit wait so that more messages share one sync:
	// less wear for more latency. 0 commits as soon as the disk is free.
	CommitInterval time.Duration `key:"commit_interval"`
	// MaxDisk bounds the bytes of all files below StoreDir, and DiskReserve are
	// bytes of the disk that are left alone; 0 is none. MaxStore counts bytes of
	// messages.
	MaxDisk     int64 `key:"max_disk"`
	DiskReserve int64 `key:"disk_reserve"`

	Limits JetStreamLimits `key:"limits"`
}

// JetStreamLimits bound what one asset may ask for; 0 does not bound.
type JetStreamLimits struct {
	MaxAckPending       int           `key:"max_ack_pending"`
	MaxRequestBatch     int           `key:"max_request_batch"`
	DuplicateWindow     time.Duration `key:"duplicate_window"`
	DefaultMaxConsumers int           `key:"default_max_consumers"` // per stream; -1 is unlimited
}

// Leaf is the leafnodes block.
type Leaf struct {
	Set  bool   `key:"on!"` // the block is there
	Host string `key:"host listen"`
	Port int    `key:"port listen"` // 0: no listener; -1 picks a free port

	Auth          Authorization `key:"authorization"`
	TLS           *TLS          `key:"tls"`
	Advertise     string        `key:"leafnode_advertise"`
	NoAdvertise   bool          `key:"no_advertise"`
	MinVersion    string        `key:"min_version"`
	Compression   Compression   `key:"compression"`
	Isolate       bool          `key:"isolate_leafnode_interest"`
	Collect       string        `key:"collect"`        // stream that sources the stream EDGE of every edge; "" for none
	UniqueDomains bool          `key:"unique_domains"` // refuse a second JetStream of a domain; nats-server has none
	Reconnect     time.Duration `key:"reconnect"`
	DialTimeout   time.Duration `key:"dial_timeout"`
	WriteDeadline time.Duration `key:"write_deadline"` // 0 means Options.WriteDeadline
	PingInterval  time.Duration `key:"ping_interval"`  // 0: Options.PingInterval, or shorter
	PingMax       int           `key:"ping_max"`       // 0: Options.PingMax
	Remotes       []Remote      `key:"remotes"`
}

// Remote is one link this server makes.
type Remote struct {
	URLs        []*url.URL `key:"url"`
	Account     string     `key:"account"`      // local account, "$G" by default
	Credentials string     `key:"credentials"`  // path
	NKey        string     `key:"nkey secret!"` // seed of a user key
	TLS         *TLS       `key:"tls"`

	DenyImports []string    `key:"deny_imports"`
	DenyExports []string    `key:"deny_exports"`
	Compression Compression `key:"compression"`

	Hub               bool          `key:"hub"`          // this side is the hub of the link
	NoRandomize       bool          `key:"no_randomize"` // dial the URLs in their order
	Isolate           bool          `key:"isolate_leafnode_interest"`
	RequestIsolation  bool          `key:"request_isolation"`
	IgnoreDiscovered  bool          `key:"ignore_discovered_servers"` // do not dial URLs that the other side names
	Disabled          bool          `key:"disabled"`
	FirstInfoTimeout  time.Duration `key:"first_info_timeout"`
	DialTimeout       time.Duration `key:"dial_timeout"`
	ReconnectInterval time.Duration `key:"-"` // the block's value

	NoHeartbeatConnection bool `key:"no_heartbeat_connection"` // no second connection to a nats-server

	Pos Position `key:"-"`
}

// NewRemote is a link to a hub that has these addresses, with what the block says
// of all links. The caller adds it to Remotes.
func (l *Leaf) NewRemote(urls ...*url.URL) Remote {
	return Remote{
		URLs: urls, Account: GlobalAccount, Compression: l.Compression, DialTimeout: l.DialTimeout,
		ReconnectInterval: l.Reconnect, FirstInfoTimeout: firstInfoTimeout, Isolate: l.Isolate,
	}
}

const firstInfoTimeout = time.Second

// Compression of a link: Mode is one of the Compress* names. Thresholds are
// the RTT steps of CompressAuto: below the first none, then fast, better, best;
// 0 skips a step.
type Compression struct {
	Mode       string          `key:"mode"`
	Thresholds []time.Duration `key:"rtt_thresholds"`
}

// Compression modes.
const (
	CompressOff          = "off"
	CompressAccept       = "accept"
	CompressAuto         = "s2_auto"
	CompressFast         = "s2_fast"
	CompressBetter       = "s2_better"
	CompressBest         = "s2_best"
	CompressNotSupported = "not supported"
)

// MQTT is the mqtt block.
type MQTT struct {
	Set  bool   `key:"on!"` // the block is there
	Host string `key:"host listen"`
	Port int    `key:"port listen"` // 0: no listener; -1 picks a free port

	Unix       UnixSocket    `key:"unix_socket"`
	TLS        *TLS          `key:"tls"`
	Auth       Authorization `key:"authorization"`
	NoAuthUser string        `key:"no_auth_user"`

	// Listeners are ports beside that one.
	Listeners []MQTTListener `key:"listeners"`

	MaxAckPending int `key:"max_ack_pending"` // unacknowledged messages of one client

	// Sessions that outlive their connections: how many there may be, what one may
	// wait for, and how long it may outlive its connection.
	MaxKeptSessions int           `key:"max_kept_sessions"`
	MaxKeptMsgs     int64         `key:"max_kept_messages"`
	MaxKeptBytes    int64         `key:"max_kept_bytes"`
	MaxKeptTime     time.Duration `key:"max_kept_time"`

	// MaxKeepAlive is the longest keep alive of an MQTT 5 client; 0 does not bound.
	MaxKeepAlive time.Duration `key:"max_keepalive"`
	// SysInterval is how often MQTT clients are told of $SYS/broker; 0 for never.
	SysInterval time.Duration `key:"sys_interval"`
	// RefuseBlanks refuses topics that hold what no subject can, as
	// nats-server does, instead of escaping it.
	RefuseBlanks bool `key:"blanks"`
	// SparkplugAware keeps births as retained messages of $sparkplug/certificates/.
	SparkplugAware bool `key:"sparkplug_aware"`
	// RejectQoS2 refuses publications with QoS 2.
	RejectQoS2 bool `key:"reject_qos2_publish"`
	// DowngradeQoS2 grants QoS 1 to who asks for QoS 2.
	DowngradeQoS2 bool `key:"downgrade_qos2_subscribe"`
	// ConnectionMessages logs clients that come and go.
	ConnectionMessages bool `key:"connection_messages"`
}

// MQTTListener is an MQTT port with TLS and users of its own.
type MQTTListener struct {
	// Name tells it from the others; "" is the address.
	Name string `key:"name"`
	Host string `key:"host listen"`
	Port int    `key:"port listen"` // -1 picks a free port
	TLS  *TLS   `key:"tls"`
	// Auth are its users; without any they are those of the block, or the server's.
	Auth Authorization `key:"authorization"`
	// NoAuthUser stands for who presents nothing here, "" for nobody: it is one of
	// Auth, or of the server.
	NoAuthUser string `key:"no_auth_user"`
	MaxConns   int    `key:"max_connections"` // 0: no limit of its own
}

// ID is what the listener is called.
func (l *MQTTListener) ID() string {
	if l.Name != "" {
		return l.Name
	}
	return net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
}

// WebSocket is the websocket block: a listener for clients, and for MQTT.
type WebSocket struct {
	Host      string `key:"host listen"`
	Port      int    `key:"port listen"` // 0: no listener; -1 picks a free port
	Advertise string `key:"advertise"`   // host or host:port that clients are told
	TLS       *TLS   `key:"tls"`
	NoTLS     bool   `key:"no_tls"` // plain HTTP is meant

	// Which pages may connect; both ask for both.
	SameOrigin     bool     `key:"same_origin"`
	AllowedOrigins []string `key:"allowed_origins"` // URLs

	HandshakeTimeout time.Duration     `key:"handshake_timeout"` // of TLS and request; 0 is the default
	Compression      bool              `key:"compression"`
	Headers          map[string]string `key:"headers"` // of the answer

	Auth       Authorization `key:"authorization"`
	NoAuthUser string        `key:"no_auth_user"`
	// Cookies that hold what CONNECT does not say.
	UserCookie  string `key:"user_cookie"`
	PassCookie  string `key:"pass_cookie"`
	TokenCookie string `key:"token_cookie"`

	PingInterval time.Duration `key:"ping_interval"` // 0: that of other clients
}

// Default values that other rooms need by name.
const (
	DefaultHost     = "0.0.0.0"
	DefaultPort     = 4222
	DefaultLeafPort = 7422 // of a remote's URL without port
	GlobalAccount   = "$G"
	SystemAccount   = "$SYS" // unless another one is configured

	DefaultSocketMode = 0o660 // of a Unix socket

	defaultAuthTimeout = 2 * time.Second
	defaultTLSTimeout  = 2 * time.Second
)

// Defaults are the options of an empty file.
func Defaults() *Options {
	return &Options{
		Host:                  DefaultHost,
		Port:                  DefaultPort,
		Unix:                  UnixSocket{Mode: DefaultSocketMode},
		MaxConns:              64 * 1024,
		MaxControlLine:        4096,
		MaxPayload:            1 << 20,
		MaxPending:            64 << 20,
		MaxClosedConns:        10000,
		PingInterval:          2 * time.Minute,
		PingMax:               2,
		WriteDeadline:         10 * time.Second,
		WriteTimeout:          "default",
		SystemAccount:         SystemAccount,
		ConnectErrorReports:   3600,
		ReconnectErrorReports: 1,
		Log:                   Log{Time: true},
		JetStream: JetStream{
			MaxMemory: -1,
			MaxStore:  -1,
			Strict:    true,
			Limits:    JetStreamLimits{DefaultMaxConsumers: 1000},
		},
		Leaf: Leaf{
			Host:        DefaultHost,
			Compression: DefaultLeafCompression(),
			Reconnect:   time.Second,
			DialTimeout: time.Second,
		},
		WebSocket: WebSocket{Host: DefaultHost},
		MQTT: MQTT{
			Host:          DefaultHost,
			Unix:          UnixSocket{Mode: DefaultSocketMode},
			MaxAckPending: 1024,

			MaxKeptSessions: 20_000,
			MaxKeptMsgs:     100_000,
			MaxKeptBytes:    64 << 20,
			MaxKeptTime:     30 * 24 * time.Hour,
			SysInterval:     10 * time.Second,

			SparkplugAware:     true,
			ConnectionMessages: true,
		},
	}
}

// DefaultLeafCompression is what leaf links use unless told otherwise.
func DefaultLeafCompression() Compression {
	return Compression{
		Mode:       CompressAuto,
		Thresholds: []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond},
	}
}

// Pos tells where an option was given, by its path with the main names of the
// keys: "port", "mqtt", "leafnodes.remotes[0].url". The zero Position means
// that it was not in a file.
func (o *Options) Pos(path string) Position { return o.positions[path] }
