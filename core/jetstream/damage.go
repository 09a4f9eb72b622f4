package jetstream

import "github.com/frondmq/frond/core/jetstream/damage"

// Damage is one thing that went wrong with what is stored, for an operator. It
// stays until it is acknowledged, over restarts.
type Damage = damage.Entry

// What happened to what is stored: see the kinds in package damage.
const (
	DamageLost       = damage.Lost
	DamageOperations = damage.Operations
	DamageConsumer   = damage.Consumer
	DamageCatalogue  = damage.Catalogue
	DamageStopped    = damage.Stopped
	DamageQuarantine = damage.Quarantine
	DamageAside      = damage.Aside
	DamageReplay     = damage.Replay
	DamageRead       = damage.Read
	DamageWrite      = damage.Write
	DamageUnguarded  = damage.Unguarded
	DamageIDs        = damage.IDs
	DamageFolder     = damage.Folder
	DamageIdentity   = damage.Identity
)

// Found reports damage to what stands in the data folder beside the streams. It is
// in the register at once, and durably so if the error is nil.
func (e *Engine) Found(d Damage) error {
	e.report(d)
	if e.drain == nil {
		return nil
	}
	return e.drain.drain()
}

// Recovered reports whether there were streams in the folder when it was opened.
func (e *Engine) Recovered() bool { return e.recovered }

// report tells the operator, once, and keeps it in the register. It does not
// wait for the disk.
func (e *Engine) report(d Damage) {
	d.At = e.cfg.Now().UTC()
	d.Times = max(d.Times, 1)
	if id, say := e.damage.Add(d); say {
		e.logger.Error("JetStream damage: "+d.What, d.Attrs(id)...)
		if e.drain != nil && d.Stream != "" { // nobody listens to a recovery
			e.api.Do(func() { e.advise(d) })
		}
	}
	e.drain.kick()
}

// advise tells those who listen in the account of a stream. What it says to the
// operator, with folders and causes, is not theirs.
func (e *Engine) advise(d Damage) {
	if s := e.account(d.Account).stream(d.Stream); s != nil {
		e.api.StreamDamaged(s.acct, s.name, string(d.Kind), d.Lost)
	}
}

// Damage lists what went wrong with what is stored, oldest first; those that
// were acknowledged only with all.
func (e *Engine) Damage(all bool) []Damage { return e.damage.List(all) }

// AckDamage takes an entry out of what is told, durably; id 0 takes all.
func (e *Engine) AckDamage(id uint64) error {
	if err := e.damage.Ack(id); err != nil || e.drain == nil {
		return err
	}
	return e.drain.drain()
}
