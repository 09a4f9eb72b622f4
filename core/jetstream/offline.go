package jetstream

import (
	"fmt"
	"maps"
	"slices"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// offline is a stream that could not be opened at the start: its files stay as
// they are and its operations stay in the journal, requests about it are
// answered with the reason, and all other streams work.
type offline struct {
	acct        *account
	name        string
	incarnation uint64
	config      *asset.StreamConfig // as it was created; nil when not even that can be read
	err         error
	from        edgestore.LSN // guarded by Engine.mu: of the oldest operation for it in the journal
	attached    []func()      // guarded by account.changes: end what refuses messages
}

// setOffline remembers a stream that could not be opened, and tells.
func (e *Engine) setOffline(c *streamCreate, err error) {
	o := &offline{acct: e.account(c.account), incarnation: c.incarnation, err: err}
	if cfg, cerr := asset.Decode(c.config); cerr == nil {
		o.config, o.name = cfg, cfg.Name
	} else {
		o.name = fmt.Sprintf("incarnation %d", c.incarnation)
	}
	e.mu.Lock()
	e.mu.offline[c.incarnation] = o
	e.mu.Unlock()
	o.acct.mu.Lock()
	if o.acct.mu.offline == nil {
		o.acct.mu.offline = make(map[string]*offline)
	}
	if old := o.acct.mu.offline[o.name]; old != nil {
		o.acct.mu.ways.remove(old.config)
	}
	o.acct.mu.offline[o.name] = o
	o.acct.mu.ways.add(o.config)
	o.acct.mu.Unlock()
	e.report(Damage{
		Kind: DamageStopped, Account: c.account, Stream: o.name,
		Where: e.cfg.backend.where(c.incarnation),
		What:  fmt.Sprintf("stream %q could not be opened and is stopped: %v", o.name, err),
		Do:    "repair what the error names and restart, or delete the stream: until then the journal keeps its operations, and its files are left as they are. What the disk does not read for good is given up with frond store giveup",
	})
}

// offline finds a stream that could not be opened.
func (e *Engine) offline(incarnation uint64) *offline {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.mu.offline[incarnation]
}

// forget ends a stream that could not be opened: it was deleted. Its files are
// removed once the catalogue is durable.
func (e *Engine) forget(o *offline) {
	o.acct.mu.Lock()
	if o.acct.mu.offline[o.name] == o {
		delete(o.acct.mu.offline, o.name)
		o.acct.mu.ways.remove(o.config)
	}
	o.acct.mu.Unlock()
	e.mu.Lock()
	delete(e.mu.offline, o.incarnation)
	e.mu.Unlock()
}

// keepOffline keeps the operations of a stream that could not be opened in the
// journal.
func (e *Engine) keepOffline(o *offline, lsn edgestore.LSN) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.from == 0 {
		o.from = lsn
	}
}

// attach makes the stream refuse what is published to its subjects: nobody is
// told that a message arrived which the stream would have kept. The caller
// holds acct.changes.
func (o *offline) attach(b Bus) error {
	if o.config == nil {
		return nil
	}
	for _, subj := range o.config.Subjects {
		cancel, err := b.Subscribe(subj, "", o.refuse)
		if err != nil {
			return err
		}
		o.attached = append(o.attached, cancel)
	}
	return nil
}

// detach ends attach. The caller holds acct.changes.
func (o *offline) detach() {
	for _, cancel := range o.attached {
		cancel()
	}
	o.attached = nil
}

// refuse answers a message that the stream would keep.
func (o *offline) refuse(m *wire.Msg) {
	if !o.acct.e.leadsLog(o.acct.e.journal) {
		return // who leads may have it
	}
	if m.Receipt != nil {
		m.Receipt.Expect()
		m.Receipt.Stored(o.name, 0, false, o.apiError())
		return
	}
	if len(m.Reply) == 0 || o.config.NoAck {
		return
	}
	o.acct.e.out.send(o.acct, string(m.Reply), nil, api.AppendNack(nil, o.name, o.apiError()))
}

// allOffline lists the streams that could not be opened.
func (a *account) allOffline() []*offline {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.Collect(maps.Values(a.mu.offline))
}

// missing is the answer about a stream that is not there to be used.
func (a *account) missing(name string) *apierror.Error {
	a.mu.RLock()
	o := a.mu.offline[name]
	a.mu.RUnlock()
	if o == nil {
		return apierror.ErrStreamNotFound
	}
	return o.apiError()
}

func (o *offline) apiError() *apierror.Error {
	return errStreamOffline.With("stream is offline: %v", o.err)
}

// offlineReasons names the streams that could not be opened and capture
// something of a subject ("" is all), with the reason of each.
func (a *account) offlineReasons(subj string) map[string]string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var out map[string]string
	for name, o := range a.mu.offline {
		if subj != "" && (o.config == nil || !slices.ContainsFunc(o.config.Subjects, func(x string) bool { return subject.Collide(x, subj) })) {
			continue
		}
		if out == nil {
			out = make(map[string]string)
		}
		out[name] = o.err.Error()
	}
	return out
}
