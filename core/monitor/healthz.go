package monitor

// Healthz is the answer of the health probe.
type Healthz struct {
	Status     string        `json:"status"`
	StatusCode int           `json:"status_code,omitempty"` // not over HTTP, there it is the status line
	Error      string        `json:"error,omitempty"`
	Errors     []HealthError `json:"errors,omitempty"`
}

// HealthError is one finding, shown with details.
type HealthError struct {
	Type     HealthErrorType `json:"type"`
	Account  string          `json:"account,omitempty"`
	Stream   string          `json:"stream,omitempty"`
	Consumer string          `json:"consumer,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// HealthErrorType says where it hurts.
type HealthErrorType string

const (
	HealthConnection HealthErrorType = "CONNECTION"
	HealthBadRequest HealthErrorType = "BAD_REQUEST"
	HealthJetStream  HealthErrorType = "JETSTREAM"
	HealthAccount    HealthErrorType = "ACCOUNT"
	HealthStream     HealthErrorType = "STREAM"
	HealthConsumer   HealthErrorType = "CONSUMER"
	// HealthDamage is frond's own: what is stored was damaged, until somebody
	// acknowledges it.
	HealthDamage HealthErrorType = "DAMAGE"
)

// HealthzOptions is what was asked. The JSON form is the body of the request
// on $SYS.
type HealthzOptions struct {
	JSEnabledOnly bool   `json:"js-enabled-only"`
	JSEnabled     bool   `json:"js-enabled"` // old name of JSEnabledOnly
	JSServerOnly  bool   `json:"js-server-only"`
	JSMetaOnly    bool   `json:"js-meta-only"`
	Account       string `json:"account"`
	Stream        string `json:"stream"`
	Consumer      string `json:"consumer"`
	Details       bool   `json:"details"`
	LeafRemotes   bool   `json:"leaf-remotes-connected"` // every configured one
}
