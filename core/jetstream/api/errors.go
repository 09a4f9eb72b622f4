package api

import "github.com/frondmq/frond/core/jetstream/apierror"

// What is wrong with a request, beside the errors of package apierror. The names
// follow the catalogue of the protocol, and so do the texts.
var (
	errBadRequest           = &apierror.Error{Code: 400, ErrCode: 10003, Description: "bad request"}
	errClusterRequired      = &apierror.Error{Code: 503, ErrCode: 10010, Description: "JetStream clustering support required"}
	errDurableMismatch      = &apierror.Error{Code: 400, ErrCode: 10017, Description: "consumer name in subject does not match durable name in request"}
	errDurableNotSet        = &apierror.Error{Code: 400, ErrCode: 10018, Description: "consumer expected to be durable but a durable name was not set"}
	errEphemeralWithDurable = &apierror.Error{Code: 400, ErrCode: 10020, Description: "consumer expected to be ephemeral but a durable name was set in request"}
	errInvalidJSON          = &apierror.Error{Code: 400, ErrCode: 10025, Description: "invalid JSON"}
	errNotEmptyRequest      = &apierror.Error{Code: 400, ErrCode: 10038, Description: "expected an empty request payload"}
	errStreamMismatch       = &apierror.Error{Code: 400, ErrCode: 10056, Description: "stream name in subject does not match request"}
	errStreamSnapshot       = &apierror.Error{Code: 500, ErrCode: 10064, Description: "snapshot failed"}
	errStreamRestore        = &apierror.Error{Code: 500, ErrCode: 10062, Description: "restore failed"}
	errPurgeFailed          = &apierror.Error{Code: 500, ErrCode: 10110, Description: "stream purge not permitted"}
	errConsumerNamePath     = &apierror.Error{Code: 400, ErrCode: 10127, Description: "Consumer name can not contain path separators"}
	errConsumerFilterTail   = &apierror.Error{Code: 400, ErrCode: 10131, Description: "Consumer create request did not match filtered subject from create subject"}
	errConsumerMultiFilter  = &apierror.Error{Code: 400, ErrCode: 10137, Description: "consumer with multiple subject filters cannot use subject based API"}
	errNotEnabled           = &apierror.Error{Code: 503, ErrCode: 10039, Description: "JetStream not enabled for account"}
	errAPILevel             = &apierror.Error{Code: 412, ErrCode: 10185, Description: "JetStream minimum api level required"}
	errIdentity             = &apierror.Error{Code: 400, ErrCode: 10225, Description: "consumer's stream identity does not match"}
)
