package consumer

import "fmt"

// Error is a refusal as clients of the API see it: Code is its class in the
// manner of HTTP, ErrCode is what clients match on.
type Error struct {
	Code        int
	ErrCode     uint16
	Description string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

func (e *Error) with(format string, args ...any) *Error {
	return &Error{Code: e.Code, ErrCode: e.ErrCode, Description: fmt.Sprintf(format, args...)}
}

// The names and texts follow the catalogue of the protocol.
var (
	errCreate                = &Error{500, 10012, "consumer could not be created"}
	errNameInUse             = &Error{400, 10013, "consumer name already in use"}
	errInvalidConfig         = &Error{500, 10052, "invalid consumer configuration"}
	errReplicasNotSupported  = &Error{500, 10074, "replicas > 1 not supported in non-clustered mode"}
	errDeliverWildcards      = &Error{400, 10079, "consumer deliver subject has wildcards"}
	errPushMaxWaiting        = &Error{400, 10080, "consumer in push mode can not set max waiting"}
	ErrDeliverCycle          = &Error{400, 10081, "consumer deliver subject forms a cycle"}
	errMaxPendingAckPolicy   = &Error{400, 10082, "consumer requires ack policy for max ack pending"}
	errSmallHeartbeat        = &Error{400, 10083, "consumer idle heartbeat needs to be >= 100ms"}
	errPullRequiresAck       = &Error{400, 10084, "consumer in pull mode requires explicit ack policy on workqueue stream"}
	errPullRateLimit         = &Error{400, 10086, "consumer in pull mode can not have rate limit set"}
	errHeartbeatRequiresPush = &Error{400, 10088, "consumer idle heartbeat requires a push based consumer"}
	errFlowRequiresPush      = &Error{400, 10089, "consumer flow control requires a push based consumer"}
	errDirectRequiresPush    = &Error{400, 10090, "consumer direct requires a push based consumer"}
	errDirectNotEphemeral    = &Error{400, 10091, "consumer direct requires an ephemeral consumer"}
	errInvalidPolicy         = &Error{400, 10094, "consumer delivery policy is invalid"}
	errInvalidSampling       = &Error{400, 10095, "failed to parse consumer sampling configuration"}
	errWorkQueueExplicit     = &Error{400, 10098, "workqueue stream requires explicit ack"}
	errWorkQueueUnfiltered   = &Error{400, 10099, "multiple non-filtered consumers not allowed on workqueue stream"}
	errWorkQueueNotUnique    = &Error{400, 10100, "filtered consumer not unique on workqueue stream"}
	errWorkQueueDeliverAll   = &Error{400, 10101, "consumer must be deliver all on workqueue stream"}
	errNameTooLong           = &Error{400, 10102, "consumer name is too long, maximum allowed is 255"}
	errDescriptionTooLong    = &Error{400, 10107, "consumer description is too long, maximum allowed is 4096"}
	errFlowNeedsHeartbeat    = &Error{400, 10108, "consumer with flow control also needs heartbeats"}
	errDeliverInvalid        = &Error{400, 10112, "invalid push consumer deliver subject"}
	errSmallExpires          = &Error{400, 10115, "consumer max request expires needs to be >= 1ms"}
	errBackoffMaxDeliver     = &Error{400, 10116, "max deliver is required to be > length of backoff values"}
	errMaxAckPendingExcess   = &Error{400, 10121, "consumer max ack pending exceeds system limit"}
	errMaxBatchExcess        = &Error{400, 10125, "consumer max request batch exceeds server limit"}
	errReplicasExceed        = &Error{400, 10126, "consumer config replica count exceeds parent stream"}
	errNamePath              = &Error{400, 10127, "Consumer name can not contain path separators"}
	errDurableNameMismatch   = &Error{400, 10132, "Consumer Durable and Name have to be equal if both are provided"}
	errReplicasNegative      = &Error{400, 10133, "replicas count cannot be negative"}
	errReplicasMatchStream   = &Error{400, 10134, "consumer config replicas must match interest retention stream's replicas"}
	errMetadataTooLong       = &Error{400, 10135, "consumer metadata exceeds maximum size"}
	errBothFilters           = &Error{400, 10136, "consumer cannot have both FilterSubject and FilterSubjects specified"}
	errOverlappingFilters    = &Error{400, 10138, "consumer subject filters cannot overlap"}
	errEmptyFilter           = &Error{400, 10139, "consumer filter in FilterSubjects cannot be empty"}
	errInactiveExcess        = &Error{400, 10153, "consumer inactive threshold exceeds system limit"}
	errPedantic              = &Error{400, 10157, "pedantic mode"}
	errPriorityNoGroup       = &Error{400, 10159, "Setting PriorityPolicy requires at least one PriorityGroup to be set"}
	errInvalidGroup          = &Error{400, 10160, "Provided priority group does not exist for this consumer"}
	errEmptyGroup            = &Error{400, 10161, "Group name cannot be an empty string"}
	errGroupName             = &Error{400, 10162, "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters"}
	errPushPriority          = &Error{400, 10178, "priority groups can not be used with push consumers"}
	errAckWaitNegative       = &Error{400, 10183, "consumer ack wait needs to be positive"}
	errBackoffNegative       = &Error{400, 10184, "consumer backoff needs to be positive"}
	errGroupsWithoutPolicy   = &Error{400, 10196, "consumer can not have priority groups when policy is none"}
	errPinnedWithoutPolicy   = &Error{400, 10197, "PinnedTTL cannot be set when PriorityPolicy is none"}
	errInvalidReset          = &Error{400, 10204, "invalid reset"}
	errAckFlowPush           = &Error{400, 10218, "flow control ack policy requires a push based consumer"}
	errAckFlowMaxAckPending  = &Error{400, 10220, "flow control ack policy requires max ack pending"}
	errAckFlowNoAckWait      = &Error{400, 10221, "flow control ack policy requires unset ack wait"}
	errAckFlowNoMaxDeliver   = &Error{400, 10222, "flow control ack policy requires unset max deliver"}
)
