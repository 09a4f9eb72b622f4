package websocket

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Origin is where a page that opens a connection comes from (RFC 6454): only these
// three parts of a URL count.
type Origin struct{ scheme, host, port string }

// ParseOrigin reads an absolute URL of http or https.
func ParseOrigin(s string) (Origin, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Origin{}, err
	}
	o := Origin{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	switch {
	case o.scheme != "http" && o.scheme != "https":
		return Origin{}, fmt.Errorf("%q is no http or https URL", s)
	case o.host == "":
		return Origin{}, fmt.Errorf("%q names no host", s)
	case o.port == "":
		o.port = usualPort(o.scheme)
	}
	return o, nil
}

func usualPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// requested is the origin that a request was made to.
func requested(host string, overTLS bool) Origin {
	o := Origin{scheme: "http", host: strings.ToLower(host)}
	if overTLS {
		o.scheme = "https"
	}
	if name, port, err := net.SplitHostPort(o.host); err == nil {
		o.host, o.port = name, port
	} else {
		o.host = strings.Trim(o.host, "[]")
	}
	if o.port == "" {
		o.port = usualPort(o.scheme)
	}
	return o
}

var (
	errNotSame   = errors.New("not same origin")
	errNotListed = errors.New("not in the allowed list")
)

// check looks at the origin that a browser tells. Other programs tell none, and who
// tells a wrong one could as well tell none: this guards users of browsers against
// pages of others, and nothing else.
func (o *Options) check(origin, host string, overTLS bool) error {
	if origin == "" || !o.SameOrigin && len(o.Origins) == 0 {
		return nil
	}
	from, err := ParseOrigin(origin)
	if err != nil {
		return err
	}
	if o.SameOrigin && from != requested(host, overTLS) {
		return errNotSame
	}
	if len(o.Origins) > 0 && !o.Origins[from] {
		return errNotListed
	}
	return nil
}
