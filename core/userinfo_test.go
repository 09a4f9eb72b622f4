package core_test

import (
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/wire"
)

// Only who asks over a connection of its own is told who it is, and what answers
// is no subscription of the account, nor interest of a link.
func TestUserInfo_answersItsOwnAskerOnly(t *testing.T) {
	s := servertest.Start(t, servertest.With(func(o *config.Options) {
		o.Auth.Users = []config.User{{User: "ann", Password: "a"}, {User: "bob", Password: "b"}}
	}))
	ask := func(user, pass string) {
		c := connect(t, s, `,"headers":true,"no_responders":true,"user":"`+user+`","pass":"`+pass+`"`)
		c.send("SUB in." + user + " 1\r\nPUB $SYS.REQ.USER.INFO in." + user + " 0\r\n\r\n")
		c.line()
		if got := c.line(); !matches(t, `"data":\{"user":"`+user+`"`, got) {
			t.Errorf("%s is told %s", user, got)
		}
		c.send("PUB $SYS.REQ.USER.INFO 0\r\n\r\n")
		c.barrier() // without a reply nobody is answered
	}
	ask("ann", "a")
	ask("bob", "b")
	a, _ := s.Modules().Account(config.GlobalAccount)
	if n := a.Subscriptions(); n != 2 { // the inboxes
		t.Errorf("%d subscriptions", n)
	}
	for role, from := range map[account.Role]uint64{account.RoleClient: 0, account.RoleInternal: 1, account.RoleSpoke: 1, account.RoleHub: 1} {
		o := account.NewOrigin(nil, role, "")
		if n := a.Route(o, &wire.Msg{Subject: []byte("$SYS.REQ.USER.INFO"), Reply: []byte("in"), From: from}); n != 0 {
			t.Errorf("role %d from connection %d is answered", role, from)
		}
		o.Flush()
	}
}
