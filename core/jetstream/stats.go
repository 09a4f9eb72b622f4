package jetstream

// Stats is what all accounts together use.
type Stats struct {
	Memory, Storage                 uint64 // bytes that streams hold
	ReservedMemory, ReservedStorage uint64 // the sum of their max_bytes
	Accounts                        int    // that have JetStream
	APITotal, APIErrors             uint64 // requests that were answered, and those refused
	APIInflight                     uint64
}

// Stats tells what is used now.
func (e *Engine) Stats() Stats {
	st := Stats{
		Storage: uint64(max(e.quota.used[usageIndex(false)].Load(), 0)),
		Memory:  uint64(max(e.quota.used[usageIndex(true)].Load(), 0)),
	}
	for _, s := range e.allStreams() {
		reserved := uint64(max(s.config().MaxBytes, 0))
		if s.memory {
			st.ReservedMemory += reserved
		} else {
			st.ReservedStorage += reserved
		}
	}
	for _, a := range e.accounts() {
		if a.bus() != nil {
			st.Accounts++
		}
		st.APITotal += a.counts.Total.Load()
		st.APIErrors += a.counts.Errors.Load()
		st.APIInflight += a.counts.Inflight.Load()
	}
	return st
}
