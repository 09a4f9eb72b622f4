package core

import (
	"fmt"
	"slices"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/monitor"
)

// healthOf looks for the account, the stream and the consumer that somebody asks
// for by name. The code is an HTTP status, 0 when all of them are there.
func (s *Server) healthOf(o *monitor.HealthzOptions) (int, *monitor.HealthError) {
	bad := func(text string) (int, *monitor.HealthError) {
		return 400, &monitor.HealthError{Type: monitor.HealthBadRequest, Error: text}
	}
	missing := func(kind monitor.HealthErrorType, format string, args ...any) (int, *monitor.HealthError) {
		return 404, &monitor.HealthError{Type: kind, Account: o.Account, Stream: o.Stream, Consumer: o.Consumer, Error: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.Account == "" && o.Stream != "":
		return bad(`"account" must not be empty when checking stream health`)
	case o.Stream == "" && o.Consumer != "":
		return bad(`"stream" must not be empty when checking consumer health`)
	}
	st := s.store.Load()
	if st == nil || o.Account == "" || o.JSServerOnly || o.JSEnabledOnly || o.JSEnabled {
		return 0, nil
	}
	all := st.engine.Enabled()
	i := slices.IndexFunc(all, func(a api.Account) bool { return a.Name() == o.Account })
	if i < 0 {
		return missing(monitor.HealthAccount, "JetStream account %q not found", o.Account)
	}
	if o.Stream == "" {
		return 0, nil
	}
	x, err := all[i].Stream(o.Stream)
	if err != nil {
		return missing(monitor.HealthStream, "JetStream stream %q not found on account %q", o.Stream, o.Account)
	}
	if o.Consumer == "" {
		return 0, nil
	}
	if _, err := x.Consumer(o.Consumer); err != nil {
		return missing(monitor.HealthConsumer, "JetStream consumer %q not found for stream %q on account %q", o.Consumer, o.Stream, o.Account)
	}
	return 0, nil
}
