package core

import (
	"context"
	"errors"
	"log/slog"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/outbound"
)

// ErrModuleTaken is what a module says to a second server, which does not stop it
// then.
var ErrModuleTaken = errors.New("this module belongs to another server already: each server needs its own")

// Module is a protocol that a build may have or leave out: leaf links, MQTT.
// The server is given its modules at construction, no other has them, and it calls
// them in this order: Verify, Start, then Verify and Commit for each reload, Stop. Verify and
// Commit are never called by two goroutines at a time.
type Module interface {
	// Name is what the tables of core/config call the owner of its block, such as
	// "mqtt".
	Name() string
	// Verify checks the options as a whole, before anything starts, when from is
	// nil, and before a reload. It changes nothing that anybody sees: whatever can
	// fail is made ready here for Commit. It refuses changes below its block that it
	// can't make while it runs. Its errors name what is wrong and where (file, line,
	// column if the option has one).
	Verify(from, to *config.Options) error
	// Start opens listeners and starts the module's goroutines. It returns
	// when the doors are open. A module whose block is absent does nothing.
	Start(s Services) error
	// Commit takes what Verify has let through, when all others have let it through
	// too. Services.Options are the new ones by then, and Authenticate goes by them.
	Commit(from, to *config.Options)
	// Stop closes doors, then connections, and returns when every goroutine of
	// the module has ended or ctx is done. It works after a failed Start too, and
	// is not called where Start was not.
	Stop(ctx context.Context) error
	// Describe fills in the module's part of the monitoring answers. It reads
	// snapshots and never blocks the data path.
	Describe(d *monitor.Description)
}

// Abandoner is a Module whose Verify makes something ready that must not stay when
// nothing is reloaded, such as an open port.
type Abandoner interface {
	// Abandon gives it back. It is called instead of Commit behind a Verify that
	// others, or the module itself, have refused.
	Abandon()
}

// Services is what the server offers its modules.
type Services interface {
	Options() *config.Options
	Logger() *slog.Logger
	// Identity of this server, fixed for its life.
	ServerID() string   // public server key, N...
	ServerName() string // configured, or the id
	// StoreID is that of the data folder, which outlives the run; "" without
	// JetStream.
	StoreID() string
	ClusterName() string
	Domain() string // JetStream domain, "" for none
	JetStream() bool
	StreamsIn(a *account.Account) bool // whether JetStream is on in that account
	Version() string                   // the nats-server level announced to peers
	APILevel() int
	// Connections is where each connection of a module is added and removed.
	Connections() *Connections
	// Outbound lends the memory of what waits to be written to clients, and bounds
	// it for all of them together.
	Outbound() *outbound.Pool
	// OutboundLinks is the same for links, which are counted apart.
	OutboundLinks() *outbound.Pool
	// Inbound counts the memory of messages that peers have sent in part, and ends
	// those that take too much.
	Inbound() *inbound.Parts
	// Account finds an account by name; "$G" always exists.
	Account(name string) (*account.Account, bool)
	// StreamClient is JetStream as the account sees it: that of this server, or of
	// the one whose domain it is and that links lead to; "" is the one that answers
	// in the account. Whoever asks for it closes it.
	StreamClient(a *account.Account, domain string) (*jsclient.Client, error)
	Authenticate(r *auth.Request) (*auth.Grant, error)
	// Renew gives what a reload has left of a Grant for that kind of connection;
	// false when the user would not be let in any more. In another account is whoever
	// is asked no more: its connection ends. Who was let in asks once
	// more when Commit can find it: a reload may have come in between.
	Renew(k auth.Kind, g *auth.Grant) (*auth.Grant, bool)
}
