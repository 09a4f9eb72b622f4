package jetstream

import (
	"errors"
	"fmt"

	"github.com/frondmq/frond/edgestore"
)

// APIError is an error as JetStream clients see it. Clients match on ErrCode;
// Code is only its class, and not a reliable one (10052 is a user error of
// class 500).
type APIError struct {
	Code        int    `json:"code"`
	ErrCode     uint16 `json:"err_code,omitempty"`
	Description string `json:"description,omitempty"`
}

func (e *APIError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// Is reports whether target is the same error, whatever the text is.
func (e *APIError) Is(target error) bool {
	t, ok := target.(*APIError)
	return ok && t.ErrCode == e.ErrCode && e.ErrCode != 0
}

// with replaces the description, for the codes whose text is made on the spot.
func (e *APIError) with(format string, args ...any) *APIError {
	return &APIError{Code: e.Code, ErrCode: e.ErrCode, Description: fmt.Sprintf(format, args...)}
}

// The errors that this package answers with; the names follow the catalogue of
// the protocol, and so do the texts.
var (
	errBadRequest            = &APIError{400, 10003, "bad request"}
	errNotAvailable          = &APIError{503, 10008, "JetStream system temporarily unavailable"}
	errClusterRequired       = &APIError{503, 10010, "JetStream clustering support required"}
	errConsumerCreate        = &APIError{500, 10012, "consumer could not be created"}
	errConsumerNotFound      = &APIError{404, 10014, "consumer not found"}
	errDurableMismatch       = &APIError{400, 10017, "consumer name in subject does not match durable name in request"}
	errDurableNotSet         = &APIError{400, 10018, "consumer expected to be durable but a durable name was not set"}
	errEphemeralWithDurable  = &APIError{400, 10020, "consumer expected to be ephemeral but a durable name was set in request"}
	errInsufficientResources = &APIError{503, 10023, "insufficient resources"}
	errInvalidJSON           = &APIError{400, 10025, "invalid JSON"}
	errMaxConsumers          = &APIError{400, 10026, "maximum consumers limit reached"}
	errMaxStreams            = &APIError{400, 10027, "maximum number of streams reached"}
	errMemoryExceeded        = &APIError{500, 10028, "insufficient memory resources available"}
	errMirrorWithSources     = &APIError{400, 10031, "stream mirrors can not also contain other sources"}
	errMirrorWithSubjects    = &APIError{400, 10034, "stream mirrors can not contain subjects"}
	errNoMessage             = &APIError{404, 10037, "no message found"}
	errNotEmptyRequest       = &APIError{400, 10038, "expected an empty request payload"}
	errSequenceNotFound      = &APIError{400, 10043, "sequence not found"}
	errStorageExceeded       = &APIError{500, 10047, "insufficient storage resources available"}
	errStreamCreate          = &APIError{500, 10049, "error creating store for stream"}
	errStreamDelete          = &APIError{500, 10050, "stream could not be deleted"}
	errMsgUnread             = &APIError{500, 10051, "message could not be read"}
	errStreamConfig          = &APIError{500, 10052, "invalid stream configuration"}
	errMessageTooLarge       = &APIError{400, 10054, "message size exceeds maximum allowed"}
	errMirrorNotUpdatable    = &APIError{400, 10055, "stream mirror configuration can not be updated"}
	errStreamMismatch        = &APIError{400, 10056, "stream name in subject does not match request"}
	errMsgDelete             = &APIError{500, 10057, "no message found"}
	errStreamNameExists      = &APIError{400, 10058, "stream name already in use with a different configuration"}
	errStreamNotFound        = &APIError{404, 10059, "stream not found"}
	errStreamNotMatch        = &APIError{400, 10060, "expected stream does not match"}
	errStreamSnapshot        = &APIError{500, 10064, "snapshot failed"}
	errStreamRestore         = &APIError{500, 10062, "restore failed"}
	errSubjectOverlap        = &APIError{400, 10065, "subjects overlap with an existing stream"}
	errStreamUpdate          = &APIError{500, 10069, "stream could not be updated"}
	errWrongLastMsgID        = &APIError{400, 10070, "wrong last msg ID"}
	errWrongLastSequence     = &APIError{400, 10071, "wrong last sequence"}
	errReplicasNotSupported  = &APIError{500, 10074, "replicas > 1 not supported in non-clustered mode"}
	errStoreFailed           = &APIError{503, 10077, "message could not be stored"}
	errMsgIDTooLong          = &APIError{400, 10003, "Nats-Msg-Id is longer than 1024 bytes"}
	errHeaderTooLarge        = &APIError{400, 10097, "header size exceeds maximum allowed of 64k"}
	errStreamSealed          = &APIError{400, 10109, "invalid operation on sealed stream"}
	errPurgeFailed           = &APIError{500, 10110, "stream purge not permitted"}
	errRollupFailed          = &APIError{500, 10111, "rollup not permitted"}
	errConsumerNamePath      = &APIError{400, 10127, "Consumer name can not contain path separators"}
	errStreamNamePath        = &APIError{400, 10128, "Stream name can not contain path separators"}
	errConsumerFilterTail    = &APIError{400, 10131, "Consumer create request did not match filtered subject from create subject"}
	errReplicasNegative      = &APIError{400, 10133, "replicas count cannot be negative"}
	errConsumerMultiFilter   = &APIError{400, 10137, "consumer with multiple subject filters cannot use subject based API"}
	errMirrorFirstSeq        = &APIError{400, 10143, "stream mirrors can not have first sequence configured"}
	errConsumerExists        = &APIError{400, 10148, "consumer already exists"}
	errConsumerMissing       = &APIError{400, 10149, "consumer does not exist"}
	errTransformSource       = &APIError{400, 10155, "stream transform source"}
	errTransformDest         = &APIError{400, 10156, "stream transform"}
	errPedantic              = &APIError{400, 10157, "pedantic mode"}
	errTTLInvalid            = &APIError{400, 10165, "invalid per-message TTL"}
	errTTLDisabled           = &APIError{400, 10166, "per-message TTL is disabled"}
	errTooManyRequests       = &APIError{429, 10167, "too many requests"}
	errCounterDisabled       = &APIError{400, 10168, "message counters is disabled"}
	errCounterInvalid        = &APIError{400, 10171, "message counter increment is invalid"}
	errAtomicDisabled        = &APIError{400, 10174, "atomic publish is disabled"}
	errAPILevel              = &APIError{412, 10185, "JetStream minimum api level required"}
	errSchedulesDisabled     = &APIError{400, 10188, "message schedules is disabled"}
	errStreamOffline         = &APIError{500, 10194, "stream is offline"}
	errLastSeqNoSequence     = &APIError{400, 10193, "missing sequence for expected last sequence per subject"}
	errExternalAPI           = &APIError{400, 10021, "stream external api prefix must not overlap"}
	errExternalOverlap       = &APIError{400, 10022, "stream external delivery prefix overlaps with stream subject"}
	errExternalDeliver       = &APIError{400, 10024, "stream external delivery prefix must not contain wildcards"}
	errSourceDuplicate       = &APIError{400, 10140, "duplicate source configuration detected"}
	errSourceName            = &APIError{400, 10141, "sourced stream name is invalid"}
	errMirrorName            = &APIError{400, 10142, "mirrored stream name is invalid"}
	errSourceFilters         = &APIError{400, 10144, "source with multiple subject transforms cannot also have a single subject filter"}
	errSourceFilter          = &APIError{400, 10145, "source transform source"}
	errSourceDestination     = &APIError{400, 10146, "source transform"}
	errSourceOverlap         = &APIError{400, 10147, "source filters can not overlap"}
	errMirrorFilters         = &APIError{400, 10150, "mirror with multiple subject transforms cannot also have a single subject filter"}
	errMirrorFilter          = &APIError{400, 10151, "mirror transform source"}
	errMirrorOverlap         = &APIError{400, 10152, "mirror subject filters can not overlap"}
	errMirrorDestination     = &APIError{400, 10154, "mirror transform"}
	errMirrorConsumer        = &APIError{400, 10213, "stream mirror consumer config is invalid"}
	errSourceConsumer        = &APIError{400, 10215, "stream source consumer config is invalid"}
	errIdentity              = &APIError{400, 10225, "consumer's stream identity does not match"}
	errSourceHeader          = &APIError{400, 10227, "message stream source header is not allowed"}
)

// appendError says what a failed Log.Append means to a publisher. Nothing was
// stored in any of these cases, so it may try again.
func appendError(err error) *APIError {
	switch {
	case err == errIDsFull:
		return errStoreFailed.with("%v", err)
	case errors.Is(err, edgestore.ErrBusy):
		return errTooManyRequests
	case errors.Is(err, edgestore.ErrDiskFull):
		return errStoreFailed.with("insufficient storage: the disk has no room left beside its reserve: %v", err)
	case errors.Is(err, edgestore.ErrClosed):
		return errNotAvailable
	}
	return errStoreFailed.with("%v", err)
}

// asAPI turns any error into one for the API: those that have a code keep it,
// others become generic, which gives the code.
func asAPI(err error, generic *APIError) *APIError {
	var e *APIError
	if errors.As(err, &e) {
		return e
	}
	return generic.with("%v", err)
}
