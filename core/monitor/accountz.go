package monitor

import "time"

// Accountz is /accountz: the names of all accounts, or what one of them is.
type Accountz struct {
	ID            string         `json:"server_id"`
	Now           time.Time      `json:"now"`
	SystemAccount string         `json:"system_account,omitempty"`
	Accounts      []string       `json:"accounts,omitempty"`
	Account       *AccountDetail `json:"account_detail,omitempty"`
}

// AccountzOptions is what was asked. The JSON form is the body of the request on $SYS.
type AccountzOptions struct {
	Account string `json:"account"` // "" for the names of all
}

// AccountDetail is one account.
type AccountDetail struct {
	Name        string                 `json:"account_name"`
	LastUpdate  time.Time              `json:"update_time"`
	IsSystem    bool                   `json:"is_system,omitempty"`
	Expired     bool                   `json:"expired"`
	Complete    bool                   `json:"complete"`
	JetStream   bool                   `json:"jetstream_enabled"`
	LeafCount   int                    `json:"leafnode_connections"`
	ClientCount int                    `json:"client_connections"`
	Subs        uint64                 `json:"subscriptions"`
	Mappings    map[string][]MapTarget `json:"mappings,omitempty"`
	Exports     []AccountExport        `json:"exports,omitempty"`
	Imports     []AccountImport        `json:"imports,omitempty"`
	NameTag     string                 `json:"name_tag,omitempty"`
	Sublist     *SublistStats          `json:"sublist_stats,omitempty"`
}

// MapTarget is a destination of a mapping.
type MapTarget struct {
	Subject string `json:"subject"`
	Weight  int    `json:"weight"`
	Cluster string `json:"cluster,omitempty"`
}

// AccountExport is what an account lets others import.
type AccountExport struct {
	Subject       string          `json:"subject,omitempty"`
	Type          string          `json:"type,omitempty"` // stream or service
	ResponseType  string          `json:"response_type,omitempty"`
	Threshold     time.Duration   `json:"response_threshold,omitempty"`
	Latency       *ServiceLatency `json:"service_latency,omitempty"`
	TokenPosition uint            `json:"account_token_position,omitempty"`
	Approved      []string        `json:"approved_accounts,omitempty"`
}

// ServiceLatency is how the latency of a service is sampled: a percentage, or 0 for
// the questions whose headers ask for it.
type ServiceLatency struct {
	Sampling int    `json:"sampling"`
	Results  string `json:"results"`
}

// AccountImport is what an account takes from another one.
type AccountImport struct {
	Subject  string `json:"subject,omitempty"`
	Account  string `json:"account,omitempty"`
	To       string `json:"to,omitempty"`
	Local    string `json:"local_subject,omitempty"`
	Type     string `json:"type,omitempty"`
	Invalid  bool   `json:"invalid"`
	Share    bool   `json:"share"`
	Tracking bool   `json:"tracking"`
}

// Accstatz is /accstatz: what went through the accounts.
type Accstatz struct {
	ID       string         `json:"server_id"`
	Now      time.Time      `json:"now"`
	Accounts []*AccountStat `json:"account_statz"`
}

// AccstatzOptions is what was asked. The JSON form is the body of the request on $SYS.
type AccstatzOptions struct {
	Accounts      []string `json:"accounts"`       // none: all
	IncludeUnused bool     `json:"include_unused"` // also those without connections here
}

// AccountStat is one account in an Accstatz, and in an AccountConns.
type AccountStat struct {
	Account       string    `json:"acc"`
	Name          string    `json:"name"`
	Conns         int       `json:"conns"` // of clients
	LeafNodes     int       `json:"leafnodes"`
	TotalConns    int       `json:"total_conns"`
	NumSubs       uint32    `json:"num_subscriptions"`
	Sent          DataStats `json:"sent"`
	Received      DataStats `json:"received"`
	SlowConsumers int64     `json:"slow_consumers"`
}
