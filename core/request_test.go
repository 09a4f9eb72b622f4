package core

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/wire"
)

// Answers come in the order of the questions, only the first of each counts, and
// of each that has none it is told why.
func TestGather(t *testing.T) {
	a := account.New("A")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type request struct{ subject, reply string }
	asked := make(chan request, 4)
	sub := &account.Sub{Subject: "service.*", Sink: &funcSink{func(m *wire.Msg) {
		asked <- request{string(m.Subject), string(m.Reply)}
	}}}
	if err := a.Subscribe(sub); err != nil {
		t.Fatal(err)
	}
	defer sub.End()
	served := make(chan struct{})
	go func() {
		defer close(served)
		o := account.NewOrigin(nil, account.RoleInternal, "")
		for range 3 {
			q := <-asked
			if strings.HasSuffix(q.subject, "silent") {
				cancel()
				continue
			}
			for _, body := range []string{"of " + q.subject, "once more"} {
				a.Route(o, &wire.Msg{Subject: []byte(q.reply), Body: []byte(body)})
			}
			o.Flush()
		}
	}()
	list, err := Gather(ctx, a, []Question{{Subject: "service.1"}, {Subject: "nobody"}, {Subject: "service.2"}, {Subject: "service.silent"}})
	<-served
	if err != nil || len(list) != 4 {
		t.Fatalf("%v, %v", list, err)
	}
	if string(list[0].Body) != "of service.1" || string(list[2].Body) != "of service.2" || list[0].Err != nil || list[2].Err != nil {
		t.Errorf("%q and %q", list[0], list[2])
	}
	if !errors.Is(list[1].Err, ErrNoResponders) || !errors.Is(list[3].Err, context.Canceled) {
		t.Errorf("nobody: %v, silence: %v", list[1].Err, list[3].Err)
	}
}
