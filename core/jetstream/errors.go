package jetstream

import (
	"errors"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/edgestore"
)

// The errors that this package answers with; the names follow the catalogue of
// the protocol, and so do the texts.
var (
	errNotAvailable          = &apierror.Error{Code: 503, ErrCode: 10008, Description: "JetStream system temporarily unavailable"}
	errConsumerCreate        = &apierror.Error{Code: 500, ErrCode: 10012, Description: "consumer could not be created"}
	errConsumerNotFound      = &apierror.Error{Code: 404, ErrCode: 10014, Description: "consumer not found"}
	errInsufficientResources = &apierror.Error{Code: 503, ErrCode: 10023, Description: "insufficient resources"}
	errMaxConsumers          = &apierror.Error{Code: 400, ErrCode: 10026, Description: "maximum consumers limit reached"}
	errMaxStreams            = &apierror.Error{Code: 400, ErrCode: 10027, Description: "maximum number of streams reached"}
	errMemoryExceeded        = &apierror.Error{Code: 500, ErrCode: 10028, Description: "insufficient memory resources available"}
	errNoMessage             = &apierror.Error{Code: 404, ErrCode: 10037, Description: "no message found"}
	errSequenceNotFound      = &apierror.Error{Code: 400, ErrCode: 10043, Description: "sequence not found"}
	errStorageExceeded       = &apierror.Error{Code: 500, ErrCode: 10047, Description: "insufficient storage resources available"}
	errStreamCreate          = &apierror.Error{Code: 500, ErrCode: 10049, Description: "error creating store for stream"}
	errStreamDelete          = &apierror.Error{Code: 500, ErrCode: 10050, Description: "stream could not be deleted"}
	errMsgUnread             = &apierror.Error{Code: 500, ErrCode: 10051, Description: "message could not be read"}
	errStreamNameExists      = &apierror.Error{Code: 400, ErrCode: 10058, Description: "stream name already in use with a different configuration"}
	errStreamNotMatch        = &apierror.Error{Code: 400, ErrCode: 10060, Description: "expected stream does not match"}
	errSubjectOverlap        = &apierror.Error{Code: 400, ErrCode: 10065, Description: "subjects overlap with an existing stream"}
	errStreamUpdate          = &apierror.Error{Code: 500, ErrCode: 10069, Description: "stream could not be updated"}
	errWrongLastMsgID        = &apierror.Error{Code: 400, ErrCode: 10070, Description: "wrong last msg ID"}
	errWrongLastSequence     = &apierror.Error{Code: 400, ErrCode: 10071, Description: "wrong last sequence"}
	errStoreFailed           = &apierror.Error{Code: 503, ErrCode: 10077, Description: "message could not be stored"}
	errMsgIDTooLong          = &apierror.Error{Code: 400, ErrCode: 10003, Description: "Nats-Msg-Id is longer than 1024 bytes"}
	errHeaderTooLarge        = &apierror.Error{Code: 400, ErrCode: 10097, Description: "header size exceeds maximum allowed of 64k"}
	errRollupFailed          = &apierror.Error{Code: 500, ErrCode: 10111, Description: "rollup not permitted"}
	errConsumerExists        = &apierror.Error{Code: 400, ErrCode: 10148, Description: "consumer already exists"}
	errConsumerMissing       = &apierror.Error{Code: 400, ErrCode: 10149, Description: "consumer does not exist"}
	errTTLInvalid            = &apierror.Error{Code: 400, ErrCode: 10165, Description: "invalid per-message TTL"}
	errTTLDisabled           = &apierror.Error{Code: 400, ErrCode: 10166, Description: "per-message TTL is disabled"}
	errTooManyRequests       = &apierror.Error{Code: 429, ErrCode: 10167, Description: "too many requests"}
	errCounterDisabled       = &apierror.Error{Code: 400, ErrCode: 10168, Description: "message counters is disabled"}
	errCounterInvalid        = &apierror.Error{Code: 400, ErrCode: 10171, Description: "message counter increment is invalid"}
	errAtomicDisabled        = &apierror.Error{Code: 400, ErrCode: 10174, Description: "atomic publish is disabled"}
	errSchedulesDisabled     = &apierror.Error{Code: 400, ErrCode: 10188, Description: "message schedules is disabled"}
	errStreamOffline         = &apierror.Error{Code: 500, ErrCode: 10194, Description: "stream is offline"}
	errLastSeqNoSequence     = &apierror.Error{Code: 400, ErrCode: 10193, Description: "missing sequence for expected last sequence per subject"}
	errSourceHeader          = &apierror.Error{Code: 400, ErrCode: 10227, Description: "message stream source header is not allowed"}
)

// appendError says what a failed Log.Append means to a publisher. Nothing was
// stored in any of these cases, so it may try again.
func appendError(err error) *apierror.Error {
	switch {
	case err == errIDsFull:
		return errStoreFailed.With("%v", err)
	case errors.Is(err, edgestore.ErrBusy):
		return errTooManyRequests
	case errors.Is(err, edgestore.ErrDiskFull):
		return errStoreFailed.With("insufficient storage: the disk has no room left beside its reserve: %v", err)
	case errors.Is(err, edgestore.ErrClosed):
		return errNotAvailable
	}
	return errStoreFailed.With("%v", err)
}
