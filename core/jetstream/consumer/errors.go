package consumer

import "github.com/frondmq/frond/core/jetstream/apierror"

// The codes of consumers alone. The names follow the catalogue of the protocol,
// and so do the texts.
var (
	errCreate                = &apierror.Error{Code: 500, ErrCode: 10012, Description: "consumer could not be created"}
	errNameInUse             = &apierror.Error{Code: 400, ErrCode: 10013, Description: "consumer name already in use"}
	errInvalidConfig         = &apierror.Error{Code: 500, ErrCode: 10052, Description: "invalid consumer configuration"}
	errDeliverWildcards      = &apierror.Error{Code: 400, ErrCode: 10079, Description: "consumer deliver subject has wildcards"}
	errPushMaxWaiting        = &apierror.Error{Code: 400, ErrCode: 10080, Description: "consumer in push mode can not set max waiting"}
	ErrDeliverCycle          = &apierror.Error{Code: 400, ErrCode: 10081, Description: "consumer deliver subject forms a cycle"}
	errMaxPendingAckPolicy   = &apierror.Error{Code: 400, ErrCode: 10082, Description: "consumer requires ack policy for max ack pending"}
	errSmallHeartbeat        = &apierror.Error{Code: 400, ErrCode: 10083, Description: "consumer idle heartbeat needs to be >= 100ms"}
	errPullRequiresAck       = &apierror.Error{Code: 400, ErrCode: 10084, Description: "consumer in pull mode requires explicit ack policy on workqueue stream"}
	errPullRateLimit         = &apierror.Error{Code: 400, ErrCode: 10086, Description: "consumer in pull mode can not have rate limit set"}
	errHeartbeatRequiresPush = &apierror.Error{Code: 400, ErrCode: 10088, Description: "consumer idle heartbeat requires a push based consumer"}
	errFlowRequiresPush      = &apierror.Error{Code: 400, ErrCode: 10089, Description: "consumer flow control requires a push based consumer"}
	errDirectRequiresPush    = &apierror.Error{Code: 400, ErrCode: 10090, Description: "consumer direct requires a push based consumer"}
	errDirectNotEphemeral    = &apierror.Error{Code: 400, ErrCode: 10091, Description: "consumer direct requires an ephemeral consumer"}
	errInvalidPolicy         = &apierror.Error{Code: 400, ErrCode: 10094, Description: "consumer delivery policy is invalid"}
	errInvalidSampling       = &apierror.Error{Code: 400, ErrCode: 10095, Description: "failed to parse consumer sampling configuration"}
	errWorkQueueExplicit     = &apierror.Error{Code: 400, ErrCode: 10098, Description: "workqueue stream requires explicit ack"}
	errWorkQueueUnfiltered   = &apierror.Error{Code: 400, ErrCode: 10099, Description: "multiple non-filtered consumers not allowed on workqueue stream"}
	errWorkQueueNotUnique    = &apierror.Error{Code: 400, ErrCode: 10100, Description: "filtered consumer not unique on workqueue stream"}
	errWorkQueueDeliverAll   = &apierror.Error{Code: 400, ErrCode: 10101, Description: "consumer must be deliver all on workqueue stream"}
	errNameTooLong           = &apierror.Error{Code: 400, ErrCode: 10102, Description: "consumer name is too long, maximum allowed is 255"}
	errDescriptionTooLong    = &apierror.Error{Code: 400, ErrCode: 10107, Description: "consumer description is too long, maximum allowed is 4096"}
	errFlowNeedsHeartbeat    = &apierror.Error{Code: 400, ErrCode: 10108, Description: "consumer with flow control also needs heartbeats"}
	errDeliverInvalid        = &apierror.Error{Code: 400, ErrCode: 10112, Description: "invalid push consumer deliver subject"}
	errSmallExpires          = &apierror.Error{Code: 400, ErrCode: 10115, Description: "consumer max request expires needs to be >= 1ms"}
	errBackoffMaxDeliver     = &apierror.Error{Code: 400, ErrCode: 10116, Description: "max deliver is required to be > length of backoff values"}
	errMaxAckPendingExcess   = &apierror.Error{Code: 400, ErrCode: 10121, Description: "consumer max ack pending exceeds system limit"}
	errMaxBatchExcess        = &apierror.Error{Code: 400, ErrCode: 10125, Description: "consumer max request batch exceeds server limit"}
	errReplicasExceed        = &apierror.Error{Code: 400, ErrCode: 10126, Description: "consumer config replica count exceeds parent stream"}
	errNamePath              = &apierror.Error{Code: 400, ErrCode: 10127, Description: "Consumer name can not contain path separators"}
	errDurableNameMismatch   = &apierror.Error{Code: 400, ErrCode: 10132, Description: "Consumer Durable and Name have to be equal if both are provided"}
	errReplicasNegative      = &apierror.Error{Code: 400, ErrCode: 10133, Description: "replicas count cannot be negative"}
	errReplicasMatchStream   = &apierror.Error{Code: 400, ErrCode: 10134, Description: "consumer config replicas must match interest retention stream's replicas"}
	errMetadataTooLong       = &apierror.Error{Code: 400, ErrCode: 10135, Description: "consumer metadata exceeds maximum size"}
	errBothFilters           = &apierror.Error{Code: 400, ErrCode: 10136, Description: "consumer cannot have both FilterSubject and FilterSubjects specified"}
	errOverlappingFilters    = &apierror.Error{Code: 400, ErrCode: 10138, Description: "consumer subject filters cannot overlap"}
	errEmptyFilter           = &apierror.Error{Code: 400, ErrCode: 10139, Description: "consumer filter in FilterSubjects cannot be empty"}
	errInactiveExcess        = &apierror.Error{Code: 400, ErrCode: 10153, Description: "consumer inactive threshold exceeds system limit"}
	errPriorityNoGroup       = &apierror.Error{Code: 400, ErrCode: 10159, Description: "Setting PriorityPolicy requires at least one PriorityGroup to be set"}
	errInvalidGroup          = &apierror.Error{Code: 400, ErrCode: 10160, Description: "Provided priority group does not exist for this consumer"}
	errEmptyGroup            = &apierror.Error{Code: 400, ErrCode: 10161, Description: "Group name cannot be an empty string"}
	errGroupName             = &apierror.Error{Code: 400, ErrCode: 10162, Description: "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters"}
	errPushPriority          = &apierror.Error{Code: 400, ErrCode: 10178, Description: "priority groups can not be used with push consumers"}
	errAckWaitNegative       = &apierror.Error{Code: 400, ErrCode: 10183, Description: "consumer ack wait needs to be positive"}
	errBackoffNegative       = &apierror.Error{Code: 400, ErrCode: 10184, Description: "consumer backoff needs to be positive"}
	errGroupsWithoutPolicy   = &apierror.Error{Code: 400, ErrCode: 10196, Description: "consumer can not have priority groups when policy is none"}
	errPinnedWithoutPolicy   = &apierror.Error{Code: 400, ErrCode: 10197, Description: "PinnedTTL cannot be set when PriorityPolicy is none"}
	errInvalidReset          = &apierror.Error{Code: 400, ErrCode: 10204, Description: "invalid reset"}
	errAckFlowPush           = &apierror.Error{Code: 400, ErrCode: 10218, Description: "flow control ack policy requires a push based consumer"}
	errAckFlowMaxAckPending  = &apierror.Error{Code: 400, ErrCode: 10220, Description: "flow control ack policy requires max ack pending"}
	errAckFlowNoAckWait      = &apierror.Error{Code: 400, ErrCode: 10221, Description: "flow control ack policy requires unset ack wait"}
	errAckFlowNoMaxDeliver   = &apierror.Error{Code: 400, ErrCode: 10222, Description: "flow control ack policy requires unset max deliver"}
)
