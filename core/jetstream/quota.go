package jetstream

import (
	"fmt"
	"sync/atomic"

	"github.com/frondmq/frond/core/jetstream/asset"
)

// quota is how many bytes streams may hold together and how many they hold, those
// of the server or those of one account. Each array has files first and memory
// second, as usageIndex and Storage count.
type quota struct {
	limit    [2]atomic.Int64 // 0 for none, NoBytes for nothing
	used     [2]atomic.Int64
	reserved [2]atomic.Int64 // that they may grow to
	said     [2]minutely     // that the limit refuses
}

func (q *quota) setLimits(store, memory int64) {
	q.limit[0].Store(store)
	q.limit[1].Store(memory)
}

// over reports whether as much is held as is allowed.
func (q *quota) over(i int) bool {
	limit := q.limit[i].Load()
	return limit != 0 && q.used[i].Load() >= limit
}

// near reports whether it would be if that much came to it.
func (q *quota) near(i int, coming int64) bool {
	limit := q.limit[i].Load()
	return limit != 0 && coming > 0 && q.used[i].Load()+coming >= limit
}

// fits reports whether that much more may be reserved.
func (q *quota) fits(i int, bytes int64) bool {
	limit := q.limit[i].Load()
	return limit <= 0 || bytes+q.reserved[i].Load() <= limit
}

// forbids reports whether there may be no stream at all.
func (q *quota) forbids(i int) bool { return q.limit[i].Load() == NoBytes }

// limitNames are what the limits are called in the configuration.
var limitNames = [2]string{"max_file", "max_mem"}

func (q *quota) text(i int) string {
	return fmt.Sprintf("%s is reached: streams hold %d bytes, the limit is %d", limitNames[i], q.used[i].Load(), max(q.limit[i].Load(), 0))
}

// LimitStore says how many bytes all streams in files may hold from now on; 0 is no
// limit. Limits in the Config do so at the start.
func (e *Engine) LimitStore(bytes int64) { e.quota.limit[usageIndex(false)].Store(bytes) }

// AccountLimits are what one account may hold, beside what Limits allow all of
// them together. The zero value of a field is no limit of its own.
type AccountLimits struct {
	MaxMemory, MaxStore int64 // bytes, or NoBytes
	MaxStreams          int   // or ToldZero
	MaxConsumers        int   // of a stream, or ToldZero
}

// ToldZero is no limit of a count that is told as 0, as nats-server tells one that
// was configured so.
const ToldZero = -1

// NoBytes is the limit of who may have no streams in memory, or in files.
const NoBytes = -1

// LimitAccount says what an account may hold from now on. What it has above that
// stays, and refuses what is new.
func (e *Engine) LimitAccount(name string, l AccountLimits) {
	a := e.account(name)
	a.limits.Store(&l)
	a.quota.setLimits(l.MaxStore, l.MaxMemory)
}

// lowest of the limits that are set; 0 is none.
func lowest(a, b int) int {
	if a <= 0 || b <= 0 {
		return max(a, b, 0)
	}
	return min(a, b)
}

func (a *account) maxStreams() int {
	return lowest(a.e.cfg.Limits.MaxStreams, a.limits.Load().MaxStreams)
}

func (a *account) maxConsumers() int {
	return lowest(a.e.cfg.Limits.MaxConsumers, a.limits.Load().MaxConsumers)
}

// addUsage counts bytes that streams of the account hold more, or less.
func (a *account) addUsage(memory bool, bytes int64) {
	i := usageIndex(memory)
	a.quota.used[i].Add(bytes)
	a.e.quota.used[i].Add(bytes)
}

// reserve counts what a stream may grow to, or no longer.
func (a *account) reserve(s asset.Storage, bytes int64) {
	a.quota.reserved[s].Add(bytes)
	a.e.quota.reserved[s].Add(bytes)
}

// overLimit reports whether the account, or the server, holds as much as it may,
// and says so in the log once a minute.
func (a *account) overLimit(memory bool) bool {
	i := usageIndex(memory)
	switch {
	case a.e.quota.over(i):
		if a.e.quota.said[i].due(a.e.now()) {
			a.e.logger.Warn("JetStream refuses messages: " + a.e.quota.text(i))
		}
	case a.quota.over(i):
		if a.quota.said[i].due(a.e.now()) {
			a.e.logger.Warn("JetStream refuses messages of account "+a.name+": "+a.quota.text(i), "account", a.name)
		}
	default:
		return false
	}
	return true
}

// nearLimit reports whether streams would hold as much if everything that is on
// its way were added to them. It may not be: other messages may go for it, and it
// may be for other accounts, so this is a reason to wait and not to refuse.
func (a *account) nearLimit(memory bool) bool {
	i := usageIndex(memory)
	coming := a.e.coming[i].Load()
	return a.e.quota.near(i, coming) || a.quota.near(i, coming)
}
