package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var testLimits = Limits{MaxControlLine: 64, MaxPayload: 100}

type parseCase struct{ input, calls, err string }

const block = "NATS/1.0\r\nA: b\r\n\r\n" // 18 bytes

var clientCases = []parseCase{
	// Verbs, case, blanks, line ends.
	{"PUB foo 2\r\nhi\r\n", `pub foo body="hi"`, ""},
	{"pub foo 2\r\nhi\r\n", `pub foo body="hi"`, ""},
	{"pUb foo 2\r\nhi\r\n", `pub foo body="hi"`, ""},
	{"PUB\tfoo \t 2 \t\r\nhi\r\n", `pub foo body="hi"`, ""},
	{"PUB   foo 2\nhi\r\n", `pub foo body="hi"`, ""},
	{"PUB foo bar 2\r\nhi\r\n", `pub foo reply=bar body="hi"`, ""},
	{"PUB foo 0\r\n\r\n", `pub foo body=""`, ""},
	{"PUB foo 002\r\nhi\r\n", `pub foo body="hi"`, ""},
	{"PUB foo 2\r\n\r\n\r\n", `pub foo body="\r\n"`, ""},
	{"PUB \x00\xff 1\r\nx\r\n", "pub \x00\xff body=\"x\"", ""},
	{"PUB a r 1\r\nx\r\nPUB b 1\r\ny\r\n", `pub a reply=r body="x"; pub b body="y"`, ""},
	{"HPUB foo 18 20\r\n" + block + "hi\r\n", `pub foo header="NATS/1.0\r\nA: b\r\n\r\n" body="hi"`, ""},
	{"hpub foo r 18 18\r\n" + block + "\r\n", `pub foo reply=r header="NATS/1.0\r\nA: b\r\n\r\n" body=""`, ""},
	{"HPUB foo 0 2\r\nhi\r\n", `pub foo body="hi"`, ""},
	{"HPUB foo 2 3\r\nxyz\r\n", `pub foo header="xy" body="z"`, ""},
	{"SUB foo 1\r\n", "sub foo queue=none sid=1", ""},
	{"sub foo.* q 1\n", "sub foo.* queue=q sid=1", ""},
	{"UNSUB 1\r\n", "unsub 1 0", ""},
	{"UNSUB 1 5\r\n", "unsub 1 5", ""},
	{"UNSUB 1 x\r\n", "unsub 1 0", ""},
	{"UNSUB 1 -5\r\n", "unsub 1 0", ""},
	{"UNSUB 1 1234567890\r\n", "unsub 1 0", ""},
	{"PING\r\nPONG\r\n+OK\r\n", "ping; pong; ok", ""},
	{"pingxyz and more\r\nPoNg \n+ok whatever\n", "ping; pong; ok", ""},
	{"PING" + strings.Repeat("x", 500) + "\r\nPING\r\n", "ping; ping", ""},
	{`CONNECT {"a":1}` + "\r\n", `connect {"a":1}`, ""},
	{`connect{"a":1}` + "\n", `connect {"a":1}`, ""},
	{"CONNECT\r\n", "connect ", ""},
	{`INFO {"a":1} ` + "\r\n" + `INFO{"b":2}` + "\r\n", `info {"a":1} ; info {"b":2}`, ""},
	{"-ERR 'bad'\r\nPING\r\n", "err bad", peerError},
	{"-ERR\r\n", "", unknownOp},

	// Unknown operations, also in the middle of a verb.
	{"\r\n", "", unknownOp},
	{" PING\r\n", "", unknownOp},
	{"X", "", unknownOp},
	{"PX", "", unknownOp},
	{"PUX", "", unknownOp},
	{"PIX", "", unknownOp},
	{"HPUBfoo", "", unknownOp},
	{"PUB\r\n", "", unknownOp},
	{"SUB\r\n", "", unknownOp},
	{"UNSUB\r\n", "", unknownOp},
	{"SUBfoo 1\r\n", "", unknownOp},
	{"LS+ foo\r\n", "", unknownOp},
	{"RS+ $G foo\r\n", "", unknownOp},
	{"A+ $G\r\n", "", unknownOp},
	{"MSG foo 1 2\r\n", "", unknownOp},
	{"HMSG foo 1 2\r\n", "", unknownOp},
	{"CONNEXT {}\r\n", "", unknownOp},
	{"+KO\r\n", "", unknownOp},
	{"PING\r\nX", "ping", unknownOp},

	// Wrong arguments: closed without a word.
	{"PUB foo\r\n", "", violation},
	{"PUB \r\n", "", violation},
	{"PUB a b c 1\r\n", "", violation},
	{"PUB foo -1\r\n", "", violation},
	{"PUB foo +1\r\n", "", violation},
	{"PUB foo x\r\n", "", violation},
	{"PUB foo 1234567890\r\n", "", violation},
	{"HPUB foo 2\r\n", "", violation},
	{"HPUB a b c 1 2\r\n", "", violation},
	{"HPUB foo 3 2\r\n", "", violation},
	{"HPUB foo -1 2\r\n", "", violation},
	{"SUB foo\r\n", "", violation},
	{"SUB \r\n", "", violation},
	{"SUB a b c d\r\n", "", violation},
	{"UNSUB \r\n", "", violation},
	{"UNSUB 1 2 3\r\n", "", violation},

	// Payload ends.
	{"PUB foo 2\r\nhi\n", "", unknownOp},
	{"PUB foo 2\r\nhix", "", unknownOp},
	{"PUB foo 2\r\nhi\rx", "", unknownOp},
	{"PUB foo 1\r\nhi\r\n", "", unknownOp},
	{"HPUB foo 1 1\r\nhi\r\n", "", unknownOp},

	// Limits.
	{"PUB foo 100\r\n" + strings.Repeat("x", 100) + "\r\n", `pub foo body="` + strings.Repeat("x", 100) + `"`, ""},
	{"PUB foo 101\r\n", "", payload},
	{"PUB foo 999999999\r\n", "", payload},
	{"HPUB foo 50 101\r\n", "", payload},
	{"PUB " + strings.Repeat("s", 62) + " 0\r\n\r\n", "pub " + strings.Repeat("s", 62) + ` body=""`, ""},
	{"PUB " + strings.Repeat("s", 63) + " 0\r\n\r\n", "", controlLine},
	{"PUB " + strings.Repeat("s", 63) + " 0\n\r\n", "", controlLine},
	{"PUB " + strings.Repeat("s", 1000), "", controlLine},
	// Stricter than nats-server, which skips any number of blanks.
	{"PUB " + strings.Repeat(" ", 1000), "", controlLine},
	{"CONNECT {" + strings.Repeat("s", 1000), "", controlLine},
	{"SUB " + strings.Repeat("s", 62) + " 1\r\n", "sub " + strings.Repeat("s", 62) + " queue=none sid=1", ""},
	{"SUB " + strings.Repeat("s", 63) + " 1\r\n", "", controlLine},

	// A CR that is not at the end costs the last byte.
	{"SUB fo\ro 11\n", "sub fo\ro queue=none sid=1", ""},
	{"SUB foo 1\r\r\n", "sub foo queue=none sid=1\r", ""},
}

var leafCases = []parseCase{
	{"LS+ foo\r\n", "sub foo queue=none weight=1", ""},
	{"ls+ foo\n", "sub foo queue=none weight=1", ""},
	{"LS+ q.* grp 3\r\n", "sub q.* queue=grp weight=3", ""},
	{"LS+ q.* grp 0\r\n", "sub q.* queue=grp weight=1", ""},
	{"LS+ q.* grp x\r\n", "sub q.* queue=grp weight=1", ""},
	{"LS+ q.* grp 007\r\n", "sub q.* queue=grp weight=7", ""},
	{"LS+ q.* grp 999999999\r\n", "sub q.* queue=grp weight=999999999", ""},
	{"LS+ q.* grp 99999999999999999999\r\n", "sub q.* queue=grp weight=999999999", ""},
	{"LS+ q.* grp 9999999999999999999x\r\n", "sub q.* queue=grp weight=1", ""},
	{"LS- foo\r\n", "unsub foo queue=none", ""},
	{"LS- q.* grp\r\n", "unsub q.* queue=grp", ""},
	{"LS- a b c\r\nLS- \r\nLS- d\r\n", "unsub d queue=none", ""},
	{"LMSG foo 2\r\nhi\r\n", `msg foo body="hi"`, ""},
	{"lmsg foo resp 3\r\nabc\r\n", `msg foo reply=resp body="abc"`, ""},
	{"LMSG q.1 | grpB grp 1\r\nx\r\n", `msg q.1 body="x" queues=[grpB grp]`, ""},
	{"LMSG q.1 | grp 1\r\nx\r\n", `msg q.1 body="x" queues=[grp]`, ""},
	{"LMSG q.1 + resp grpB grp 1\r\nx\r\n", `msg q.1 reply=resp body="x" queues=[grpB grp]`, ""},
	{"LMSG q.1 + resp 1\r\nx\r\n", `msg q.1 reply=resp body="x" queues=[]`, ""},
	{"LMSG subj | 5\r\nhello\r\n", `msg subj reply=| body="hello"`, ""},
	{"LMSG subj + 5\r\nhello\r\n", `msg subj reply=+ body="hello"`, ""},
	{"LMSG q | a b c d e f g h i j k 1\r\nx\r\n", `msg q body="x" queues=[a b c d e f g h i j k]`, ""},
	{"HMSG foo 18 20\r\n" + block + "hi\r\n", `msg foo header="NATS/1.0\r\nA: b\r\n\r\n" body="hi"`, ""},
	{"HMSG foo resp 18 18\r\n" + block + "\r\n", `msg foo reply=resp header="NATS/1.0\r\nA: b\r\n\r\n" body=""`, ""},
	{"HMSG q.1 | grpB grp 18 19\r\n" + block + "x\r\n", `msg q.1 header="NATS/1.0\r\nA: b\r\n\r\n" body="x" queues=[grpB grp]`, ""},
	{"hmsg q.1 + resp grpB grp 18 19\r\n" + block + "x\r\n", `msg q.1 reply=resp header="NATS/1.0\r\nA: b\r\n\r\n" body="x" queues=[grpB grp]`, ""},
	{"LMSG a | q 1\r\nx\r\nLMSG b 1\r\ny\r\n", `msg a body="x" queues=[q]; msg b body="y"`, ""},
	{"PING\r\nPONG\r\n+OK\r\n", "ping; pong; ok", ""},
	{`INFO {"a":1} ` + "\r\n" + `CONNECT {"b":2}` + "\r\n", `info {"a":1} ; connect {"b":2}`, ""},
	{"-ERR 'Loop detected for leafnode account=\"$G\"'\r\nPING\r\n", `err Loop detected for leafnode account="$G"; ping`, ""},
	{"-ERR no quotes\r\n-err ''\n-err '\n", "err no quotes; err ; err '", ""},

	{"LS+ foo grp\r\n", "", violation},
	{"LS+ foo grp 1 2\r\n", "", violation},
	{"LS+ \r\n", "", violation},
	{"LMSG foo\r\n", "", violation},
	{"LMSG foo x\r\n", "", violation},
	{"LMSG foo a b 1\r\n", "", violation},
	{"HMSG foo 1\r\n", "", violation},
	{"HMSG foo 3 2\r\n", "", violation},
	{"HMSG foo a b 1 2\r\n", "", violation},
	{"LMSG foo 101\r\n", "", payload},
	{"HMSG foo 1 101\r\n", "", payload},
	{"LMSG foo 2\r\nhi\n", "", unknownOp},
	{"LMSG\r\n", "", unknownOp},
	{"LS+\r\n", "", unknownOp},
	{"LSx", "", unknownOp},
	{"LX", "", unknownOp},
	{"LM+ foo\r\n", "", unknownOp},
	{"MSG foo 1 2\r\n", "", unknownOp},
	{"PUB foo 2\r\n", "", unknownOp},
	{"SUB foo 1\r\n", "", unknownOp},
	{"HPUB foo 2\r\n", "", unknownOp},

	// The line may be 16 times as long as that of a client.
	{"LS+ " + strings.Repeat("s", 1024) + "\r\n", "sub " + strings.Repeat("s", 1024) + " queue=none weight=1", ""},
	{"LS+ " + strings.Repeat("s", 1025) + "\r\n", "", controlLine},
	{"LS+ " + strings.Repeat("s", 1026), "", controlLine},
}

// Every input is parsed whole, byte by byte, and split at every position; the
// calls and the error must be the same.
func testCases(t *testing.T, parse parseFunc, cases []parseCase) {
	for _, test := range cases {
		t.Run(fmt.Sprintf("%.40q", test.input), func(t *testing.T) {
			check := func(how string, pieces ...string) {
				if calls, err := feed(parse, pieces...); calls != test.calls || err != test.err {
					t.Errorf("%s: got %s, error %s\nwant %s, error %s", how, calls, err, test.calls, test.err)
				}
			}
			check("whole", test.input)
			check("byte by byte", bytewise(test.input)...)
			for i := 1; i < len(test.input); i++ {
				check(fmt.Sprintf("split at %d", i), test.input[:i], test.input[i:])
			}
		})
	}
}

func TestClientParser_rules(t *testing.T) { testCases(t, clientParse(testLimits), clientCases) }

func TestLeafParser_rules(t *testing.T) { testCases(t, leafParse(testLimits), leafCases) }

func TestClientParser_withoutLimits(t *testing.T) {
	subject := strings.Repeat("s", 10_000)
	testCases(t, clientParse(Limits{}), []parseCase{
		{"SUB " + subject + " 1\r\n", "sub " + subject + " queue=none sid=1", ""},
	})
	long := fmt.Sprintf("PUB foo 5000\r\n%s\r\n", strings.Repeat("x", 5000))
	if calls, err := feed(clientParse(Limits{MaxPayload: -1}), long); err != "" || !strings.HasPrefix(calls, "pub foo") {
		t.Errorf("got %.50s, %s", calls, err)
	}
}

func TestClientParser_refusesHeadersNotAnnounced(t *testing.T) {
	testCases(t, clientParse(Limits{NoHeaders: true}), []parseCase{
		{"HPUB foo 0 2\r\nhi\r\n", "", violation},
		{"PUB foo 2\r\nhi\r\n", `pub foo body="hi"`, ""},
	})
}

// All complete cases in one stream, cut at random places.
func TestParsers_randomCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for name, side := range map[string]struct {
		parse parseFunc
		cases []parseCase
	}{"client": {clientParse(testLimits), clientCases}, "leaf": {leafParse(testLimits), leafCases}} {
		var good []parseCase
		for _, c := range side.cases {
			if c.err == "" {
				good = append(good, c)
			}
		}
		for range 300 {
			var input strings.Builder
			var want []string
			for range 20 {
				c := good[r.IntN(len(good))]
				input.WriteString(c.input)
				want = append(want, c.calls)
			}
			var pieces []string
			for rest := input.String(); rest != ""; {
				n := min(len(rest), 1+r.IntN(60))
				pieces = append(pieces, rest[:n])
				rest = rest[n:]
			}
			calls, err := feed(side.parse, pieces...)
			if calls != strings.Join(want, "; ") || err != "" {
				t.Fatalf("%s: %q gives %s, error %s", name, pieces, calls, err)
			}
		}
	}
}

func TestParser_handlerErrorEndsParsing(t *testing.T) {
	for _, pieces := range [][]string{{"PING\r\nPONG\r\nPING\r\n"}, bytewise("PING\r\nPONG\r\nPING\r\n")} {
		h := &recorder{fail: 2, failure: errHandler}
		p := NewClientParser(h, testLimits)
		var err error
		for _, piece := range pieces {
			if err = p.Parse([]byte(piece)); err != nil {
				break
			}
		}
		if err != errHandler || h.text() != "ping; pong" {
			t.Errorf("got %v after %s", err, h.text())
		}
		if err := p.Parse([]byte("PING\r\n")); err != errHandler || h.text() != "ping; pong" {
			t.Errorf("a dead parser goes on: %v, %s", err, h.text())
		}
	}
}

func TestClientParser_limitsChangeWhileParsing(t *testing.T) {
	h := new(recorder)
	p := NewClientParser(h, Limits{MaxPayload: 1, NoHeaders: true})
	h.before = func(call string) {
		if strings.HasPrefix(call, "connect") {
			p.SetLimits(Limits{MaxPayload: 50})
		}
	}
	if err := p.Parse([]byte("CONNECT {}\r\nHPUB foo 18 20\r\n" + block + "hi\r\n")); err != nil {
		t.Error(err)
	}
	err := p.Parse([]byte("PUB foo 51\r\n"))
	if !errors.Is(err, ErrPayload) {
		t.Errorf("got %v", err)
	}
}

func TestParser_memory(t *testing.T) {
	t.Run("a big size alone costs nothing", func(t *testing.T) {
		p := NewClientParser(new(recorder), Limits{MaxControlLine: 4096, MaxPayload: 64 << 20})
		if err := p.Parse([]byte("PUB foo 60000000\r\nabc")); err != nil {
			t.Fatal(err)
		}
		if err := p.Parse(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if cap(p.pending) > 8192 {
			t.Errorf("%d bytes are held for 1 kB", cap(p.pending))
		}
	})
	t.Run("connections share what they collect in", func(t *testing.T) {
		var shared Buffers
		h := new(recorder)
		limits := Limits{MaxControlLine: 4096, MaxPayload: 64 << 20, Buffers: &shared}
		one, two := NewClientParser(h, limits), NewClientParser(h, limits)
		var want []string
		for i, size := range []int{10, 17_000, 40_000, 300_000, 70_000, 20_000} {
			for j, p := range []*ClientParser{one, two} {
				m := &Msg{Subject: []byte("foo"), Body: bytes.Repeat([]byte{byte('a' + 2*i + j)}, size)}
				plain := new(recorder)
				op := AppendPub(nil, m)
				if err := NewClientParser(plain, Limits{}).Parse(op); err != nil {
					t.Fatal(err)
				}
				want = append(want, plain.calls...)
				for rest := op; len(rest) > 0; {
					n := min(len(rest), 30_000)
					if err := p.Parse(rest[:n]); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
			}
		}
		if !slices.Equal(h.calls, want) || one.pending != nil || two.pending != nil {
			t.Errorf("%d calls, want %d; or they differ", len(h.calls), len(want))
		}
	})
	t.Run("a big message is given back", func(t *testing.T) {
		h := new(counter)
		p := NewClientParser(h, Limits{MaxControlLine: 4096, MaxPayload: 64 << 20})
		op := AppendPub(nil, &Msg{Subject: []byte("foo"), Body: make([]byte, 1<<20)})
		for rest := op; len(rest) > 0; {
			n := min(len(rest), 64<<10)
			if err := p.Parse(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if h.msgs != 1 || p.pending != nil {
			t.Errorf("%d messages, %d bytes held", h.msgs, cap(p.pending))
		}
	})
	t.Run("many queue names are given back", func(t *testing.T) {
		p := NewLeafParser(new(counter), Limits{MaxControlLine: 4096, MaxPayload: 0})
		m := &Msg{Subject: []byte("foo"), Queues: make([][]byte, 5000)}
		for i := range m.Queues {
			m.Queues[i] = []byte("q")
		}
		if err := p.Parse(AppendLeafMsg(nil, m, true)); err != nil {
			t.Fatal(err)
		}
		if len(p.tokens) > keepTokens {
			t.Errorf("%d token slots are held", len(p.tokens))
		}
	})
}

func TestParser_doesNotAllocate(t *testing.T) {
	op := AppendPub(nil, &Msg{Subject: []byte("foo.bar"), Reply: []byte("r"), Body: make([]byte, 64)})
	h := new(counter)
	p := NewClientParser(h, testLimits)
	two := append(append([]byte{}, op...), op...)
	if n := testing.AllocsPerRun(100, func() {
		p.Parse(two[:len(op)+10]) // the second is split
		p.Parse(two[len(op)+10:])
	}); n != 0 {
		t.Errorf("client: %v allocations", n)
	}
	leafOp := AppendLeafMsg(nil, &Msg{Subject: []byte("foo.bar"), Queues: [][]byte{[]byte("q"), []byte("p")}, Body: make([]byte, 64)}, true)
	l := NewLeafParser(h, testLimits)
	if n := testing.AllocsPerRun(100, func() {
		l.Parse(leafOp[:10])
		l.Parse(leafOp[10:])
	}); n != 0 {
		t.Errorf("leaf: %v allocations", n)
	}
	if h.msgs == 0 {
		t.Error("nothing was parsed")
	}
}

// fuzzParser compares one Parse of everything with one Parse for each piece.
func fuzzParser(f *testing.F, parse parseFunc, cases []parseCase) {
	for i, c := range cases {
		f.Add([]byte(c.input), uint64(i))
	}
	f.Fuzz(func(t *testing.T, input []byte, seed uint64) {
		whole, wholeErr := feed(parse, string(input))
		r := rand.New(rand.NewPCG(seed, 1))
		var pieces []string
		for rest := string(input); rest != ""; {
			n := min(len(rest), 1+r.IntN(20))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		cut, cutErr := feed(parse, pieces...)
		if whole != cut || wholeErr != cutErr {
			t.Errorf("whole: %s, error %s\nin pieces %q: %s, error %s", whole, wholeErr, pieces, cut, cutErr)
		}
	})
}

func FuzzClientParser(f *testing.F) { fuzzParser(f, clientParse(testLimits), clientCases) }

func FuzzLeafParser(f *testing.F) { fuzzParser(f, leafParse(testLimits), leafCases) }

// held is a Holder that remembers.
type held struct{ n, calls, most int }

func (h *held) Hold(n int) { h.n, h.calls, h.most = n, h.calls+1, max(h.most, n) }

// What an operation takes that comes in part is told with each part that comes,
// until it is whole; small ones are not told at all.
func TestParser_tellsWhatItHolds(t *testing.T) {
	l := Limits{MaxControlLine: 4096, MaxPayload: 1 << 20}
	op := func(verb string, n int) []byte {
		return fmt.Appendf(nil, "%s x %d\r\n%s\r\n", verb, n, strings.Repeat("x", n))
	}
	for verb, parser := range map[string]func(Limits) (func([]byte) error, func()){
		"PUB": func(l Limits) (func([]byte) error, func()) {
			p := NewClientParser(new(counter), l)
			return p.Parse, p.Drop
		},
		"LMSG": func(l Limits) (func([]byte) error, func()) {
			p := NewLeafParser(new(counter), l)
			return p.Parse, p.Drop
		},
	} {
		h := new(held)
		l.Held = h
		parse, drop := parser(l)
		feed := func(b []byte) {
			for part := range slices.Chunk(b, 10_000) {
				if err := parse(part); err != nil {
					t.Fatal(err)
				}
			}
		}
		feed(op(verb, 12_000))
		if h.calls > 0 {
			t.Errorf("%s: told %d times of a small one", verb, h.calls)
		}
		feed(op(verb, 100_000))
		if h.n != 0 || h.most < 100_000 || h.calls < 9 {
			t.Errorf("%s: told %d times, %d bytes at most, %d at the end", verb, h.calls, h.most, h.n)
		}
		feed(op(verb, 100_000)[:50_000])
		if h.n < 50_000 {
			t.Errorf("%s: %d bytes of 50,000", verb, h.n)
		}
		drop()
		if h.n != 0 || parse([]byte("PING\r\n")) == nil {
			t.Errorf("%s: %d bytes, and it parses on behind the end", verb, h.n)
		}
	}
}
