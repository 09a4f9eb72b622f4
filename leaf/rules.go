package leaf

import (
	"bytes"
	"fmt"

	"github.com/frondmq/frond/core/subject"
)

// apiDenies keep each side's JetStream API and its key-value names at home:
// the other side goes through the domain.
var apiDenies = [...]string{"$JS.API.>", "$KV.>", "$OBJ.>"}

// rules say what may cross one link. They never change once made and are safe
// for concurrent use.
type rules struct {
	hub  bool
	user *subject.Permissions // of the user at the hub; nil allows all
	own  *subject.Permissions // denies: publish is out, subscribe is in
}

// side is what both servers of a link know of each other's JetStream.
type side struct {
	domain    string
	jetstream bool
}

// newRules makes the rules of a link. user are the permissions as seen by the
// spoke: publish is what the spoke may send.
func newRules(hub bool, user *subject.Permissions, here, peer side, denyOut, denyIn []string) (*rules, error) {
	out := append(apiDenies[:len(apiDenies):len(apiDenies)], denyOut...)
	in := append(apiDenies[:len(apiDenies):len(apiDenies)], denyIn...)
	if here.domain != "" && here.jetstream && here.domain != peer.domain {
		// This server answers its own domain; a request for it must not leave.
		out = append(out, "$JS."+here.domain+".API.>")
	}
	own, err := subject.NewPermissions(&subject.Rules{Deny: out}, &subject.Rules{Deny: in}, nil)
	if err != nil {
		return nil, fmt.Errorf("deny list of a leaf link: %w", err)
	}
	return &rules{hub: hub, user: user, own: own}, nil
}

// announces reports whether own interest in pattern may be made known.
func (r *rules) announces(pattern string) bool {
	if bytes.HasPrefix([]byte(pattern), []byte("$LDS.")) {
		return true
	}
	if !r.own.MayAnnounceSub(pattern) {
		return false
	}
	switch {
	case r.user == nil:
		return true
	case r.hub:
		return r.user.MayAnnouncePub(pattern)
	default:
		return r.user.MayAnnounceSub(pattern)
	}
}

// accepts reports whether the peer may announce interest in pattern.
func (r *rules) accepts(pattern, queue string) bool {
	if r.user == nil || !r.hub || bytes.HasPrefix([]byte(pattern), []byte("$LDS.")) {
		return true
	}
	// Wider wildcards pass; their messages are checked one by one.
	return !subject.IsLiteral(pattern) || r.user.CanReceive([]byte(pattern))
}

// always are subjects of answers that permissions never stop.
func always(subj []byte) bool {
	return bytes.HasPrefix(subj, replyPrefix) || bytes.HasPrefix(subj, ackPrefix)
}

var (
	replyPrefix = []byte("_R_.")
	ackPrefix   = []byte("$JS.ACK.")
)

// sends reports whether a message may go out.
func (r *rules) sends(subj []byte) bool {
	if !r.own.CanPublish(subj) {
		return false
	}
	switch {
	case r.user == nil || always(subj):
		return true
	case r.hub:
		return r.user.CanReceive(subj)
	default:
		return r.user.CanPublish(subj)
	}
}

// verdict on a message that came in.
type verdict uint8

const (
	pass verdict = iota
	drop
	violation // the peer should have known: the hub closes the link
)

func (r *rules) takes(subj []byte) verdict {
	if r.user != nil && !always(subj) {
		if r.hub && !r.user.CanPublish(subj) {
			return violation
		}
		if !r.hub && !r.user.CanReceive(subj) {
			return drop
		}
	}
	if !r.own.CanReceive(subj) {
		return drop
	}
	return pass
}
