package mqtt

import (
	"errors"
	"os"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/transport"
)

// socket is what packets are read from. What was read before is flushed when
// more is needed, so that a burst of packets is one wake-up of each receiver,
// and nothing waits for the rest of a packet that is still on its way.
type socket struct{ c *conn }

func (s socket) Read(p []byte) (int, error) {
	c := s.c
	if !c.reading {
		n, err := c.nc.Read(p)
		c.wireIn.Add(int64(n))
		return n, err
	}
	if c.hasFirst {
		c.hasFirst = false
		p[0] = c.first
		c.wireIn.Add(1)
		return 1, nil
	}
	if err := c.pause(); err != nil {
		return 0, err
	}
	for {
		n, err := c.nc.Read(p)
		c.wireIn.Add(int64(n))
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			if n > 0 && !c.awake {
				c.awake = true
				if err := c.lookIn(transport.RestAfter); err != nil {
					return 0, err
				}
			}
			return n, err
		}
		if err := c.silent(err); err != nil {
			return 0, err
		}
	}
}

// lookIn sets the moment to look whether anything comes still: in so long; never
// by 0. The deadline of an ending connection stays.
func (c *conn) lookIn(d time.Duration) error {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	if err := c.nc.SetReadDeadline(at); err != nil {
		return err
	}
	select { // looked at after
	case <-c.ended:
		return errEnded
	default:
		return nil
	}
}

// silent is called when that moment has come. Between two packets it returns
// errRest when nothing has come for a while, and the given error when the client
// has been silent for longer than it may [MQTT-3.1.2-22].
func (c *conn) silent(timeout error) error {
	since := time.Since(core.Moment(c.lastSeen.Load()))
	left := c.keepAlive - since
	switch {
	case c.keepAlive > 0 && left <= 0:
		return timeout
	case c.awake && since >= transport.RestAfter:
		if err := c.lookIn(max(left, 0)); err != nil {
			return err
		}
		if c.frames.between {
			return errRest
		}
		c.awake = false // a part of a packet is waited for without looking
		return nil
	case !c.awake:
		return c.lookIn(max(left, 0))
	case c.keepAlive > 0:
		return c.lookIn(min(left, transport.RestAfter))
	}
	return c.lookIn(transport.RestAfter)
}

// pause is done before the reader may have to wait.
func (c *conn) pause() error {
	if c.publisher != nil {
		c.origin.Flush()
	}
	c.out.WriteNow()
	if c.publisher != nil {
		if gates := c.origin.Gates(); len(gates) > 0 {
			core.Stall(gates)
		}
	}
	if c.awake { // else there was nothing
		c.lastSeen.Store(core.Ticks(time.Now()))
	}
	select {
	case <-c.ended:
		return errEnded
	default:
		return nil
	}
}
