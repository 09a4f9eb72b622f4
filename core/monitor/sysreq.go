package monitor

import "time"

// ServerInfo is the "server" of every answer on $SYS subjects.
type ServerInfo struct {
	Name         string            `json:"name"`
	Host         string            `json:"host"`
	ID           string            `json:"id"`
	Cluster      string            `json:"cluster,omitempty"`
	Domain       string            `json:"domain,omitempty"`
	Version      string            `json:"ver"`
	Tags         []string          `json:"tags,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	FeatureFlags map[string]bool   `json:"feature_flags,omitempty"`
	JetStream    bool              `json:"jetstream"`
	Flags        uint64            `json:"flags"` // see Flag*
	Seq          uint64            `json:"seq"`   // counts the messages of the server
	Time         time.Time         `json:"time"`
}

// Bits of ServerInfo.Flags.
const (
	FlagJetStream      = 1
	FlagBinarySnapshot = 2
	FlagAccountNRG     = 4
)

// Answer is the envelope of most answers on $SYS subjects: Data or Error.
type Answer struct {
	Server *ServerInfo  `json:"server"`
	Data   any          `json:"data,omitempty"`
	Error  *AnswerError `json:"error,omitempty"`
}

// AnswerError says why there is no Data: 400 for a body that can't be read,
// 500 for the rest.
type AnswerError struct {
	Code        int    `json:"code"`
	ErrCode     uint16 `json:"err_code,omitempty"`
	Description string `json:"description,omitempty"`
}

// UserInfo is the Data of $SYS.REQ.USER.INFO: what a connection learns about
// itself, for "nats account info".
type UserInfo struct {
	User        string           `json:"user"`
	Account     string           `json:"account"`
	AccountName string           `json:"account_name,omitempty"`
	UserName    string           `json:"user_name,omitempty"`
	Permissions *UserPermissions `json:"permissions,omitempty"`
	Expires     time.Duration    `json:"expires,omitempty"`
}

// UserPermissions are the bounds of a user.
type UserPermissions struct {
	Publish   *SubjectPermissions  `json:"publish,omitempty"`
	Subscribe *SubjectPermissions  `json:"subscribe,omitempty"`
	Responses *ResponsePermissions `json:"responses,omitempty"`
}

// SubjectPermissions are rules for subjects.
type SubjectPermissions struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// ResponsePermissions bound the use of reply subjects.
type ResponsePermissions struct {
	MaxMsgs int           `json:"max"`
	Expires time.Duration `json:"ttl"`
}
