package leaf

import (
	"bufio"
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/config"
)

// What a burst has needed is given back, behind each burst: at the next silence,
// and on a compressed link behind some answers to pings. No byte is lost on the way.
func TestInput_givesBackBehindEachBurst(t *testing.T) {
	for _, mode := range []string{config.CompressOff, config.CompressFast} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, there := newPipeLink(t, mode)
				say := func(b []byte) error {
					_, err := there.Write(b)
					return err
				}
				if compresses(mode) {
					l.in = bufio.NewReader(decompress(l.in))
					c := newCompressor(there, mode)
					say = func(b []byte) error { return c.write(b) }
				}
				in := input{link: l, plain: !compresses(mode), size: readBytesMin}
				var got []byte
				over := make(chan struct{})
				largest := 0
				go func() {
					defer close(over)
					for {
						b, err := in.next(false)
						got, largest = append(got, b...), max(largest, len(in.buf), in.size)
						if err != nil {
							return
						}
					}
				}()
				var want []byte
				for round := range 4 {
					largest = 0
					burst := bytes.Repeat([]byte{byte('a' + round)}, 20*readBytesMax)
					for _, b := range [][]byte{burst, []byte("PING\r\n"), []byte("PONG\r\n"), []byte("PONG\r\n")} {
						if err := say(b); err != nil {
							t.Fatal(err)
						}
						want = append(want, b...)
						time.Sleep(time.Minute)
					}
					synctest.Wait()
					if len(in.buf) > readBytesMin || in.size > readBytesMin || largest != readBytesMax {
						t.Errorf("burst %d: it has %d bytes, the next would have %d, the largest had %d", round, len(in.buf), in.size, largest)
					}
				}
				there.Close()
				<-over
				if !bytes.Equal(got, want) {
					t.Errorf("%d bytes came of %d, or others", len(got), len(want))
				}
				l.out.fail("", false)
				l.out.buf.Wait()
			})
		})
	}
}
