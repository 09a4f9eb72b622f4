package api

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
)

// GetRequest is the body of STREAM.MSG.GET and of direct gets (ADR-31).
type GetRequest struct {
	Seq       uint64     `json:"seq,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
	MultiLast []string   `json:"multi_last,omitempty"`
	UpToSeq   uint64     `json:"up_to_seq,omitempty"`
	UpToTime  *time.Time `json:"up_to_time,omitempty"`
	NoHeader  bool       `json:"no_hdr,omitempty"`
}

// ReadGet reads the body of a direct get.
func ReadGet(body []byte) (g GetRequest, ok bool) {
	err := json.Unmarshal(body, &g)
	return g, err == nil
}

// conflicts reports members that exclude each other.
func (g *GetRequest) conflicts() bool {
	seq, last, next, start := g.Seq > 0, g.LastFor != "", g.NextFor != "", g.StartTime != nil
	return seq && last || seq && start || start && last || last && next
}

// Empty reports whether the request selects nothing.
func (g *GetRequest) Empty() bool {
	return g.Seq == 0 && g.LastFor == "" && g.NextFor == "" && g.StartTime == nil
}

// BadDirect reports whether members exclude each other in a direct get.
func (g *GetRequest) BadDirect() bool {
	multi := len(g.MultiLast) > 0
	return g.conflicts() ||
		g.LastFor != "" && (g.Batch > 0 || multi) ||
		g.NextFor != "" && multi ||
		g.UpToSeq > 0 && g.UpToTime != nil
}

// Filters are the subjects that a message has to match, none for any.
func (g *GetRequest) Filters() []string {
	if g.NextFor == "" || g.NextFor == ">" {
		return nil
	}
	return []string{g.NextFor}
}

type msgGetResponse struct {
	response
	Message *StoredMsg `json:"message,omitempty"`
}

func (s *Server) msgGet(r *Request, base response, name string) (any, *apierror.Error) {
	out := msgGetResponse{response: base}
	var req GetRequest
	x, err := s.openFor(r, name, &req)
	switch {
	case err != nil:
	case req.Batch > 0 || req.MaxBytes > 0 || req.Empty() || req.conflicts():
		err = errBadRequest
	default:
		m, failed := x.Get(&req)
		if err = failed; err != nil {
			break
		}
		out.Message = &StoredMsg{Subject: m.Subject, Seq: m.Seq, Data: m.Body, Time: time.Unix(0, m.Time).UTC()}
		if !req.NoHeader {
			out.Message.Header = m.Header
		}
	}
	out.Error = err
	return out, err
}
