package leaf

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/frondmq/frond/core/subject"
)

// apiDenies keep each side's JetStream API and its key-value names at home:
// the other side goes through the domain.
var apiDenies = [...]string{"$JS.API.>", "$KV.>", "$OBJ.>"}

// whoAmI is answered by the server of who asks; a nats-server at the other end
// hears it too and would tell what the link may do.
const whoAmI = "$SYS.REQ.USER.INFO"

// rules say what may cross one link. They never change once made and are safe
// for concurrent use.
type rules struct {
	hub bool // this server has the role of the hub
	// accepted is true at the end that authenticated the other. The user's
	// rights are those of the end that dialed, whichever of the two is the hub.
	accepted bool
	user     *subject.Permissions     // of the dialing end; nil allows all
	own      *subject.Permissions     // denies: publish is out, subscribe is in
	replies  *subject.ResponseTracker // what the peer may answer, nil for nothing
}

// side is what both servers of a link know of each other's JetStream.
type side struct {
	domain    string
	jetstream bool
}

// newRules makes the rules of a link. user are the permissions as seen by the
// end that dialed: publish is what that end may send.
func newRules(hub, accepted bool, user *subject.Permissions, here, peer side, denyOut, denyIn []string) (*rules, error) {
	out := append(apiDenies[:len(apiDenies):len(apiDenies)], whoAmI)
	out = append(out, denyOut...)
	in := append(apiDenies[:len(apiDenies):len(apiDenies)], denyIn...)
	if here.domain != "" && here.jetstream && here.domain != peer.domain {
		// This server answers its own domain; a request for it must not leave.
		out = append(out, "$JS."+here.domain+".API.>")
	}
	own, err := subject.NewPermissions(&subject.Rules{Deny: out}, &subject.Rules{Deny: in}, nil)
	if err != nil {
		return nil, fmt.Errorf("deny list of a leaf link: %w", err)
	}
	r := &rules{hub: hub, accepted: accepted, user: user, own: own}
	if accepted && user != nil && user.Responses() != nil {
		r.replies = subject.NewResponseTracker(user.Responses())
	}
	return r, nil
}

// exempt is interest that permissions never stop: marks against loops, and
// replies by way of gateways.
func exempt(pattern string) bool {
	return strings.HasPrefix(pattern, "$LDS.") || strings.HasPrefix(pattern, "_GR_.") || strings.HasPrefix(pattern, "$GR.")
}

// announces reports whether own interest in pattern may be made known.
func (r *rules) announces(pattern string) bool {
	if exempt(pattern) {
		return true
	}
	if !r.own.MayAnnounceSub(pattern) {
		return false
	}
	switch {
	case r.user == nil:
		return true
	case r.accepted:
		return r.user.MayAnnouncePub(pattern)
	default:
		return r.user.MayAnnounceSub(pattern)
	}
}

// accepts reports whether the peer may announce interest in pattern.
func (r *rules) accepts(pattern string) bool {
	if r.user == nil || !r.hub || !r.accepted || exempt(pattern) {
		return true
	}
	// Wider wildcards pass; their messages are checked one by one.
	return !subject.IsLiteral(pattern) || r.user.CanReceive([]byte(pattern))
}

// always are subjects of answers that permissions never stop.
func (r *rules) always(subj []byte) bool {
	return bytes.HasPrefix(subj, replyPrefix) || bytes.HasPrefix(subj, ackPrefix) ||
		!r.hub && bytes.HasPrefix(subj, gatewayPrefix)
}

var (
	replyPrefix   = []byte("_R_.")
	ackPrefix     = []byte("$JS.ACK.")
	gatewayPrefix = []byte("_GR_.")
)

// sends reports whether a message may go out.
func (r *rules) sends(subj []byte) bool {
	if !r.own.CanPublish(subj) {
		return false
	}
	switch {
	case r.user == nil || r.always(subj):
		return true
	case r.accepted:
		return r.user.CanReceive(subj)
	default:
		return r.user.CanPublish(subj)
	}
}

// sent lets the peer answer a message that it was sent.
func (r *rules) sent(reply []byte) {
	if r.replies != nil && len(reply) > 0 {
		r.replies.Arm(reply, time.Now())
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
	if r.user != nil && !r.always(subj) {
		switch {
		case !r.accepted:
			if !r.user.CanReceive(subj) {
				return drop
			}
		case r.user.CanPublish(subj) || r.replies != nil && r.replies.Use(subj, time.Now()):
		case r.hub:
			return violation
		default:
			return drop
		}
	}
	if !r.own.CanReceive(subj) {
		return drop
	}
	return pass
}
