package mqttconf

import "strings"

// Statement is one normative statement of a standard: a row of v311.go or v5.go.
type Statement struct {
	ID      string // without "MQTT-"
	Section string // where it stands
	// Asks is true when a server is asked to do something, false when it is only
	// forbidden something, or told in which form to do what it does.
	Asks  bool
	Check func(*Exam) // nil: see Why
	// Why there is no check: notForServers, or the condition that is not met.
	Why string
}

// notForServers is Why a statement that speaks of clients only has no check.
const notForServers = "not for servers"

// Name is the identifier, and the name of the sub-test.
func (s *Statement) Name() string { return "MQTT-" + s.ID }

// ForServers reports whether a server can be held to it.
func (s *Statement) ForServers() bool { return s.Why != notForServers }

// asks is a statement by which a server has to do something. Rules of what a client
// sends are among them where the standard has the server close the connection
// of who breaks them.
func asks(id, section string, check func(*Exam)) Statement {
	return Statement{ID: id, Section: section, Asks: true, Check: check}
}

// forbids is a statement that only forbids something, or tells in which form to do
// what is done.
func forbids(id, section string, check func(*Exam)) Statement {
	return Statement{ID: id, Section: section, Check: check}
}

// client is a statement that speaks of clients only.
func client(id, section string) Statement {
	return Statement{ID: id, Section: section, Why: notForServers}
}

// unmet is a statement with a condition that none of the servers here meets.
func unmet(id, section string, asks bool, why string) Statement {
	return Statement{ID: id, Section: section, Asks: asks, Why: why}
}

// Standard is one of the two.
type Standard struct {
	Name       string // the first part of the sub-tests' names
	Version    byte
	Document   string // OASIS' name for it
	Statements []Statement
}

// Standards are MQTT 3.1.1 and MQTT 5.
func Standards() []Standard {
	return []Standard{
		{"v4", v311, "mqtt-v3.1.1-os", statements311()},
		{"v5", v5, "mqtt-v5.0-os", statements5()},
	}
}

// Outcome is how a server did.
type Outcome struct {
	Word string // pass, differs, does not apply, not for servers
	Why  string
}

// Words of outcomes.
const (
	wordPass    = "pass"
	wordDiffers = "differs"
	wordNoCase  = "does not apply"
)

// String is the outcome as the file has it.
func (o Outcome) String() string {
	if o.Why == "" {
		return o.Word
	}
	return o.Word + ": " + o.Why
}

func parseOutcome(s string) Outcome {
	word, why, _ := strings.Cut(s, ": ")
	return Outcome{word, why}
}
