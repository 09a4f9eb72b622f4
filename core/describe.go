package core

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

// ConnID is part of Connection.
func (c *client) ConnID() uint64 { return c.id }

// ConnKind is part of Connection.
func (c *client) ConnKind() string { return monitor.KindClient }

// Traffic is part of Connection.
func (c *client) Traffic() monitor.Traffic {
	_, msgs, bytes := c.outgoing()
	return monitor.Traffic{InMsgs: c.stats.inMsgs.Load(), InBytes: c.stats.inBytes.Load(), OutMsgs: msgs, OutBytes: bytes}
}

// Describe is part of Connection.
func (c *client) Describe(subs, detail bool) *monitor.ConnInfo {
	i := &monitor.ConnInfo{
		Cid: c.id, Kind: monitor.KindClient, Type: monitor.TypeNATS,
		Start: c.start, LastActivity: c.start,
		InMsgs: c.stats.inMsgs.Load(), InBytes: c.stats.inBytes.Load(), Stalls: c.stats.stalls.Load(),
	}
	if t := c.stats.lastActive.Load(); t != 0 {
		i.LastActivity = Moment(t)
	}
	DescribeHost(i, c.raw)
	if c.web != nil {
		i.Type = monitor.TypeWebsocket
	}
	c.life.Lock()
	if info := c.life.info; info != nil {
		i.Name, i.Lang, i.Version = info.Name, info.Lang, info.Version
	}
	i.RoundTrip, i.AccountName = c.life.rtt, c.life.acc
	i.AuthorizedUser = c.life.user
	if said := c.life.claimed.connect; said != nil && c.life.info == nil {
		i.Name, i.Lang, i.Version, i.AuthorizedUser = said.Name, said.Lang, said.Version, c.life.claimed.user
	}
	if c.life.acc != config.GlobalAccount {
		i.Account = c.life.acc
	}
	if c.life.reason != wire.ReasonUnknown {
		now := time.Now()
		i.Stop, i.Reason = &now, c.life.reason.String()
	}
	state := c.life.tls
	c.life.Unlock()
	i.Pending, i.OutMsgs, i.OutBytes = c.outgoing()
	if state != nil {
		describeTLS(i, state)
		i.TLSFirst = c.web == nil && c.began.o.TLS.HandshakeFirst
	}
	c.subs.Lock()
	defer c.subs.Unlock()
	i.NumSubs = uint32(len(c.subs.bySID))
	for _, s := range c.subs.bySID {
		if detail {
			i.SubsDetail = append(i.SubsDetail, monitor.SubDetail{
				Subject: s.Subject, Queue: s.Queue, SID: s.SID, Msgs: int64(s.Delivered()), Max: int64(s.Max()), Cid: c.id,
			})
		} else if subs {
			i.Subs = append(i.Subs, s.Subject)
		}
	}
	return i
}

// outgoing is what is queued now, and what was queued since the beginning.
func (c *client) outgoing() (pending int, msgs, bytes int64) {
	c.life.Lock()
	out := c.life.out
	c.life.Unlock()
	if out == nil {
		return 0, 0, 0
	}
	out.Lock()
	defer out.Unlock()
	return out.PendingLocked(), c.sent.msgs, c.sent.bytes
}

// DescribeHost fills in where c comes from: an address and a port, or a Unix
// socket and who the system says has connected.
func DescribeHost(i *monitor.ConnInfo, c net.Conn) {
	ap := transport.AddrPort(c.RemoteAddr())
	if ap.IsValid() {
		i.IP, i.Port = ap.Addr().String(), int(ap.Port())
		return
	}
	i.IP = c.RemoteAddr().String()
	if p := transport.PeerOf(c); p != nil && p.Known {
		i.UID, i.PID = &p.UID, p.PID
	}
}

func describeTLS(i *monitor.ConnInfo, state *tls.ConnectionState) {
	i.TLSVersion = tlsVersion(state.Version)
	i.TLSCipher = tls.CipherSuiteName(state.CipherSuite)
	for _, cert := range state.PeerCertificates {
		spki, whole := sha256.Sum256(cert.RawSubjectPublicKeyInfo), sha256.Sum256(cert.Raw)
		i.TLSPeerCerts = append(i.TLSPeerCerts, monitor.TLSPeerCert{
			Subject: cert.Subject.String(), SPKISHA256: hex.EncodeToString(spki[:]), CertSHA256: hex.EncodeToString(whole[:]),
		})
	}
}

func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	default:
		return tls.VersionName(v)
	}
}
