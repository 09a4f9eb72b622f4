package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestMQTT_kept_many has 10,000 sessions wait for 100 messages each, once for the same
// and once each for its own, prints what memory that takes at frond and at a mosquitto,
// and how long it takes until all clients have been back and have theirs:
//
//	FROND_SOAK=1 go test -run kept_many -v -timeout 30m .
func TestMQTT_kept_many(t *testing.T) {
	if os.Getenv("FROND_SOAK") == "" {
		t.Skip("a long test: FROND_SOAK=1 runs it")
	}
	for _, own := range []bool{false, true} {
		for _, name := range []string{"frond", "mosquitto"} {
			t.Run(fmt.Sprintf("own topics %v/%s", own, name), func(t *testing.T) {
				addr, pid := "", func() int { return 0 }
				again := func() {}
				if name == "frond" {
					s := start(t, peers.FrondKind, mqttServer)
					addr, pid = s.MQTTAddr(), s.Pid
					again = func() {
						ok(t, s.Stop())
						restart(t, s)
					}
				} else {
					mosquittoTool(t, "mosquitto")
					m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Hour), t.TempDir(), ""))
					t.Cleanup(m.Kill)
					addr, pid = m.Addr, m.Pid
				}
				many(t, addr, pid, again, own)
			})
		}
	}
}

// many is one of them. again starts the server again, if it can go on where it was:
// then the list of closed connections is gone, which is another 10,000 entries.
func many(t *testing.T, addr string, pid func() int, again func(), own bool) {
	const sessions, each = 10_000, 100
	filter := func(i int) string {
		if own {
			return fmt.Sprintf("plant/line%d/#", i)
		}
		return "plant/all/#"
	}
	before := settledRssAnon(t, t.Context(), pid())
	inParallel(t, sessions, func(i int) error {
		c, err := rawSession(addr, i)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.subscribe(filter(i))
	})
	made := settledRssAnon(t, t.Context(), pid())
	topics := []string{"plant/all/value"}
	if own {
		topics = topics[:0]
		for i := range sessions {
			topics = append(topics, fmt.Sprintf("plant/line%d/value", i))
		}
	}
	began := time.Now()
	ok(t, rawPublish(addr, topics, each))
	stored := time.Since(began)
	rest := settledRssAnon(t, t.Context(), pid())
	again()
	ok(t, rawPublish(addr, []string{"nobody"}, 1)) // the first client has the sessions read
	rested := settledRssAnon(t, t.Context(), pid())
	cpu, began := cpuTime(t, pid()), time.Now()
	inParallel(t, sessions, func(i int) error {
		c, err := rawSession(addr, i)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.take(each)
	})
	t.Logf("RssAnon before %.1f MB, with %d sessions %.1f, with %d messages each %.1f, started again %.1f; stored in %v; resumed in %v, %v of CPU",
		mb(before), sessions, mb(made), each, mb(rest), mb(rested), stored.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), cpuTime(t, pid())-cpu)
}

// inParallel calls f for each of n, 32 at a time.
func inParallel(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var work sync.WaitGroup
	for range 32 {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && !t.Failed(); i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	work.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// keptConn speaks as much of MQTT 3.1.1 as these tests need, and costs little.
type keptConn struct {
	net.Conn
	in *bufio.Reader
}

func rawSession(addr string, i int) (*keptConn, error) {
	return rawDial(addr, fmt.Sprintf("device%d", i), 0)
}

func rawDial(addr, id string, flags byte) (*keptConn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(10 * time.Minute))
	c := &keptConn{nc, bufio.NewReader(nc)}
	payload := "\x00\x04MQTT\x04" + string(rune(flags)) + "\x00\x00" + text16(id)
	if _, err = fmt.Fprintf(c, "\x10%c%s", len(payload), payload); err == nil {
		_, _, err = c.next(2)
	}
	return c, err
}

// next reads a packet of a kind, and gives the identifier of a PUBLISH with QoS 1.
func (c *keptConn) next(kind byte) (id uint16, body []byte, err error) {
	first, err := c.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, shift := 0, 0
	for {
		b, err := c.in.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		n |= int(b&0x7f) << shift
		if shift += 7; b < 0x80 {
			break
		}
	}
	body = make([]byte, n)
	if _, err = io.ReadFull(c.in, body); err != nil {
		return 0, nil, err
	}
	switch {
	case first>>4 != kind:
		return 0, nil, fmt.Errorf("packet %#x, want type %d", first, kind)
	case kind == 2 && body[1] != 0:
		return 0, nil, fmt.Errorf("CONNACK %d", body[1])
	case kind == 3:
		at := 2 + int(body[0])<<8 + int(body[1])
		id = uint16(body[at])<<8 | uint16(body[at+1])
	}
	return id, body, nil
}

func (c *keptConn) subscribe(filter string) error {
	body := "\x00\x01" + text16(filter) + "\x01"
	if _, err := fmt.Fprintf(c, "\x82%c%s", len(body), body); err != nil {
		return err
	}
	_, _, err := c.next(9)
	return err
}

// take reads so many messages and acknowledges each.
func (c *keptConn) take(n int) error {
	for range n {
		id, _, err := c.next(3)
		if err == nil {
			_, err = c.Write([]byte{0x40, 2, byte(id >> 8), byte(id)})
		}
		if err != nil {
			return err
		}
	}
	_, err := c.Write([]byte{0xe0, 0})
	return err
}

// rawPublish publishes so many messages of 64 bytes to each topic with QoS 1, with 500
// on their way.
func rawPublish(addr string, topics []string, each int) error {
	c, err := rawDial(addr, "publisher", 2)
	if err != nil {
		return err
	}
	defer c.Close()
	out, all := bufio.NewWriterSize(c, 64<<10), len(topics)*each
	for sent, acked := 0, 0; acked < all; {
		for sent < all && sent-acked < 500 {
			id := sent%60_000 + 1
			body := text16(topics[sent%len(topics)]) + string([]byte{byte(id >> 8), byte(id)}) + fmt.Sprintf("%-64d", sent)
			fmt.Fprintf(out, "\x32%c%s", len(body), body)
			sent++
		}
		if err := out.Flush(); err != nil {
			return err
		}
		for ; acked < sent && (sent-acked > 250 || sent == all); acked++ {
			if _, _, err := c.next(4); err != nil {
				return fmt.Errorf("PUBACK %d: %w", acked, err)
			}
		}
	}
	return nil
}

// cpuTime is what a process has used.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat := string(must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))))
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	ticks := must[int](t)(strconv.Atoi(f[11])) + must[int](t)(strconv.Atoi(f[12]))
	return time.Duration(ticks) * 10 * time.Millisecond
}
