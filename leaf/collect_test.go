package leaf

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// service answers requests in an account, from outside the routing.
type service struct {
	n      *node
	answer func(subject string, body []byte) string
	work   sync.WaitGroup
}

func (*service) Role() account.Role { return account.RoleClient }
func (*service) Cluster() string    { return "" }
func (*service) Flush()             {}
func (s *service) Deliver(_ *account.Sub, m *wire.Msg) bool {
	subj, body, reply := string(m.VisibleSubject()), bytes.Clone(m.Body), string(m.Reply)
	s.work.Go(func() { s.n.send(reply, s.answer(subj, body)) })
	return true
}

func (n *node) serve(subj string, answer func(subject string, body []byte) string) {
	n.t.Helper()
	s := &service{n: n, answer: answer}
	if err := n.Acc.Subscribe(&account.Sub{Subject: subj, Sink: s}); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(s.work.Wait)
}

// fakeStream is JetStream reduced to the configuration of one stream. What it is
// given it gives back, with a field that no collector knows.
type fakeStream struct {
	mu      sync.Mutex
	config  map[string]json.RawMessage
	updates int
}

func (s *fakeStream) answer(subject string, body []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	verb := strings.Split(subject, ".")[3]
	switch {
	case verb == "INFO" && s.config == nil:
		return noSuchStream
	case verb == "CREATE":
		s.config = map[string]json.RawMessage{}
	case verb == "UPDATE":
		s.config = map[string]json.RawMessage{}
		s.updates++
	}
	if verb != "INFO" {
		if err := json.Unmarshal(body, &s.config); err != nil {
			return `{"error":{"err_code":10025,"description":"` + err.Error() + `"}}`
		}
	}
	if verb == "CREATE" {
		s.config["of_tomorrow"] = json.RawMessage(`{"x":1}`)
		s.config["subjects"] = json.RawMessage(`["ALL"]`) // by default
	}
	raw, _ := json.Marshal(map[string]any{"config": s.config})
	return string(raw)
}

func (s *fakeStream) field(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.config[name])
}

const noSuchStream = `{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`

// The stream is made, an edge that keeps a stream EDGE becomes a source of it
// once, whatever links come and go, and what else stands in the configuration
// stays. An edge without such a stream becomes none.
func TestCollector_addsEdgesThatKeepAStream(t *testing.T) {
	var all fakeStream
	hub := startHub(t, func(n *node) {
		n.JSDomain, n.Opts.JetStream.Enabled, n.Opts.Leaf.Collect = "hub", true, "ALL"
		n.serve("$JS.API.STREAM.*.ALL", all.answer)
	})
	testkit.Eventually(t, "the stream is made", func() bool { return all.field("name") == `"ALL"` })
	edge := func(domain, answer string) *node {
		return startSpoke(t, hub.addr(), func(n *node, _ *config.Remote) {
			n.Name, n.JSDomain = domain, domain
			n.serve(apiOf(domain)+".STREAM.INFO."+core.EdgeStream, func(string, []byte) string { return answer })
		})
	}
	edge("without", noSuchStream)
	edge("first", `{"config":{"name":"EDGE"}}`)
	const first = `{"name":"EDGE","external":{"api":"$JS.first.API","deliver":""}}`
	testkit.Eventually(t, "the first edge is a source", func() bool { return all.field("sources") == "["+first+"]" })
	if got := all.field("subjects"); got != "" {
		t.Errorf("it listens on %s", got)
	}
	edge("second", `{"config":{"name":"EDGE"}}`)
	const second = `{"name":"EDGE","external":{"api":"$JS.second.API","deliver":""}}`
	testkit.Eventually(t, "the second edge is one too", func() bool { return all.field("sources") == "["+first+","+second+"]" })
	if got := all.field("of_tomorrow"); got != `{"x":1}` {
		t.Errorf("a field that it does not know came back as %q", got)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.updates != 2 {
		t.Errorf("%d updates for two edges", all.updates)
	}
}

func TestModule_verifiesCollect(t *testing.T) {
	for want, change := range map[string]func(*config.Options){
		"":                         func(*config.Options) {},
		"needs jetstream":          func(o *config.Options) { o.JetStream.Enabled = false },
		"needs a port":             func(o *config.Options) { o.Leaf.Port = 0 },
		"can not be the name":      func(o *config.Options) { o.Leaf.Collect = "a.b" },
		"keeps the stream EDGE al": func(o *config.Options) { o.Leaf.Collect, o.EdgeStore = core.EdgeStream, []string{"x"} },
	} {
		o := config.Defaults()
		o.Leaf.Port, o.Leaf.Collect, o.JetStream.Enabled = 7422, "ALL", true
		change(o)
		if err := New().Verify(nil, o); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
