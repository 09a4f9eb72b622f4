package monitor

// Source is the server as this room sees it. All methods may be called at any
// time from any goroutine, read snapshots and are quick.
type Source interface {
	// Varz returns a fresh answer, modules included, but for HTTPReqStats.
	Varz() *Varz
	// Connz picks and pages with NewConnz. An error is the asker's: it is sent
	// as text.
	Connz(o *ConnzOptions) (*Connz, error)
	// Leafz is the page of leaf links.
	Leafz(o *LeafzOptions) *Leafz
	// Healthz returns the answer with StatusCode set.
	Healthz(o *HealthzOptions) *Healthz
}
