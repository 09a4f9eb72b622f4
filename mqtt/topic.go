package mqtt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"unicode/utf8"
)

// Topic names and subjects: '/' separates levels of a topic and becomes '.'.
// An empty level has no place in a subject, so '/' at the beginning, at the
// end and behind another '/' becomes a level of its own, "/". A '.' in a topic
// becomes "//". Wildcards '+' and '#' of filters become '*' and '>'.
//
// That much is the mapping of nats-server, so that both can serve one system.
// It never writes a '/' that is followed by anything but '.', '/' or the end,
// and there is the room for what nats-server refuses: a byte that no subject
// can hold becomes "/%" and two hexadecimal digits, and so does a level that is
// '*' or '>', which are names in MQTT and wildcards in NATS.

var (
	errTopicWildcard = errors.New("wildcard in a topic name")
	errTopicChar     = errors.New("a blank, a control character or a NATS wildcard in a topic, and mqtt.blanks is refuse")
	errTopicText     = errors.New("topic is not valid UTF-8 text")
	errTopicEmpty    = errors.New("empty topic")
	errTopicLong     = errors.New("topic is too long: as a subject it must fit into max_control_line, or no link could carry it")
)

// How a topic is read.
type topicRules uint8

const (
	asFilter topicRules = 1 << iota // wildcards are wildcards
	noEscape                        // refuse what needs an escape, as nats-server
)

// appendSubject appends the subject of a topic name or filter.
func appendSubject(dst, topic []byte, rules topicRules) ([]byte, error) {
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
			switch {
			case rules&asFilter == 0:
				return dst, errTopicWildcard
			case c == '+':
				dst = append(dst, '*')
			default:
				dst = append(dst, '>')
			}
		case ' ', '\t', '\n', '\r', '\f', 0x7f, '*', '>':
			switch {
			case (c == '*' || c == '>') && !wholeLevel(topic, i):
				dst = append(dst, c)
			case rules&noEscape != 0:
				return dst, errTopicChar
			default:
				dst = appendEscape(dst, c)
			}
		default:
			dst = append(dst, c)
		}
	}
	if dst[len(dst)-1] == '.' {
		dst = append(dst, '/')
	}
	return dst, nil
}

// wholeLevel reports whether the byte at i is a level on its own.
func wholeLevel(topic []byte, i int) bool {
	return (i == 0 || topic[i-1] == '/') && (i == len(topic)-1 || topic[i+1] == '/')
}

const hexDigits = "0123456789ABCDEF"

func appendEscape(dst []byte, c byte) []byte {
	return append(dst, '/', '%', hexDigits[c>>4], hexDigits[c&15])
}

// escaped is the byte that an escape at the beginning of subj stands for. What
// appendSubject does not write is none.
func escaped(subj []byte) (c byte, ok bool) {
	if len(subj) < 4 || subj[1] != '%' {
		return 0, false
	}
	hi, lo := strings.IndexByte(hexDigits, subj[2]), strings.IndexByte(hexDigits, subj[3])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	switch c = byte(hi<<4 | lo); c {
	case ' ', '\t', '\n', '\r', '\f', 0x7f, '*', '>':
		return c, true
	}
	return 0, false
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
			if e, ok := escaped(subj[i:]); ok {
				dst = append(dst, e)
				i += 3
			}
			// Or a level that only stands for an empty one.
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
func filterSubjects(filter string, rules topicRules) ([]string, error) {
	b, err := appendSubject(nil, []byte(filter), rules|asFilter)
	if err != nil {
		return nil, err
	}
	s := string(b)
	if parent, ok := strings.CutSuffix(s, ".>"); ok && parent != "" {
		return []string{s, parent}, nil
	}
	return []string{s}, nil
}

// nameHash is the hash that nats-server makes of names, for subjects and headers.
func nameHash(name string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(name))
	b := sum[:8]
	for i, c := range b {
		b[i] = digits[int(c)%len(digits)]
	}
	return string(b)
}

// queueName is the queue group of a shared subscription's name. A queue group
// can hold no blanks.
func queueName(share string) string {
	var b []byte
	for i := range len(share) {
		switch c := share[i]; c {
		case ' ', '\t', '\n', '\r', '\f', 0x7f:
			b = appendEscape(b, c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// levelToken is a name as the token of a subject that stands for a level of topics
// of that name; "" for one that no level can have.
func levelToken(name string) string {
	if strings.ContainsAny(name, "/+#") {
		return ""
	}
	b, err := appendSubject(nil, []byte(name), 0)
	if err != nil {
		return ""
	}
	return string(b)
}

// validFilter checks where wildcards stand: each is a level of its own, and
// '#' the last one [MQTT-4.7.1-1] [MQTT-4.7.1-2].
func validFilter(filter string) bool {
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if strings.ContainsAny(l, "+#") && len(l) != 1 || l == "#" && i != len(levels)-1 {
			return false
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
