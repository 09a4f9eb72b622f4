package sourcing

import (
	"encoding/json"

	"github.com/frondmq/frond/core/jetstream/apierror"
)

// ReadAnswer reads the parts of a consumer create response that matter.
func ReadAnswer(body []byte) Answer {
	var r struct {
		Error  *apierror.Error `json:"error"`
		Name   string          `json:"name"`
		Config struct {
			Durable        string `json:"durable_name"`
			DeliverSubject string `json:"deliver_subject"`
			Sourcing       bool   `json:"sourcing"`
		} `json:"config"`
		Delivered struct {
			StreamSeq uint64 `json:"stream_seq"`
		} `json:"delivered"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return Answer{Err: &apierror.Error{Code: 500, ErrCode: errBadRequest, Description: "answer of the origin: " + err.Error()}}
	}
	return Answer{
		Consumer: r.Name, Deliver: r.Config.DeliverSubject, Delivered: r.Delivered.StreamSeq, Durable: r.Config.Durable != "", Sourcing: r.Config.Sourcing,
		Err: r.Error,
	}
}
