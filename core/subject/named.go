package subject

import (
	"fmt"
	"strings"
)

// Names in permissions, as mosquitto has them in its patterns: a token of a subject
// that is "%u" stands for the user, "%c" for the client identifier of MQTT. Whoever
// has no such name is not let in.

const userToken, clientToken = "%u", "%c"

// Named reports whether some rule holds a name, so that each connection needs
// permissions of its own, of WithNames.
func (p *Permissions) Named() bool {
	return p.pubRules.holds(userToken) || p.pubRules.holds(clientToken) || p.subRules.holds(userToken) || p.subRules.holds(clientToken)
}

// WithNames is p for the user and the client of those names, which are tokens of
// subjects. It fails for a name that is "" and stands in a rule: that would give or
// take a right that nobody meant.
func (p *Permissions) WithNames(user, client string) (*Permissions, error) {
	pub, sub := p.pubRules, p.subRules
	for _, n := range []struct{ token, name, what string }{{userToken, user, "user name"}, {clientToken, client, "client identifier"}} {
		if !pub.holds(n.token) && !sub.holds(n.token) {
			continue
		}
		if !plainToken(n.name) {
			return nil, fmt.Errorf("the permissions hold %s, and the %s can't stand in a subject", n.token, n.what)
		}
		pub, sub = pub.with(n.token, n.name), sub.with(n.token, n.name)
	}
	return NewPermissions(pub, sub, p.responses)
}

// plainToken reports whether name is one token of a subject and no wildcard.
func plainToken(name string) bool {
	return name != "" && name != "*" && name != ">" && !strings.ContainsAny(name, ". \t\r\n\f\x00")
}

func (r *Rules) holds(token string) bool {
	if r == nil {
		return false
	}
	for _, list := range [][]string{r.Allow, r.Deny} {
		for _, s := range list {
			if strings.Contains(s, token) && replaced(s, token, "") != s {
				return true
			}
		}
	}
	return false
}

func (r *Rules) with(token, name string) *Rules {
	if r == nil {
		return nil
	}
	c := r.clone()
	for _, list := range [][]string{c.Allow, c.Deny} {
		for i, s := range list {
			list[i] = replaced(s, token, name)
		}
	}
	return c
}

// replaced has name for each token of the subject that is token; a queue behind it
// stays as it is.
func replaced(s, token, name string) string {
	subj, queue, _ := strings.Cut(s, " ")
	tokens := strings.Split(subj, ".")
	for i, t := range tokens {
		if t == token {
			tokens[i] = name
		}
	}
	if subj = strings.Join(tokens, "."); queue != "" {
		subj += " " + queue
	}
	return subj
}
