package consumer

import "strings"

// Reserved reports whether a message on subj would be a request to a server:
// the JetStream API of any domain, acknowledgements and flow control, or its
// event. Whatever a server answers or delivers never goes there.
func Reserved[T string | []byte](subj T) bool {
	if len(subj) < 4 || subj[0] != '$' {
		return false
	}
	rest, ok := strings.CutPrefix(string(subj), "$JS.")
	if !ok {
		return false
	}
	first, rest, _ := strings.Cut(rest, ".")
	switch first {
	case "API", "ACK", "FC", "EVENT":
		return true
	}
	second, _, _ := strings.Cut(rest, ".")
	return second == "API"
}

// ReservedTarget reports whether a configuration may not name subj as where
// messages go: what is Reserved, and the replies that servers route by.
func ReservedTarget[T string | []byte](subj T) bool {
	s := string(subj)
	return Reserved(subj) || strings.HasPrefix(s, "_R_.") || strings.HasPrefix(s, "_GR_.")
}
