package asset

import "github.com/frondmq/frond/core/jetstream/apierror"

// What is wrong with a configuration, beside the errors of package apierror.
// The names follow the catalogue of the protocol, and so do the texts.
var (
	errMirrorWithSources  = &apierror.Error{Code: 400, ErrCode: 10031, Description: "stream mirrors can not also contain other sources"}
	errMirrorWithSubjects = &apierror.Error{Code: 400, ErrCode: 10034, Description: "stream mirrors can not contain subjects"}
	errMirrorNotUpdatable = &apierror.Error{Code: 400, ErrCode: 10055, Description: "stream mirror configuration can not be updated"}
	errReplicasNegative   = &apierror.Error{Code: 400, ErrCode: 10133, Description: "replicas count cannot be negative"}
	errMirrorFirstSeq     = &apierror.Error{Code: 400, ErrCode: 10143, Description: "stream mirrors can not have first sequence configured"}
	errTransformSource    = &apierror.Error{Code: 400, ErrCode: 10155, Description: "stream transform source"}
	errTransformDest      = &apierror.Error{Code: 400, ErrCode: 10156, Description: "stream transform"}
	errExternalAPI        = &apierror.Error{Code: 400, ErrCode: 10021, Description: "stream external api prefix must not overlap"}
	errExternalOverlap    = &apierror.Error{Code: 400, ErrCode: 10022, Description: "stream external delivery prefix overlaps with stream subject"}
	errExternalDeliver    = &apierror.Error{Code: 400, ErrCode: 10024, Description: "stream external delivery prefix must not contain wildcards"}
	errSourceDuplicate    = &apierror.Error{Code: 400, ErrCode: 10140, Description: "duplicate source configuration detected"}
	errSourceName         = &apierror.Error{Code: 400, ErrCode: 10141, Description: "sourced stream name is invalid"}
	errMirrorName         = &apierror.Error{Code: 400, ErrCode: 10142, Description: "mirrored stream name is invalid"}
	errSourceFilters      = &apierror.Error{Code: 400, ErrCode: 10144, Description: "source with multiple subject transforms cannot also have a single subject filter"}
	errSourceFilter       = &apierror.Error{Code: 400, ErrCode: 10145, Description: "source transform source"}
	errSourceDestination  = &apierror.Error{Code: 400, ErrCode: 10146, Description: "source transform"}
	errSourceOverlap      = &apierror.Error{Code: 400, ErrCode: 10147, Description: "source filters can not overlap"}
	errMirrorFilters      = &apierror.Error{Code: 400, ErrCode: 10150, Description: "mirror with multiple subject transforms cannot also have a single subject filter"}
	errMirrorFilter       = &apierror.Error{Code: 400, ErrCode: 10151, Description: "mirror transform source"}
	errMirrorOverlap      = &apierror.Error{Code: 400, ErrCode: 10152, Description: "mirror subject filters can not overlap"}
	errMirrorDestination  = &apierror.Error{Code: 400, ErrCode: 10154, Description: "mirror transform"}
	errMirrorConsumer     = &apierror.Error{Code: 400, ErrCode: 10213, Description: "stream mirror consumer config is invalid"}
	errSourceConsumer     = &apierror.Error{Code: 400, ErrCode: 10215, Description: "stream source consumer config is invalid"}
)
