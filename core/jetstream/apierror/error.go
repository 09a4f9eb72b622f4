// Package apierror is an error as the JetStream API tells it: what a client
// reads in an answer or an acknowledgement. It is no promise to other programs:
// it changes without notice.
//
// It has the type, and those of the protocol's codes that more than one room
// answers with; the other codes stand in the room that checks what they are
// about.
package apierror

import (
	"errors"
	"fmt"
)

// Error is an error as JetStream clients see it. Clients match on ErrCode; Code
// is only its class, and not a reliable one (10052 is a user error of class
// 500).
type Error struct {
	Code        int    `json:"code"`
	ErrCode     uint16 `json:"err_code,omitempty"`
	Description string `json:"description,omitempty"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// Is reports whether target is the same error, whatever the text is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.ErrCode == e.ErrCode && e.ErrCode != 0
}

// With is a copy with another description, for the codes whose text is made on
// the spot.
func (e *Error) With(format string, args ...any) *Error {
	return &Error{Code: e.Code, ErrCode: e.ErrCode, Description: fmt.Sprintf(format, args...)}
}

// Of turns any error into one for the API: those that have a code keep it,
// others become generic, which gives the code.
func Of(err error, generic *Error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return generic.With("%v", err)
}

// The codes that more than one room answers with. The names follow the
// catalogue of the protocol, and so do the texts.
var (
	ErrReplicasNotSupported = &Error{Code: 500, ErrCode: 10074, Description: "replicas > 1 not supported in non-clustered mode"}
	ErrPedantic             = &Error{Code: 400, ErrCode: 10157, Description: "pedantic mode"}
	ErrStreamConfig         = &Error{Code: 500, ErrCode: 10052, Description: "invalid stream configuration"}
	ErrStreamNamePath       = &Error{Code: 400, ErrCode: 10128, Description: "Stream name can not contain path separators"}
	ErrStreamNotFound       = &Error{Code: 404, ErrCode: 10059, Description: "stream not found"}
	ErrMessageTooLarge      = &Error{Code: 400, ErrCode: 10054, Description: "message size exceeds maximum allowed"}
	ErrMsgDelete            = &Error{Code: 500, ErrCode: 10057, Description: "no message found"}
	ErrStreamSealed         = &Error{Code: 400, ErrCode: 10109, Description: "invalid operation on sealed stream"}
)
