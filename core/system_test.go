//go:build !lite

package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
)

// startSystem has ann in $G and root in the system account.
func startSystem(t *testing.T, more ...func(*config.Options)) *core.Server {
	return servertest.Start(t, servertest.With(func(o *config.Options) {
		o.Auth.Users = []config.User{{User: "ann", Password: "a"}}
		o.Accounts = []config.Account{
			{Name: "A", Users: []config.User{{User: "al", Password: "a"}}},
			{Name: o.SystemAccount, Users: []config.User{{User: "root", Password: "r"}}},
		}
		for _, f := range more {
			f(o)
		}
	}))
}

// TestSystem_events: the system account hears who comes and goes, and that the server
// goes.
func TestSystem_events(t *testing.T) {
	s := startSystem(t)
	root := connect(t, s, `,"user":"root","pass":"r"`)
	root.send("SUB $SYS.ACCOUNT.A.> 1\r\nSUB $SYS.SERVER.*.SHUTDOWN 2\r\nSUB $SYS.ACCOUNT.$G.> 3\r\n")
	root.barrier()
	expect := func(subj, body string) {
		t.Helper()
		if l := root.line(); !strings.HasPrefix(l, "MSG "+subj+" ") {
			t.Fatalf("got %s, want %s", l, subj)
		}
		if l := root.line(); !matches(t, body, l) {
			t.Fatalf("%s: %s", subj, l)
		}
	}
	c := connect(t, s, `,"user":"al","pass":"a","name":"probe"`)
	expect("$SYS.ACCOUNT.A.SERVER.CONNS", `"conns":1,`)
	expect("$SYS.ACCOUNT.A.CONNECT", `"user":"al","name":"probe"`)
	c.send("PUB x 3\r\nabc\r\n")
	c.barrier()
	c.Close()
	expect("$SYS.ACCOUNT.A.SERVER.CONNS", `"conns":0,`)
	expect("$SYS.ACCOUNT.A.DISCONNECT", `"sent":\{"msgs":1,"bytes":3\},.*"reason":"Client Closed"`)
	connect(t, s, `,"user":"ann","pass":"a"`)
	expect("$SYS.ACCOUNT.$G.CONNECT", `"user":"ann"`)
	servertest.Stop(t, s)
	expect("$SYS.SERVER."+s.ServerID()+".SHUTDOWN", `"id":"`+s.ServerID())
}

// TestSystem_askedByItself: an answer of the server is no request, wherever who asks
// has it go.
func TestSystem_askedByItself(t *testing.T) {
	reloads := 0
	s := startSystem(t)
	s.OnReload(func() error { reloads++; return errors.New("not now") })
	root := connect(t, s, `,"user":"root","pass":"r"`)
	mine := "$SYS.REQ.SERVER." + s.ServerID()
	root.send("SUB in 1\r\nSUB " + mine + ".RELOAD 2\r\nPUB " + mine + ".IDZ " + mine + ".RELOAD 0\r\n\r\n")
	root.line() // the subscription has it
	if l := root.line(); !matches(t, s.ServerID(), l) {
		t.Fatal(l)
	}
	root.send("UNSUB 2\r\nPUB " + mine + ".RELOAD in 0\r\n\r\n")
	root.line()
	if l := root.line(); !matches(t, `"error":\{"code":500,"description":"not now"`, l) || reloads != 1 {
		t.Errorf("%d reloads, %s", reloads, l)
	}
}

// TestSystem_stopWaitsForNoReload: a stop waits for what was asked for as long as it may,
// and does not begin what waits behind that.
func TestSystem_stopWaitsForNoReload(t *testing.T) {
	s := startSystem(t)
	const asked = 20
	begun, end := make(chan struct{}, asked), make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(end) }) }
	t.Cleanup(free)
	s.OnReload(func() error { begun <- struct{}{}; <-end; return nil })
	root := connect(t, s, `,"user":"root","pass":"r"`)
	mine := "$SYS.REQ.SERVER." + s.ServerID()
	root.send("SUB in 1\r\n" + strings.Repeat("PUB "+mine+".RELOAD 0\r\n\r\n", asked) + "PUB " + mine + ".IDZ in 0\r\n\r\n")
	root.line() // all are on their way
	<-begun
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(over); err == nil || !strings.Contains(err.Error(), "a reload, profile or purge that was asked for did not return") {
		t.Errorf("stopped with %v", err)
	}
	free()
	s.WaitForSystem()
	if len(begun) > 0 {
		t.Error("a reload that waited was begun")
	}
}

// TestSystem_othersReachNothing: who is not in the system account has no way to what
// is asked there, with all rights and by whatever reply subject.
func TestSystem_othersReachNothing(t *testing.T) {
	s := startSystem(t)
	root := connect(t, s, `,"user":"root","pass":"r"`)
	root.send("SUB $SYS.REQ.SERVER.PING.NEW 1\r\n")
	root.barrier()
	ann := connect(t, s, `,"user":"ann","pass":"a","headers":true,"no_responders":true`)
	ann.send("SUB in.* 1\r\nSUB $SYS.> 2\r\n")
	mine := "$SYS.REQ.SERVER." + s.ServerID() + "."
	asked := []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.A.CONNZ", "$SYS.REQ.ACCOUNT.A.INFO", "$SYS.REQ.ACCOUNT.$G.INFO", "$SYS.REQ.SERVER.PING.NEW"}
	for _, name := range []string{"VARZ", "CONNZ", "SUBSZ", "JSZ", "ACCOUNTZ", "KICK", "LDM", "RELOAD", "PROFILEZ", "EXPVARZ", "IDZ"} {
		asked = append(asked, mine+name)
	}
	for i, subj := range asked {
		ann.send("PUB " + subj + " in." + strconv.Itoa(i) + " 0\r\n\r\n")
		ann.line() // the own subscription to $SYS.> has it
		ann.line()
	}
	ann.send("PUB $SYS.REQ.ACCOUNT.PING.CONNZ in.own 13\r\n" + `{"auth":true}` + "\r\n")
	ann.line()
	ann.line()
	ann.line()
	var answer struct{ Data monitor.Connz }
	if err := json.Unmarshal([]byte(ann.line()), &answer); err != nil || len(answer.Data.Conns) != 1 || answer.Data.Conns[0].AuthorizedUser != "ann" {
		t.Errorf("%v %+v", err, answer)
	}
	ann.barrier() // nothing else came
	root.barrier()
}

var _ monitor.FullSource = (*core.Server)(nil)
