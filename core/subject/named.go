package subject

import (
	"slices"
	"strings"
)

// Names in permissions, as mosquitto has them in its patterns: a token of a subject
// that is "%u" stands for the user, "%c" for the client identifier of MQTT. Who has
// no such name has not the rights of that rule.

const userToken, clientToken = "%u", "%c"

// Named reports whether some rule holds a name, so that each connection needs
// permissions of its own, of WithNames.
func (p *Permissions) Named() bool {
	return p.pubRules.holds(userToken) || p.pubRules.holds(clientToken) || p.subRules.holds(userToken) || p.subRules.holds(clientToken)
}

// WithNames is p for the user and the client of those names. A name that is no token
// of a subject takes the rights away that hold it, and denies for every name what is
// denied for one.
func (p *Permissions) WithNames(user, client string) (*Permissions, error) {
	pub := p.pubRules.with(userToken, user).with(clientToken, client)
	sub := p.subRules.with(userToken, user).with(clientToken, client)
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
	if r == nil || !r.holds(token) {
		return r
	}
	c := r.clone()
	if !plainToken(name) {
		name = "*"
		c.Allow = slices.DeleteFunc(c.Allow, func(s string) bool { return replaced(s, token, "") != s })
		if len(c.Allow) == 0 && len(r.Allow) > 0 { // an empty list would allow everything
			c.Deny = append(c.Deny, ">")
		}
	}
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
