// Package subject knows what a subject is: its grammar, which patterns match,
// cover or collide with which, the interest index of an account, subject
// transforms, and permissions. It is no promise to other programs: it changes
// without notice.
//
// It knows nothing of connections, messages or configuration files. All of it
// is pure: time and randomness come in as arguments, and nothing here logs.
//
// Terms, as the NATS documentation uses them. A subject is a list of tokens
// with dots between them. In a pattern, a token that is exactly "*" stands for
// one token, and a last token that is exactly ">" stands for one or more.
// A literal is a subject in which such tokens mean only themselves.
//
// Start reading at subject.go (grammar), then match.go, then index.go.
package subject
