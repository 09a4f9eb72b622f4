package config

import "time"

// Account is one tenant beside GlobalAccount.
type Account struct {
	Name               string           `key:"-"`
	Users              []User           `key:"users"`
	DefaultPermissions *Permissions     `key:"default_permissions"` // of users without their own
	Limits             AccountLimits    `key:"limits"`
	JetStream          AccountJetStream `key:"jetstream"`
	Mappings           []Mapping        `key:"mappings"`
	Exports            []Export         `key:"exports"`
	Imports            []Import         `key:"imports"`
}

// AccountLimits bound what an account may have; 0 does not.
type AccountLimits struct {
	MaxConns   int `key:"max_connections"`   // of clients
	MaxSubs    int `key:"max_subscriptions"` // of each connection
	MaxPayload int `key:"max_payload"`       // bytes of one message
	MaxLeafs   int `key:"max_leafnodes"`     // links
}

// AccountJetStream says whether an account may have streams, and how much; below 0
// is as much as the server has, 0 bytes are none.
type AccountJetStream struct {
	On           bool  `key:"on!"`
	MaxMemory    int64 `key:"max_memory"`
	MaxStore     int64 `key:"max_store"`
	MaxStreams   int   `key:"max_streams"`
	MaxConsumers int   `key:"max_consumers"` // of a stream
}

// Mapping gives what is published on a subject or pattern other subjects.
type Mapping struct {
	Source string        `key:"-"`
	Dests  []Destination `key:"-"`
}

// Destination is one of them, for a share of the messages. With a cluster it is for
// the servers of that one.
type Destination struct {
	Subject string `key:"-"`
	Weight  int    `key:"-"` // percent
	Cluster string `key:"-"`
}

// Export is what other accounts may import: messages, or the questions of a service.
type Export struct {
	Subject       string        `key:"-"`
	Service       bool          `key:"-"`
	Accounts      []string      `key:"-"` // who may; none is everybody
	Response      string        `key:"-"` // singleton, stream or chunked
	Threshold     time.Duration `key:"-"` // how long an answer may take
	TokenPosition int           `key:"-"` // of the name of who imports; 0 for none
	Latency       Latency       `key:"-"` // of a service
}

// Latency is how the time that a service takes is told.
type Latency struct {
	Subject string `key:"-"` // where; "" is nowhere
	Percent int    `key:"-"` // of the questions; 0: those whose headers ask for it
}

// Import is what an account takes from another one.
type Import struct {
	Account string `key:"-"`
	Subject string `key:"-"` // there
	Service bool   `key:"-"`
	Prefix  string `key:"-"` // of a stream, here
	To      string `key:"-"` // here; "" is as there
	Share   bool   `key:"-"` // who asks
}

// AccountNamed is one of the accounts by its name, nil if there is none.
func (o *Options) AccountNamed(name string) *Account {
	for i := range o.Accounts {
		if o.Accounts[i].Name == name {
			return &o.Accounts[i]
		}
	}
	return nil
}

// HasAccount reports whether there is an account of that name, configured or not.
func (o *Options) HasAccount(name string) bool {
	return name == GlobalAccount || name == o.SystemAccount || o.AccountNamed(name) != nil
}

// HasUsers reports whether there are users by name or nkey on the client port.
func (o *Options) HasUsers() bool {
	has := len(o.Auth.Users) > 0
	for i := range o.Accounts {
		has = has || len(o.Accounts[i].Users) > 0
	}
	return has
}

// HasUser reports whether one of them has that name or nkey.
func (o *Options) HasUser(name string) bool {
	has := named(o.Auth.Users, name)
	for i := range o.Accounts {
		has = has || named(o.Accounts[i].Users, name)
	}
	return has
}

func named(users []User, name string) bool {
	for i := range users {
		if users[i].User == name || users[i].NKey == name {
			return true
		}
	}
	return false
}

// StreamsIn reports whether an account may have streams where JetStream is on. As
// long as no account is configured but that of the system, everyone may.
func (o *Options) StreamsIn(name string) bool {
	if a := o.AccountNamed(name); a != nil {
		return a.JetStream.On
	}
	for i := range o.Accounts {
		if o.Accounts[i].Name != o.SystemAccount {
			return false
		}
	}
	return name == GlobalAccount
}
