//go:build lite

package core

import (
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
)

// In the lite build everyone is in one account, whose mappings are those of the
// JetStream domain.

type tenants struct {
	global   *account.Account
	mappings account.Mappings
}

func (s *Server) prepareTenants(o *config.Options) (*tenants, error) {
	t := &tenants{global: s.global}
	if d := o.JetStream.Domain; d != "" && o.JetStream.Enabled {
		if err := t.mappings.AddDomain(d); err != nil {
			return nil, optionError(o, "jetstream.domain", err)
		}
	}
	return t, nil
}

func (t *tenants) commit() { t.global.SetMappings(&t.mappings) }

func (s *Server) enableStreams(st *store, _ *config.Options) error {
	return st.engine.EnableAccount(bus{s.global})
}

type streamsOf struct{}

type crossings struct{}

func (s *Server) followStreams() {}

func (s *Server) expelSurplus() {}
