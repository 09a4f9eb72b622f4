package transport

import "net"

// Replay is c with bytes in front that were read from it already. It takes first
// over.
func Replay(first []byte, c net.Conn) net.Conn {
	if len(first) == 0 {
		return c
	}
	return &replayed{Conn: c, first: first}
}

type replayed struct {
	net.Conn
	first []byte
}

func (r *replayed) Read(b []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(b, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.Conn.Read(b)
}

// NetConn is the connection underneath, as for TLS.
func (r *replayed) NetConn() net.Conn { return r.Conn }

// Socket is what lies under TLS and under bytes that were read before.
func Socket(c net.Conn) net.Conn {
	for {
		on, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = on.NetConn()
	}
}
