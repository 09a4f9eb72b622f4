package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// Idle connections: so many of a kind, each with one subscription, once they
// have said nothing for idleFor.
const (
	idleConns   = 10_000
	idleLinks   = 2000
	idleFor     = 20 * time.Second
	idleAtOnce  = 16 // that connect at the same time
	idleTimeout = 20 * time.Second
)

// idleConnections gives what one more costs in resident memory, for each kind.
func idleConnections(ctx context.Context, b *bench, dir string) (list []figure, err error) {
	for _, kind := range []struct {
		name  string
		n     int
		bound float64 // kB
		addr  func(*peers.Server) string
		// greet logs in and subscribes; attend answers what comes then, and ends
		// with the connection.
		greet  func(c net.Conn, in *bufio.Reader, i int) error
		attend func(c net.Conn, in *bufio.Reader)
	}{
		{"NATS", idleConns, 8, (*peers.Server).ClientAddr, greetNATS, pongs},
		{"MQTT", idleConns, 8, (*peers.Server).MQTTAddr, greetMQTT, func(c net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }},
		{"leaf", idleLinks, 40, (*peers.Server).LeafAddr, greetLeaf, pongs},
	} {
		data, err := os.MkdirTemp(dir, kind.name)
		if err != nil {
			return list, err
		}
		s, err := peers.Start(ctx, peers.FrondKind, b.binary, data, peers.Config{MQTT: true, Leaf: true})
		if err != nil {
			return list, err
		}
		bytes, err := idleBytes(ctx, s.Pid(), kind.addr(s), kind.n, kind.greet, kind.attend)
		s.Kill()
		if err != nil {
			return list, fmt.Errorf("%s: %w", kind.name, err)
		}
		list = append(list, figure{kind.name, bytes / 1000, "kB", kind.bound})
	}
	return list, nil
}

func idleBytes(ctx context.Context, pid int, addr string, n int, greet func(net.Conn, *bufio.Reader, int) error, attend func(net.Conn, *bufio.Reader)) (float64, error) {
	var work sync.WaitGroup
	defer work.Wait()
	conns := make([]net.Conn, n+1)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	connect := func(i int) error {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		conns[i] = c
		if err := c.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		in := bufio.NewReaderSize(c, 512)
		if err := greet(c, in, i); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		work.Go(func() { attend(c, in) })
		return c.SetDeadline(time.Time{})
	}
	// The first brings in what is not for one connection.
	if err := connect(n); err != nil {
		return 0, err
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return 0, err
	}
	before, err := rss(pid)
	if err != nil {
		return 0, err
	}
	errs := make([]error, idleAtOnce)
	var group sync.WaitGroup
	for g := range idleAtOnce {
		group.Go(func() {
			for i := g; i < n && errs[g] == nil && ctx.Err() == nil; i += idleAtOnce {
				errs[g] = connect(i)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	if err := pause(ctx, idleFor); err != nil {
		return 0, err
	}
	after, err := rss(pid)
	return float64(after-before) / float64(n), err
}

// pause waits for so long, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pongs answers pings.
func pongs(c net.Conn, in *bufio.Reader) {
	for {
		line, err := in.ReadSlice('\n')
		if err == nil && string(line) == "PING\r\n" {
			_, err = io.WriteString(c, "PONG\r\n")
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// until reads lines up to one.
func until(in *bufio.Reader, want string) error {
	for {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "-ERR"):
			return errors.New(line)
		case strings.HasPrefix(line, want):
			return nil
		}
	}
}

func greetNATS(c net.Conn, in *bufio.Reader, i int) error {
	const hello = `CONNECT {"verbose":false,"pedantic":false,"name":"device","lang":"go","version":"1.52.0","protocol":1,"echo":true,"headers":true,"no_responders":true}`
	if err := until(in, "INFO"); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, hello+"\r\nPING\r\n"); err != nil {
		return err
	}
	if err := until(in, "PONG"); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "SUB devices.%d.set 1\r\nPING\r\n", i); err != nil {
		return err
	}
	return until(in, "PONG")
}

func greetMQTT(c net.Conn, in *bufio.Reader, i int) error {
	id, filter := fmt.Sprintf("device-%d", i), fmt.Sprintf("devices/%d/set", i)
	connect := append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 14, 16, 0, byte(len(id))}, id...)
	if _, err := c.Write(connect); err != nil {
		return err
	}
	var answer [5]byte
	if _, err := io.ReadFull(in, answer[:4]); err != nil {
		return err
	}
	sub := append([]byte{0x82, byte(5 + len(filter)), 0, 1, 0, byte(len(filter))}, filter...)
	if _, err := c.Write(append(sub, 0)); err != nil {
		return err
	}
	_, err := io.ReadFull(in, answer[:])
	return err
}

func greetLeaf(c net.Conn, in *bufio.Reader, i int) error {
	if err := until(in, "INFO"); err != nil {
		return err
	}
	const hello = `CONNECT {"version":"2.11.0","name":"edge-%d","server_id":"edge-%d","cluster":"edge-%d","headers":true,"isolate":true,"remote_account":"$G"}`
	if _, err := fmt.Fprintf(c, hello+"\r\n", i, i, i); err != nil {
		return err
	}
	if err := until(in, "INFO"); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "LS+ devices.%d.set\r\nPING\r\n", i); err != nil {
		return err
	}
	return until(in, "PONG")
}
