package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// A server that may take 64 MB keeps within it under two publishers that send to a
// stream on disk as fast as they can, while two hundred subscribers of each kind
// read nothing: those are cut off, or lose messages, and each message of the
// publishers is stored or refused with words.
func TestMemory_durablePublishers(t *testing.T) {
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	const most = 64 << 20
	stalled, volume := 40, 10<<20 // of each kind; bytes of a publisher
	if os.Getenv("FROND_SOAK") != "" {
		stalled, volume = 200, 300<<20
	}
	for _, size := range []int{200, 20_000} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			e := startSmall(t, []string{"/usr/bin/env", "GOMEMLIMIT=" + strconv.Itoa(most)})
			e.ask(t, "$JS.API.STREAM.CREATE.load", `{"name":"load","subjects":["load"],"storage":"file","retention":"limits","max_bytes":1000000000,"discard":"old"}`)
			for i := range stalled {
				e.stallNATS(t, i)
				e.stallMQTT(t, i)
				e.stallLeaf(t, i)
			}
			var pubs [2]durable
			for i := range pubs {
				pubs[i].start(t, e.client, size, volume/size)
			}
			high := 0
			for over := false; !over; {
				over = true
				for i := range pubs {
					select {
					case <-pubs[i].over:
					case <-time.After(10 * time.Millisecond):
						over = false
					}
				}
				high = max(high, e.anonymous(t))
			}
			for i := range pubs {
				p := &pubs[i]
				t.Logf("%d stored, %d refused, the last with %q", p.stored.Load(), p.refused.Load(), p.text.Load())
				if p.err != nil {
					t.Errorf("publisher %s: %v; the log ends with %s", p.at, p.err, tail(e.proc.Output(), 12))
				}
			}
			t.Logf("%.1f MB at most, %d cut off, %+v", float64(high)/(1<<20), e.slow(t), e.memory(t))
			// The limit is a goal of the runtime: for a moment, before the first look at what
			// is in use, there may be a little more.
			if high > most+most/16 {
				t.Errorf("%d bytes in memory, at most %d", high, most)
			}
		})
	}
}

// durable publishes to the stream and reads each answer.
type durable struct {
	stored, refused atomic.Int64
	text            atomic.Value // of the last refusal
	err             error        // once over is closed
	over            chan struct{}
	at              net.Addr
}

func (p *durable) start(t *testing.T, port string, size, n int) {
	c := must[net.Conn](t)(net.Dial("tcp", net.JoinHostPort("127.0.0.1", port)))
	p.over, p.at = make(chan struct{}), c.LocalAddr()
	p.text.Store("")
	inbox := "_INBOX.p" + strconv.Itoa(c.LocalAddr().(*net.TCPAddr).Port)
	_, err := fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB %s 1\r\n", inbox)
	ok(t, err)
	failed := make(chan error, 1)
	// Twice the answers to as many, those that wait and those that were written and are
	// counted still, are less than a client may have waiting while far more than the
	// budget is: nobody may take these publishers for peers that do not read.
	window := make(chan struct{}, 100)
	go func() {
		w := bufio.NewWriterSize(c, 256<<10)
		one := fmt.Appendf(nil, "PUB load %s %d\r\n%s\r\n", inbox, size, bytes.Repeat([]byte("x"), size))
		for range n {
			select {
			case window <- struct{}{}:
			default:
				if err := w.Flush(); err != nil {
					failed <- err
					return
				}
				select {
				case window <- struct{}{}:
				case <-p.over:
					return
				}
			}
			if _, err := w.Write(one); err != nil {
				failed <- err
				return
			}
		}
		failed <- w.Flush()
	}()
	go func() {
		defer close(p.over)
		defer c.Close()
		r := bufio.NewReaderSize(c, 256<<10)
		for p.stored.Load()+p.refused.Load() < int64(n) {
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			line, err := r.ReadString('\n')
			switch {
			case err != nil:
				p.err = err
				return
			case strings.HasPrefix(line, "-ERR"):
				p.err = fmt.Errorf("%s", line)
				return
			case strings.Contains(line, `"error"`):
				p.refused.Add(1)
				p.text.Store(line)
				<-window
			case strings.Contains(line, `"seq"`):
				p.stored.Add(1)
				<-window
			}
		}
		p.err = <-failed
	}()
}

// ask makes one request.
func (e *smallEdge) ask(t *testing.T, subject, body string) {
	t.Helper()
	c := must[net.Conn](t)(net.Dial("tcp", net.JoinHostPort("127.0.0.1", e.client)))
	defer c.Close()
	_, err := fmt.Fprintf(c, "CONNECT {\"verbose\":false}\r\nSUB _INBOX.a 1\r\nPUB %s _INBOX.a %d\r\n%s\r\n", subject, len(body), body)
	ok(t, err)
	ok(t, c.SetReadDeadline(time.Now().Add(step)))
	for r := bufio.NewReader(c); ; {
		line := must[string](t)(r.ReadString('\n'))
		switch {
		case strings.Contains(line, `"error"`):
			t.Fatal(line)
		case strings.HasPrefix(line, "{"):
			return
		}
	}
}
