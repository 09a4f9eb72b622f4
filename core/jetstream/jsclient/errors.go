package jsclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/wire"
)

// APIError is what JetStream answers instead of what was asked for. ErrCode says
// what it is, Code only the class of it, as in HTTP.
type APIError = apierror.Error

// Errors of JetStream's that callers act on. Compare with errors.Is, which looks
// at the ErrCode.
var (
	ErrStreamNotFound   = &APIError{Code: 404, ErrCode: 10059, Description: "stream not found"}
	ErrConsumerNotFound = &APIError{Code: 404, ErrCode: 10014, Description: "consumer not found"}
	ErrMessageNotFound  = &APIError{Code: 404, ErrCode: 10037, Description: "no message found"}
	// ErrWrongLastSequence: the stream, or the subject in it, is not where the
	// message expected it.
	ErrWrongLastSequence = &APIError{Code: 400, ErrCode: 10071, Description: "wrong last sequence"}
	// ErrNameInUse: a stream of that name has another configuration.
	ErrNameInUse = &APIError{Code: 400, ErrCode: 10058, Description: "stream name already in use with a different configuration"}
)

// codeWrongLastConstant is what newer servers say instead of 10071 where they do
// not tell the sequence.
const codeWrongLastConstant = 10164

var (
	// ErrNoResponders: nobody listens there, so nothing was done or stored. It
	// means that JetStream is off or can't be reached, and of a publish that no
	// stream takes the subject.
	ErrNoResponders = errors.New("no responders")
	// ErrTimeout: no answer came in time. What was asked for may have been done.
	ErrTimeout = errors.New("no answer in time")
	// ErrLost: the way to the domain was lost before an answer came. What was
	// asked for may have been done.
	ErrLost = errors.New("the link was lost before the answer came")
	// ErrClosed: the client, or what was made of it, is closed.
	ErrClosed = errors.New("closed")
	// ErrBadMessage: the message can't be sent as it is.
	ErrBadMessage = errors.New("bad message")
	// ErrStreamReplaced: a cursor's stream was deleted and made anew, so the
	// sequences that it counts by are those of another one.
	ErrStreamReplaced = errors.New("the stream was made anew")
	// ErrSettled: the delivery was acknowledged, refused or terminated before.
	ErrSettled = errors.New("settled before")
)

// IsUnknown reports whether what was asked for, or published, may have been done
// all the same.
func IsUnknown(err error) bool {
	return errors.Is(err, ErrTimeout) || errors.Is(err, ErrLost) || errors.Is(err, wire.ErrUnknown) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// wrongLast gives the two codes of one error the same one.
func wrongLast(e *APIError) *APIError {
	if e.ErrCode != codeWrongLastConstant {
		return e
	}
	return &APIError{Code: e.Code, ErrCode: ErrWrongLastSequence.ErrCode, Description: e.Description}
}

// ended is the error of a wait that ctx ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	} else {
		return err
	}
}
