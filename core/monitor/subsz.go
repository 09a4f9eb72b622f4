package monitor

import (
	"cmp"
	"slices"
	"time"
)

// Subsz is /subsz: how many subscriptions there are, and on request those of the
// connections.
type Subsz struct {
	ID  string    `json:"server_id"`
	Now time.Time `json:"now"`
	SublistStats
	Total  int         `json:"total"` // of the list, with all its pages
	Offset int         `json:"offset"`
	Limit  int         `json:"limit"`
	Subs   []SubDetail `json:"subscriptions_list,omitempty"`
}

// SublistStats are figures of the index of subscriptions. Those of its cache are
// nats-server's: this server keeps no such count, and they are 0.
type SublistStats struct {
	NumSubs      uint64  `json:"num_subscriptions"`
	NumCache     uint32  `json:"num_cache"`
	NumInserts   uint64  `json:"num_inserts"`
	NumRemoves   uint64  `json:"num_removes"`
	NumMatches   uint64  `json:"num_matches"`
	CacheHitRate float64 `json:"cache_hit_rate"`
	MaxFanout    uint32  `json:"max_fanout"`
	AvgFanout    float64 `json:"avg_fanout"`
}

// SubszOptions is what was asked. The JSON form is the body of the request on $SYS.
type SubszOptions struct {
	Offset        int    `json:"offset"`
	Limit         int    `json:"limit"`
	Subscriptions bool   `json:"subscriptions"`
	Account       string `json:"account"` // "" for all
	Test          string `json:"test"`    // only those that this subject reaches
}

// Page sorts subs, of which z shows the ones that o asks for.
func (z *Subsz) Page(o *SubszOptions, subs []SubDetail) {
	z.Offset, z.Limit = max(o.Offset, 0), o.Limit
	if z.Limit <= 0 {
		z.Limit = DefaultPage
	}
	if !o.Subscriptions && o.Test == "" {
		return
	}
	slices.SortFunc(subs, func(a, b SubDetail) int {
		return cmp.Or(cmp.Compare(a.Cid, b.Cid), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.SID, b.SID))
	})
	z.Total = len(subs)
	if z.Offset < len(subs) {
		z.Subs = subs[z.Offset:min(z.Offset+z.Limit, len(subs))]
	}
}
