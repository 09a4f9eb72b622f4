package mqtt

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// Topic names and subjects: '/' separates levels of a topic and becomes '.'.
// An empty level has no place in a subject, so '/' at the beginning, at the
// end and behind another '/' becomes a level of its own, "/". A '.' in a topic
// becomes "//". Wildcards '+' and '#' of filters become '*' and '>'.
//
// This is the mapping of nats-server, so that both can serve one system.

var (
	errTopicWildcard = errors.New("wildcard in a topic name")
	errTopicChar     = errors.New("blank or control character in a topic")
	errTopicText     = errors.New("topic is not valid UTF-8 text")
	errTopicEmpty    = errors.New("empty topic")
)

// appendSubject appends the subject of a topic name, or with filter set of a
// topic filter.
func appendSubject(dst, topic []byte, filter bool) ([]byte, error) {
	if len(topic) == 0 {
		return dst, errTopicEmpty
	}
	if bytes.IndexByte(topic, 0) >= 0 || !utf8.Valid(topic) {
		return dst, errTopicText
	}
	begin := len(dst)
	for i, c := range topic {
		switch c {
		case '/':
			switch {
			case len(dst) == begin || dst[len(dst)-1] == '.':
				dst = append(dst, '/', '.')
			case i == len(topic)-1 || topic[i+1] == '/':
				dst = append(dst, '.', '/')
			default:
				dst = append(dst, '.')
			}
		case '.':
			dst = append(dst, '/', '/')
		case '+', '#':
			if !filter {
				return dst, errTopicWildcard
			}
			if c == '+' {
				dst = append(dst, '*')
			} else {
				dst = append(dst, '>')
			}
		case ' ', '\t', '\n', '\r', '\f', 0x7f:
			return dst, errTopicChar
		default:
			dst = append(dst, c)
		}
	}
	if dst[len(dst)-1] == '.' {
		dst = append(dst, '/')
	}
	return dst, nil
}

// appendTopic appends the topic of a subject.
func appendTopic(dst, subj []byte) []byte {
	for i := 0; i < len(subj); i++ {
		switch c := subj[i]; {
		case c == '/' && i+1 < len(subj) && subj[i+1] == '.':
			dst = append(dst, '/')
			i++
		case c == '/' && i+1 < len(subj) && subj[i+1] == '/':
			dst = append(dst, '.')
			i++
		case c == '/':
			// A level that only stands for an empty one.
		case c == '.':
			dst = append(dst, '/')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// filterSubjects is what a topic filter subscribes to: one subject, or two for
// "a/#", which takes "a" as well.
func filterSubjects(filter string) ([]string, error) {
	b, err := appendSubject(nil, []byte(filter), true)
	if err != nil {
		return nil, err
	}
	s := string(b)
	if parent, ok := strings.CutSuffix(s, ".>"); ok && parent != "" {
		return []string{s, parent}, nil
	}
	return []string{s}, nil
}

// validFilter checks where wildcards stand: each is a level of its own, and
// '#' the last one [MQTT-4.7.1-1] [MQTT-4.7.1-2].
func validFilter(filter string) bool {
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if strings.ContainsAny(l, "+#") && len(l) != 1 || l == "#" && i != len(levels)-1 {
			return false
		}
		if l == "*" || l == ">" {
			return false // would be a wildcard in the subject only
		}
	}
	return true
}

// validTopic reports whether a topic made from a subject can be sent: NATS
// subjects may hold what MQTT clients disconnect for [MQTT-3.3.2-1]
// [MQTT-3.3.2-2] [MQTT-4.7.3-1].
func validTopic(topic []byte) bool {
	return len(topic) > 0 && len(topic) <= 0xffff && bytes.IndexByte(topic, '+') < 0 && bytes.IndexByte(topic, '#') < 0 &&
		bytes.IndexByte(topic, 0) < 0 && utf8.Valid(topic)
}
