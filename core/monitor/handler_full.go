//go:build !lite

package monitor

// FullSource is what a Source of the builds that have accounts knows besides. As
// there, errors are the asker's.
type FullSource interface {
	Source
	Subsz(o *SubszOptions) (*Subsz, error)
	Accountz(o *AccountzOptions) (*Accountz, error)
	Accstatz(o *AccstatzOptions) *Accstatz
	Jsz(o *JszOptions) (*Jsz, error)
	Routez() *Routez
	Gatewayz() *Gatewayz
	Expvarz() *Expvarz
	// Stacks are those of all goroutines, as text.
	Stacks() []byte
}

// fullPages are the pages of the index that need a FullSource.
var fullPages = [][2]string{
	{"jsz", "JetStream"}, {"accountz", "Accounts"}, {"accstatz", "Account statistics"}, {"subsz", "Subscriptions"},
	{"routez", "Routes"}, {"gatewayz", "Gateways"},
}

// full answers what a FullSource knows; false for another address.
func (h *Handler) full(p string, q *query) (Answered, bool) {
	src, ok := h.src.(FullSource)
	if !ok {
		return Answered{}, false
	}
	switch p {
	case "/subsz", "/subscriptionsz":
		h.count("/subsz")
		o := &SubszOptions{
			Offset: q.integer("offset"), Limit: q.integer("limit"), Subscriptions: q.boolean("subs"),
			Account: q.values.Get("acc"), Test: q.values.Get("test"),
		}
		return answer(q, func() (any, error) { return src.Subsz(o) }), true
	case "/accountz":
		h.count(p)
		return answer(q, func() (any, error) { return src.Accountz(&AccountzOptions{Account: q.values.Get("acc")}) }), true
	case "/accstatz":
		h.count(p)
		o := &AccstatzOptions{IncludeUnused: q.boolean("unused")}
		return answer(q, func() (any, error) { return src.Accstatz(o), nil }), true
	case "/jsz":
		h.count(p)
		o := &JszOptions{
			Account: q.values.Get("acc"), Accounts: q.boolean("accounts"), Streams: q.boolean("streams"),
			Consumer: q.boolean("consumers"), DirectConsumer: q.boolean("direct-consumers"), Config: q.boolean("config"),
			Offset: q.integer("offset"), Limit: q.integer("limit"), LeaderOnly: q.boolean("leader-only"),
			StreamLeaderOnly: q.boolean("stream-leader-only"), RaftGroups: q.boolean("raft"),
		}
		return answer(q, func() (any, error) { return src.Jsz(o) }), true
	case "/routez":
		h.count(p)
		return answer(q, func() (any, error) { return src.Routez(), nil }), true
	case "/gatewayz":
		h.count(p)
		return answer(q, func() (any, error) { return src.Gatewayz(), nil }), true
	case "/ipqueuesz":
		return answer(q, func() (any, error) { return struct{}{}, nil }), true
	case "/raftz":
		return text(404, "No Raft nodes registered"), true
	case "/stacksz":
		return Answered{200, typeJSON, src.Stacks()}, true
	case "/debug/vars":
		return answer(q, func() (any, error) { return src.Expvarz(), nil }), true
	}
	return Answered{}, false
}

func answer(q *query, f func() (any, error)) Answered {
	if q.wrong != "" {
		return text(400, q.wrong)
	}
	v, err := f()
	if err != nil {
		return text(400, err.Error())
	}
	return pretty(v)
}
