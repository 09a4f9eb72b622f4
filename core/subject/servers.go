package subject

// ForServers reports whether only servers publish to s, with whatever protocol
// one comes.
func ForServers[S Text](s S) bool {
	if len(s) < 4 || s[0] != '_' && s[0] != '$' {
		return false
	}
	return beginsWith(s, "_GR_.") || beginsWith(s, "$GR.") || beginsWith(s, "$NRG.")
}

// ReplyForServers reports whether only servers name s as the subject for
// answers: an answer there would be a request, made with the rights of whoever
// answers.
func ReplyForServers[S Text](s S) bool {
	if len(s) < 4 || s[0] != '_' && s[0] != '$' {
		return false
	}
	return beginsWith(s, "_R_.") || beginsWith(s, "$JS.") || beginsWith(s, "_GR_.") || beginsWith(s, "$GR.")
}

func beginsWith[S Text](s S, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}
