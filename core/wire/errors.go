package wire

// Error is a reason to close a connection.
type Error struct {
	// Text goes to the peer in an -ERR; "" means that it is told nothing.
	Text string
	// Reason is what monitoring shows.
	Reason CloseReason
}

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Reason.String()
	}
	return e.Text
}

// The errors of the parsers. They are shared and must not be changed.
var (
	ErrUnknownOp   = &Error{"Unknown Protocol Operation", ReasonProtocolViolation}
	ErrControlLine = &Error{"maximum control line exceeded", ReasonControlLine}
	ErrPayload     = &Error{"Maximum Payload Violation", ReasonPayload}
	// ErrArgs is a wrong number of arguments or a bad size: no text by protocol.
	ErrArgs = &Error{"", ReasonProtocolViolation}
	// ErrPeerError is an -ERR from a client, which must not send one.
	ErrPeerError = &Error{"", ReasonParseError}
	// ErrHeaders is HPUB from a client that did not announce headers.
	ErrHeaders = &Error{"", ReasonProtocolViolation}
)

// CloseReason says why a connection was closed. Its text is what monitoring
// and disconnect events carry.
type CloseReason uint8

const (
	ReasonUnknown CloseReason = iota
	ReasonClientClosed
	ReasonAuthTimeout
	ReasonAuthFailure
	ReasonTLSHandshake
	ReasonSlowPending
	ReasonSlowDeadline
	ReasonWriteError
	ReasonReadError
	ReasonParseError
	ReasonStale
	ReasonProtocolViolation
	ReasonBadProtocolVersion
	ReasonWrongPort
	ReasonAccountConnections
	ReasonConnections
	ReasonPayload
	ReasonControlLine
	ReasonSubscriptions
	ReasonDuplicateRoute
	ReasonRouteRemoved
	ReasonServerShutdown
	ReasonAuthExpired
	ReasonWrongGateway
	ReasonMissingAccount
	ReasonRevoked
	ReasonInternalClient
	ReasonHeaderViolation
	ReasonNoRespondersHeaders
	ReasonClusterNameConflict
	ReasonDuplicateLeaf
	ReasonDuplicateClientID
	ReasonDuplicateServerName
	ReasonMinimumVersion
	ReasonClusterNamesIdentical
	ReasonKicked
	ReasonProxyNotTrusted
	ReasonProxyRequired
	numReasons
)

var reasonTexts = [numReasons]string{
	ReasonUnknown:               "Unknown State",
	ReasonClientClosed:          "Client Closed",
	ReasonAuthTimeout:           "Authentication Timeout",
	ReasonAuthFailure:           "Authentication Failure",
	ReasonTLSHandshake:          "TLS Handshake Failure",
	ReasonSlowPending:           "Slow Consumer (Pending Bytes)",
	ReasonSlowDeadline:          "Slow Consumer (Write Deadline)",
	ReasonWriteError:            "Write Error",
	ReasonReadError:             "Read Error",
	ReasonParseError:            "Parse Error",
	ReasonStale:                 "Stale Connection",
	ReasonProtocolViolation:     "Protocol Violation",
	ReasonBadProtocolVersion:    "Bad Client Protocol Version",
	ReasonWrongPort:             "Incorrect Port",
	ReasonAccountConnections:    "Maximum Account Connections Exceeded",
	ReasonConnections:           "Maximum Connections Exceeded",
	ReasonPayload:               "Maximum Message Payload Exceeded",
	ReasonControlLine:           "Maximum Control Line Exceeded",
	ReasonSubscriptions:         "Maximum Subscriptions Exceeded",
	ReasonDuplicateRoute:        "Duplicate Route",
	ReasonRouteRemoved:          "Route Removed",
	ReasonServerShutdown:        "Server Shutdown",
	ReasonAuthExpired:           "Authentication Expired",
	ReasonWrongGateway:          "Wrong Gateway",
	ReasonMissingAccount:        "Missing Account",
	ReasonRevoked:               "Credentials Revoked",
	ReasonInternalClient:        "Internal Client",
	ReasonHeaderViolation:       "Message Header Violation",
	ReasonNoRespondersHeaders:   "No Responders Requires Headers",
	ReasonClusterNameConflict:   "Cluster Name Conflict",
	ReasonDuplicateLeaf:         "Duplicate Remote LeafNode Connection",
	ReasonDuplicateClientID:     "Duplicate Client ID",
	ReasonDuplicateServerName:   "Duplicate Server Name",
	ReasonMinimumVersion:        "Minimum Version Required",
	ReasonClusterNamesIdentical: "Cluster Names Identical",
	ReasonKicked:                "Kicked",
	ReasonProxyNotTrusted:       "Proxy Not Trusted",
	ReasonProxyRequired:         "Proxy Required",
}

func (r CloseReason) String() string {
	if r < numReasons {
		return reasonTexts[r]
	}
	return reasonTexts[ReasonUnknown]
}
