package sourcing

import (
	"encoding/json"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
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
		return Answer{Err: &consumer.Error{Code: 500, ErrCode: errBadRequest, Description: "answer of the origin: " + err.Error()}}
	}
	a := Answer{Consumer: r.Name, Deliver: r.Config.DeliverSubject, Delivered: r.Delivered.StreamSeq, Durable: r.Config.Durable != "", Sourcing: r.Config.Sourcing}
	if e := r.Error; e != nil {
		a.Err = &consumer.Error{Code: e.Code, ErrCode: e.ErrCode, Description: e.Description}
	}
	return a
}
