//go:build unix

package transport

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// When connections have taken all descriptors but the last few, a stream must
// still find one for its files.
func TestListener_keepsDescriptorsForFiles(t *testing.T) {
	ln, err := Listen("port", "127.0.0.1", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if d := Descriptors(); ln.bound == 0 || ln.bound >= d {
		t.Errorf("of %d descriptors none is kept: the bound is %d", d, ln.bound)
	}
	// The lower descriptors of the process are taken by files.
	var files []*os.File
	for range 64 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	ln.bound = uint64(files[len(files)-1].Fd())
	var said bytes.Buffer // read when nobody writes any more
	accepted := make(chan net.Conn, 1)
	ln.Run(slog.New(slog.NewTextHandler(&said, nil)), "client", func(c net.Conn) { accepted <- c })

	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	c := dial()
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("a connection that takes one of the last descriptors: %v, want EOF", err)
	}
	for _, f := range files {
		f.Close()
	}
	d := dial()
	defer d.Close()
	select {
	case got := <-accepted:
		got.Close()
	case <-time.After(10 * time.Second):
		t.Fatal("nobody is let in after descriptors were given back")
	}
	ln.Close()
	if s := said.String(); !strings.Contains(s, "kept for files") || !strings.Contains(s, ln.Addr().String()) {
		t.Errorf("said: %s", s)
	}
}

// A favored port lets in who comes when others don't any more, and leaves half of
// what they don't get to files.
func TestListener_favored(t *testing.T) {
	for _, c := range []struct{ most, limit, want int }{{64, 0, 64}, {64, 1 << 20, 32}, {64, 100, 6}, {64, 64, 4}, {64, 8, 1}, {3, 1 << 20, 3}} {
		if got := favored(c.most, uint64(c.limit)); got != c.want {
			t.Errorf("of %d descriptors %d of %d, want %d", c.limit, got, c.most, c.want)
		}
	}
	ln, err := Listen("http_port", "127.0.0.1", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.bound = 1 // whoever comes is above it
	ln.Favor(64)
	accepted := make(chan net.Conn, 1)
	ln.Run(slog.New(slog.DiscardHandler), "http", func(c net.Conn) { accepted <- c })
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case got := <-accepted:
		got.Close()
	case <-time.After(10 * time.Second):
		t.Error("nobody is let in")
	}
}

func TestForConnections(t *testing.T) {
	for limit, want := range map[uint64]uint64{0: 0, 1: 1, 12: 6, 100: 100 - 12 - 12, 1 << 20: 1<<20 - 64 - uint64(StoreFiles(1<<20))} {
		if got := forConnections(limit); got != want {
			t.Errorf("of %d descriptors %d are for connections, want %d", limit, got, want)
		}
	}
}

// Files of streams have descriptors of their own, and a process that has few opens
// few at once.
func TestStoreFiles(t *testing.T) {
	for limit, want := range map[uint64]int{1: 8, 64: 8, 90: 11} {
		if got := StoreFiles(limit); got != want {
			t.Errorf("of %d descriptors %d are for files of streams, want %d", limit, got, want)
		}
	}
	for _, limit := range []uint64{0, 256, 1024, 1 << 20} {
		if got := StoreFiles(limit); got < 12 || got > 1024 {
			t.Errorf("of %d descriptors %d are for files of streams", limit, got)
		}
	}
}
