package config

import (
	"net/url"
	"time"
)

// Options is everything the server can be told. It is a value given at
// construction; after Validate nobody changes it. Sizes are bytes.
type Options struct {
	// File is the path given to ParseFile, Digest is "sha256:<hex>" over the
	// parsed tree. Both are empty for options built in code.
	File   string
	Digest string

	Host            string
	Port            int // -1 picks a free port
	ClientAdvertise string
	ServerName      string // "" means the server's id
	ServerTags      []string
	ServerMetadata  map[string]string

	MaxConns        int // a negative number refuses every client
	MaxSubs         int // per connection, 0 is unlimited
	MaxSubTokens    int // 0 is unlimited
	MaxControlLine  int
	MaxPayload      int
	MaxPending      int64
	MaxPendingTotal int64 // of all clients together; 0 for none
	MaxTracedMsgLen int   // 0 is unlimited
	MaxClosedConns  int   // how many closed connections /connz remembers

	PingInterval time.Duration
	PingMax      int
	// WriteDeadline bounds one write to a client. WriteTimeout says what
	// happens when it passes: "default", which closes clients, "close" or
	// "retry".
	WriteDeadline time.Duration
	WriteTimeout  string

	NoHeaders             bool
	ConnectErrorReports   int // log the first and every n-th failed dial of a remote
	ReconnectErrorReports int // the same once it was linked

	Auth        Authorization
	NoAuthUser  string
	TLS         *TLS // nil is plain TCP
	AllowNonTLS bool // plain clients beside TLS on the client port

	HTTPHost     string // "" means Host
	HTTPPort     int    // 0 is off, -1 picks a free port
	HTTPSPort    int
	HTTPBasePath string // "" or "/path" without a slash at the end

	Log          Log
	PidFile      string
	PortsFileDir string

	JetStream JetStream
	// EdgeStore are the subjects of the stream EDGE, which the server makes at
	// the start, or gives these subjects; none leaves it alone.
	EdgeStore []string
	Leaf      Leaf
	MQTT      MQTT

	// positions of the keys that were given, by dotted path.
	positions map[string]Position
}

// Log says what is logged and where to.
type Log struct {
	File         string // "" is standard error
	Debug        bool
	Trace        bool
	TraceHeaders bool // of messages trace the headers only
	Time         bool
	TimeUTC      bool
	SizeLimit    int64 // rotate above; 0 never
	MaxNum       int   // files kept, the live one counted; 0 keeps all
	JSON         bool  // lines are JSON objects, not text
}

// Authorization says who may connect. Either one user, or one token, or users.
type Authorization struct {
	User     string
	Password string // plain or a bcrypt hash
	Token    string
	// NKey is only read for leaf listeners (a public user key).
	NKey string
	// Account the single user of a leaf listener is bound to, "" is "$G".
	Account string
	// Timeout is the time a peer has to present itself; 0 means 2s, or the
	// TLS timeout + 1s where TLS is on: see AuthTimeout.
	Timeout time.Duration
	Users   []User
	// DefaultPermissions apply to users without their own.
	DefaultPermissions *Permissions
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
	User        string
	Password    string
	NKey        string // public user key
	Account     string // leaf listeners only, "" is "$G"
	Permissions *Permissions
	// ConnTypes are upper case names (STANDARD, LEAFNODE, MQTT ...); empty
	// allows every door.
	ConnTypes []string
}

// Permissions bound what a user may publish and subscribe to. Nil rules allow
// everything.
type Permissions struct {
	Publish   *Rules
	Subscribe *Rules
	// Responses allows publishing to the reply subjects of received messages;
	// nil does not. With Responses and no Publish.Allow, nothing else may be
	// published.
	Responses *Responses
}

// Rules are subjects; deny wins. An empty Allow allows all that is not denied.
// Subscribe rules may be "subject queue".
type Rules struct {
	Allow []string
	Deny  []string
}

// Responses bounds the use of a reply subject. Negative values are unlimited.
type Responses struct {
	Max     int
	Expires time.Duration
}

// JetStream says where and how much to store.
type JetStream struct {
	Enabled   bool
	StoreDir  string // "" means a folder under the system's temporary one
	MaxMemory int64  // -1: decided from the machine's memory
	MaxStore  int64  // -1: decided from the free disk
	Domain    string
	Strict    bool // refuse unknown fields in API requests

	// SyncInterval 0 is the default and the promise: nothing is acknowledged
	// before it is on the disk. A duration gives up that promise and syncs
	// that often.
	SyncInterval time.Duration
	// CommitInterval makes a commit wait so that more messages share one sync:
	// less wear for more latency. 0 commits as soon as the disk is free.
	CommitInterval time.Duration
	// MaxDisk bounds the bytes of all files below StoreDir, and DiskReserve are
	// bytes of the disk that are left alone; 0 is none. MaxStore counts bytes of
	// messages.
	MaxDisk, DiskReserve int64

	Limits JetStreamLimits
}

// JetStreamLimits bound what one asset may ask for; 0 does not bound.
type JetStreamLimits struct {
	MaxAckPending       int
	MaxRequestBatch     int
	DuplicateWindow     time.Duration
	DefaultMaxConsumers int // per stream; -1 is unlimited
}

// Leaf is the leafnodes block.
type Leaf struct {
	Set  bool // the block is there
	Host string
	Port int // 0: no listener; -1 picks a free port

	Auth          Authorization
	TLS           *TLS
	Advertise     string
	NoAdvertise   bool
	MinVersion    string
	Compression   Compression
	Isolate       bool
	Collect       string // stream that sources the stream EDGE of every edge; "" for none
	UniqueDomains bool   // refuse a second JetStream of a domain; nats-server has none
	Reconnect     time.Duration
	DialTimeout   time.Duration
	WriteDeadline time.Duration // 0 means Options.WriteDeadline
	PingInterval  time.Duration // 0: Options.PingInterval, or shorter
	PingMax       int           // 0: Options.PingMax
	Remotes       []Remote
}

// Remote is one link this server makes.
type Remote struct {
	URLs        []*url.URL
	Account     string // local account, "$G" by default
	Credentials string // path
	NKey        string // seed of a user key
	TLS         *TLS

	DenyImports []string
	DenyExports []string
	Compression Compression

	Hub               bool // this side is the hub of the link
	NoRandomize       bool // dial the URLs in their order
	Isolate           bool
	RequestIsolation  bool
	IgnoreDiscovered  bool // do not dial URLs that the other side names
	Disabled          bool
	FirstInfoTimeout  time.Duration
	DialTimeout       time.Duration
	ReconnectInterval time.Duration // the block's value

	NoHeartbeatConnection bool // no second connection to a nats-server

	Pos Position
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
	Mode       string
	Thresholds []time.Duration
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
	Set  bool // the block is there
	Host string
	Port int // 0: no listener; -1 picks a free port

	TLS        *TLS
	Auth       Authorization
	NoAuthUser string

	MaxAckPending int // unacknowledged messages of one client

	// RefuseBlanks refuses topics that hold what no subject can, as
	// nats-server does, instead of escaping it.
	RefuseBlanks bool
	// RejectQoS2 refuses publications with QoS 2.
	RejectQoS2 bool
	// ConnectionMessages logs clients that come and go.
	ConnectionMessages bool
}

// Default values that other rooms need by name.
const (
	DefaultHost     = "0.0.0.0"
	DefaultPort     = 4222
	DefaultLeafPort = 7422 // of a remote's URL without port
	GlobalAccount   = "$G"

	defaultAuthTimeout = 2 * time.Second
	defaultTLSTimeout  = 2 * time.Second
)

// Defaults are the options of an empty file.
func Defaults() *Options {
	return &Options{
		Host:                  DefaultHost,
		Port:                  DefaultPort,
		MaxConns:              64 * 1024,
		MaxControlLine:        4096,
		MaxPayload:            1 << 20,
		MaxPending:            64 << 20,
		MaxClosedConns:        10000,
		PingInterval:          2 * time.Minute,
		PingMax:               2,
		WriteDeadline:         10 * time.Second,
		WriteTimeout:          "default",
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
		MQTT: MQTT{
			Host:          DefaultHost,
			MaxAckPending: 1024,

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
