package interop

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/frondmq/frond/cmd/interop/peers"
)

const systemAccounts = `
accounts {
  A { users [{user: a, password: p}], jetstream: enabled, exports [{service: "svc.>", accounts: [B]}, {stream: st.*}], mappings { m.*: "n.$1" } }
  B { users [{user: b, password: p}], imports [{service: {account: A, subject: svc.x}, to: y}] }
  SYS { users [{user: s, password: p}] }
}
system_account: SYS
`

// systemCommands are run by the user in front, s of the system account.
var systemCommands = []string{
	"s server ls",
	"s server ping --count 1",
	"s server info",
	"s server info raw",
	"s server report connections",
	"s server report connections --account A",
	"s server report connections --sort subs --top 1",
	"s server report accounts",
	"s server report accounts A",
	"s server report jetstream",
	"s server report leafnodes",
	"s server report routes",
	"s server report gateways",
	"s server report health",
	"s server report cpu",
	"s server report mem",
	"s server request connections --filter-user b",
	"s server request leafnodes",
	"s server request jetstream --all",
	"s server request jetstream-health",
	"s server request routes",
	"s server request gateways",
	"s server request kick 99999",
	"s server account info A",
	"s server account info B",
	"s server account info nope",
	"s server check connection",
	"s server check server --name raw",
	"s server check server --name other",
	"s server check jetstream",
	"s server config reload --force",
	"s server stream-check",
	"s server consumer-check",
	"s account info",
	"a account info",
	"a account report connections",
	"a account report statistics",
	"a server ls",
	"a server info",
	"a server request variables",
	"a server report connections",
	"a server check jetstream",
	"a schema search stream_info",
	"a schema info io.nats.server.advisory.v1.client_connect",
	"a errors lookup 10039",
	"s server account purge A --force",
	"a account info",
}

// TestCLI_system runs the commands about servers and accounts, and compares what they
// print with what they print of the stock server. Numbers are not compared: ids, times,
// rates and what a server has of its own subscriptions differ.
func TestCLI_system(t *testing.T) {
	t.Parallel()
	outputs := map[peers.Kind][]string{}
	for _, name := range strings.Split(*serversFlag, ",") {
		kind := peers.Kind(name)
		s := start(t, kind, peers.Config{Name: "raw", JetStream: true, Extra: systemAccounts})
		n := cli(t, s)
		as := func(user string) shell {
			mine := n
			mine.URL = strings.Replace(s.URL(), "nats://", "nats://"+user+":p@", 1)
			return shell{t, mine}
		}
		as("a").run("stream add S --subjects s.> --storage file --defaults", "Stream S was created")
		as("a").feed("", []string{"pub", "s.1", "hello", "--jetstream"}, "Sequence")
		as("b").background("Subscribing on foo", "sub foo")
		for _, c := range systemCommands {
			user, args, _ := strings.Cut(c, " ")
			sh := as(user)
			out, err := sh.n.Run(within(t, step), "", strings.Fields(args)...)
			outputs[kind] = append(outputs[kind], fmt.Sprintf("nats %s\n%sfailed: %t\n", c, cliText(out), err != nil))
		}
	}
	for i, want := range outputs[peers.StockKind] {
		for kind, got := range outputs {
			got := got[i]
			if strings.Contains(systemCommands[i], "report accounts") { // by figures, which are masked
				want, got = sorted(want), sorted(got)
			}
			if d := difference(want, got); d != "" {
				t.Errorf("%s differs (- stock, + %s):\n%s", systemCommands[i], kind, d)
			}
		}
	}
}

var cliMasks = []struct {
	at *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`"feature_flags":\{[^}]*\},?`), ""},
	{regexp.MustCompile(`"(compress_ok|sync_always)":\w+,`), ""},
	{regexp.MustCompile(`(?m)^ *(Always sync writes to disk|Cluster Message Compression): .*\n`), ""},
	{regexp.MustCompile(`(?s)\nImports: *\n.*`), "\n"}, // in no order
	{regexp.MustCompile(`sha256:[0-9a-f]+`), "DIGEST"},
	{regexp.MustCompile(`\bN[A-Z2-7]{55}\b`), "ID"},
	{regexp.MustCompile(`nats://(\w+:p@)?127\.0\.0\.1:\d+`), "URL"},
	// A number with its unit, a time, a version.
	{regexp.MustCompile(`[-+]?\d[\d.,:TZ-]*( ?(B|KiB|MiB|GiB|TiB|KB|MB|GB)\b|(ns|µs|us|ms|s|m|h|d|%)+)*`), "#"},
	{regexp.MustCompile(`"store_dir":"[^"]*"`), ""},
	{regexp.MustCompile(`[█▉▊▋▌▍▎▏]+`), "="},
	{regexp.MustCompile(`[─]+`), "-"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// cliText is what a command printed without what differs from run to run.
func cliText(out string) string {
	for _, m := range cliMasks {
		out = m.at.ReplaceAllString(out, m.by)
	}
	return strings.ReplaceAll(out, "\n\n", "\n")
}
