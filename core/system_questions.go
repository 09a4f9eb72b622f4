//go:build !lite

package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/frondmq/frond/core/monitor"
)

// questions are all that is asked in the system account.
func (y *system) questions() []*systemQuestion {
	list := []*systemQuestion{
		{subject: "$SYS.REQ.SERVER.PING", answer: (*asked).statsz, bare: true},
		{subject: "$SYS.DEBUG.SUBSCRIBERS", answer: (*asked).subscribers, bare: true},
		{subject: "$SYS.REQ.USER.*.INFO", answer: (*asked).userInfo},
		{subject: "$SYS.REQ.ACCOUNT.NSUBS", answer: with((*asked).numSubs), bare: true},
	}
	if y.s.store.Load() != nil {
		list = append(list, &systemQuestion{subject: "$JS.API.ACCOUNT.PURGE.*", answer: (*asked).purgeAccount, bare: true, long: true})
	}
	mine := "$SYS.REQ.SERVER." + y.s.ServerID() + "."
	for _, q := range serverQuestions() {
		ping := *q
		ping.subject, q.subject = "$SYS.REQ.SERVER.PING."+q.subject, mine+q.subject
		list = append(list, q, &ping)
	}
	for _, q := range []*systemQuestion{
		{subject: "KICK", answer: (*asked).kick, silent: true},
		{subject: "LDM", answer: (*asked).lameDuckClient, silent: true},
		{subject: "RELOAD", answer: (*asked).reload, long: true, silent: true},
	} {
		q.subject = mine + q.subject
		list = append(list, q)
	}
	for _, q := range []*systemQuestion{
		{subject: "SUBSZ", answer: with((*asked).accountSubsz)},
		{subject: "CONNZ", answer: func(q *asked) (any, error) { return q.accountConnz(q.token(3)) }},
		{subject: "LEAFZ", answer: with((*asked).accountLeafz)},
		{subject: "JSZ", answer: with((*asked).accountJsz)},
		{subject: "INFO", answer: (*asked).accountInfo},
		{subject: "STATZ", answer: func(q *asked) (any, error) { return q.accountStatz(q.token(3)) }},
		{subject: "CONNS", answer: (*asked).accountConns, bare: true},
	} {
		q.subject = "$SYS.REQ.ACCOUNT.*." + q.subject
		list = append(list, q)
	}
	return list
}

// serverQuestions are those that all servers are asked, or one; subject is the last token.
func serverQuestions() []*systemQuestion {
	return []*systemQuestion{
		{subject: "IDZ", answer: (*asked).idz, bare: true},
		{subject: "STATSZ", answer: (*asked).statsz, bare: true},
		{subject: "VARZ", answer: with(func(q *asked, _ *struct{}) (any, error) { return q.y.s.fullVarz(), nil })},
		{subject: "CONNZ", answer: with(func(q *asked, o *monitor.ConnzOptions) (any, error) { return q.y.s.Connz(o) })},
		{subject: "SUBSZ", answer: with(func(q *asked, o *monitor.SubszOptions) (any, error) { return q.y.s.Subsz(o) })},
		{subject: "ROUTEZ", answer: with(func(q *asked, _ *struct{}) (any, error) { return q.y.s.Routez(), nil })},
		{subject: "GATEWAYZ", answer: with(func(q *asked, _ *struct{}) (any, error) { return q.y.s.Gatewayz(), nil })},
		{subject: "LEAFZ", answer: with(func(q *asked, o *monitor.LeafzOptions) (any, error) { return q.y.s.Leafz(o), nil })},
		{subject: "ACCOUNTZ", answer: with(func(q *asked, o *monitor.AccountzOptions) (any, error) { return q.y.s.Accountz(o) })},
		{subject: "JSZ", answer: with(func(q *asked, o *monitor.JszOptions) (any, error) { return q.y.s.Jsz(o) })},
		{subject: "HEALTHZ", answer: with(func(q *asked, o *monitor.HealthzOptions) (any, error) { return q.y.s.Healthz(o), nil })},
		{subject: "EXPVARZ", answer: with(func(q *asked, _ *struct{}) (any, error) { return q.y.s.Expvarz(), nil })},
		{subject: "IPQUEUESZ", answer: with(func(*asked, *struct{}) (any, error) { return struct{}{}, nil })},
		{subject: "RAFTZ", answer: with(func(*asked, *struct{}) (any, error) { return struct{}{}, nil })},
		{subject: "PROFILEZ", answer: with((*asked).profile), long: true},
	}
}

func (q *asked) idz() (any, error) {
	i := q.y.s.describeServer()
	return &monitor.ServerID{Name: i.Name, Host: i.Host, ID: i.ID}, nil
}

func (q *asked) statsz() (any, error) {
	if _, err := options[struct{}](q); err != nil {
		return nil, err
	}
	return q.y.newStatsz(), nil
}

func (q *asked) kick() (any, error) {
	var o monitor.CIDRequest
	if err := json.Unmarshal(q.body, &o); err != nil {
		q.y.s.log.Error("Error unmarshalling kick request", "err", err)
		return nil, errSilent
	}
	return nil, q.y.s.connections.Kick(o.CID)
}

var (
	errNoClient  = errors.New("no such client id")
	errNoLDM     = errors.New("client does not support Lame Duck Mode or is not ready to receive the notification")
	errNoReload  = errors.New("can only reload config when a file is provided using -c or --config")
	errNoProfile = errors.New("Profile name not specified")
)

// lameDuckClient tells one client to go to another server.
func (q *asked) lameDuckClient() (any, error) {
	var o monitor.CIDRequest
	if err := json.Unmarshal(q.body, &o); err != nil {
		q.y.s.log.Error("Error unmarshalling ldm request", "err", err)
		return nil, errSilent
	}
	c, ok := q.y.s.connections.Get(o.CID).(*client)
	if !ok {
		return nil, errNoClient
	}
	if !c.lameDuck() {
		return nil, errNoLDM
	}
	return nil, nil
}

// lameDuck tells the client to go elsewhere, if it knows what that is.
func (c *client) lameDuck() bool {
	c.life.Lock()
	knows := c.life.info != nil && c.life.info.Protocol >= 1
	c.life.Unlock()
	if !knows {
		return false
	}
	i := c.info(c.s.current.Load())
	i.LameDuck = true
	c.tell(i.line())
	return true
}

// OnReload says how the configuration is read anew when the system account asks for
// it. f is called on a goroutine of its own, one at a time, and Shutdown waits for it,
// as long as its context lets it.
// Without it such a request is refused. Call it before Start.
func (s *Server) OnReload(f func() error) {
	s.system.reload.Store(&f)
}

func (q *asked) reload() (any, error) {
	f := q.y.reload.Load()
	if f == nil {
		return nil, errNoReload
	}
	return nil, (*f)()
}

// maxProfileTime is the longest that a profile of the processor takes.
const maxProfileTime = 15 * time.Second

func (q *asked) profile(o *monitor.ProfilezOptions) (any, error) {
	b, err := q.y.profileOf(o)
	if err != nil {
		return &monitor.Profilez{Error: err.Error()}, nil
	}
	return &monitor.Profilez{Profile: b}, nil
}

func (y *system) profileOf(o *monitor.ProfilezOptions) ([]byte, error) {
	var out bytes.Buffer
	switch o.Name {
	case "":
		return nil, errNoProfile
	case "cpu":
		d := time.Duration(o.Duration)
		if d <= 0 || d > maxProfileTime {
			return nil, fmt.Errorf("Duration %v should be between 0s and 15s", d)
		}
		if err := pprof.StartCPUProfile(&out); err != nil {
			return nil, err
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-y.quit:
		}
		pprof.StopCPUProfile()
	default:
		p := pprof.Lookup(o.Name)
		if p == nil {
			return nil, fmt.Errorf("Profile %q not found", o.Name)
		}
		if err := p.WriteTo(&out, o.Debug); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// Expvarz is part of monitor.FullSource.
func (s *Server) Expvarz() *monitor.Expvarz {
	m := new(runtime.MemStats)
	runtime.ReadMemStats(m)
	return &monitor.Expvarz{MemStats: m, Cmdline: os.Args[:1]}
}

// Stacks is part of monitor.FullSource.
func (s *Server) Stacks() []byte {
	b := make([]byte, 1<<20)
	return b[:runtime.Stack(b, true)]
}

// Routez is part of monitor.FullSource.
func (s *Server) Routez() *monitor.Routez {
	return &monitor.Routez{ID: s.ServerID(), Name: s.ServerName(), Now: time.Now().UTC(), Routes: []struct{}{}}
}

// Gatewayz is part of monitor.FullSource.
func (s *Server) Gatewayz() *monitor.Gatewayz {
	none := map[string]struct{}{}
	return &monitor.Gatewayz{ID: s.ServerID(), Now: time.Now().UTC(), Outbound: none, Inbound: none}
}

// fullVarz is Varz with the counts of requests over HTTP.
func (s *Server) fullVarz() *monitor.Varz {
	v := s.Varz()
	v.HTTPReqStats = map[string]uint64{}
	if s.monitor != nil {
		v.HTTPReqStats = s.monitor.handler.Requests()
	}
	return v
}
