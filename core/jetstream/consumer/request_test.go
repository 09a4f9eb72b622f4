package consumer

import (
	"encoding/json"
	"testing"
)

func TestParsePull(t *testing.T) {
	for _, c := range []struct {
		body string
		want PullRequest
	}{
		{"", PullRequest{Batch: 1}},
		{"  ", PullRequest{Batch: 1}},
		{"7", PullRequest{Batch: 7}},
		{"-7", PullRequest{Batch: 1}},
		{"seven", PullRequest{Batch: 1}},
		{"99999999999", PullRequest{Batch: 1}},
		{"{}", PullRequest{isJSON: true}},
		{`{"batch":3}`, PullRequest{Batch: 3, isJSON: true}},
		{` { "batch" : 3 , "no_wait" : true , "expires":1000000,"max_bytes":9,"idle_heartbeat":5 } `, PullRequest{Batch: 3, NoWait: true, Expires: 1000000, MaxBytes: 9, Heartbeat: 5, isJSON: true}},
		{`{"batch":-3}`, PullRequest{Batch: -3, isJSON: true}},
		{`{"batch":3,"other":{"a":[1]},"id":"x","group":"g","priority":2,"min_pending":4,"min_ack_pending":5}`, PullRequest{Batch: 3, ID: "x", Group: "g", Priority: 2, MinPending: 4, MinAckPending: 5, isJSON: true}},
	} {
		got, err := ParsePull([]byte(c.body))
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v", c.body, got, err)
		}
	}
	for _, body := range []string{`{`, `{"batch":"x"}`, `{"batch":1,}`, `{"batch":1} x`, `{"batch":01}`, `{"no_wait":1}`} {
		if got, err := ParsePull([]byte(body)); err == nil {
			t.Errorf("%q: %+v", body, got)
		}
	}
}

// FuzzParsePull compares the short way with package json.
func FuzzParsePull(f *testing.F) {
	for _, s := range []string{`{"batch":3,"no_wait":true}`, `{"batch":01}`, `{"expires":1e3}`, `{}`, `12`, `{"batch":1,"batch":2}`, `{"BATCH":1}`, `{"max_bytes":true}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParsePull([]byte(s))
		if !got.isJSON {
			return
		}
		want := PullRequest{isJSON: true}
		if wantErr := json.Unmarshal([]byte(s), &want); (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("%q: %+v %v, want %+v %v", s, got, err, want, wantErr)
		}
	})
}
