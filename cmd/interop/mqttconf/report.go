package mqttconf

import (
	"bytes"
	"fmt"
	"strings"
)

// Report is mqtt/CONFORMANCE.md: what each server does with each statement.
type Report struct {
	Mosquitto string // its version
	// outcomes are by server, standard and identifier.
	outcomes map[string]Outcome
}

// Servers that have a column.
const (
	Frond     = "frond"
	Mosquitto = "mosquitto"
)

func reportKey(server string, standard *Standard, s *Statement) string {
	return server + " " + standard.Name + "/" + s.Name()
}

// Outcome is what the report says; ok is false when it says nothing.
func (r *Report) Outcome(server string, standard *Standard, s *Statement) (o Outcome, ok bool) {
	if o, ok = r.outcomes[reportKey(server, standard, s)]; !ok {
		o.Word = "not run"
	}
	return o, ok
}

// Set changes it.
func (r *Report) Set(server string, standard *Standard, s *Statement, o Outcome) {
	r.outcomes[reportKey(server, standard, s)] = o
}

const (
	mosquittoLine = "mosquitto is version "
	headLine      = "| statement | section | frond | mosquitto |"
)

// ParseReport reads one that Text has written.
func ParseReport(text []byte) (*Report, error) {
	r := &Report{outcomes: map[string]Outcome{}}
	standard := ""
	for n, line := range strings.Split(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, mosquittoLine); ok {
			r.Mosquitto, _, _ = strings.Cut(v, ",")
		}
		if v, ok := strings.CutPrefix(line, "## "); ok {
			standard, _, _ = strings.Cut(v, ":")
		}
		if !strings.HasPrefix(line, "| MQTT-") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 4 {
			return nil, fmt.Errorf("CONFORMANCE.md line %d: %d columns instead of 4", n+1, len(cells))
		}
		for i, server := range []string{Frond, Mosquitto} {
			r.outcomes[server+" "+standard+"/"+cells[0]] = parseOutcome(cells[2+i])
		}
	}
	return r, nil
}

// Text is the file.
func (r *Report) Text() []byte {
	var b bytes.Buffer
	b.WriteString(`# MQTT conformance

What frond does with each normative statement of MQTT 3.1.1 and MQTT 5, and what
mosquitto does with the same bytes. This file is made by a run, and a test fails
when a server behaves otherwise, to the better or the worse:

    cd cmd/interop && go test ./mqttconf             # compare
    cd cmd/interop && go test ./mqttconf -rewrite    # write it again

Identifiers and sections are those of the OASIS standards mqtt-v3.1.1-os and
mqtt-v5.0-os, Appendix B and the marks in the body; the statements stand there.
Where a document prints one in two ways, this is the regular one: MQTT-3.1.2-7,
MQTT-3.3.1-1 and MQTT-3.8.3-4 of the first, MQTT-4.2.0-1 (MQTT-4.2-1 in the body) of
the second. The mark of its MQTT-3.2.2-8 is cut off in the body.

`)
	fmt.Fprintf(&b, `%s%s, with persistence, a user and an ACL that denies one topic.
A test with another version tells what is other, and does not fail. frond has
JetStream, and a user without rights to that topic.

`, mosquittoLine, r.Mosquitto)
	b.WriteString(`| | |
|---|---|
| pass | a check over a socket finds what the statement asks for |
| differs | it does not, and this is what was seen. "not built" is what the server itself says that it does not have |
| does not apply | the statement has a condition that is not met |
| not for servers | it speaks of clients only |

`)
	for _, standard := range Standards() {
		fmt.Fprintf(&b, "## %s: %s, %d statements\n\n", standard.Name, standard.Document, len(standard.Statements))
		r.counts(&b, &standard)
		b.WriteString("\n" + headLine + "\n|---|---|---|---|\n")
		for i := range standard.Statements {
			s := &standard.Statements[i]
			frond, _ := r.Outcome(Frond, &standard, s)
			mosquitto, _ := r.Outcome(Mosquitto, &standard, s)
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.Name(), s.Section, frond, mosquitto)
		}
		b.WriteString("\n")
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

// counts is a table of how often each word stands.
func (r *Report) counts(b *bytes.Buffer, standard *Standard) {
	words := []string{wordPass, wordDiffers, wordNoCase, notForServers}
	fmt.Fprintf(b, "| | %s |\n|---|---|---|---|---|\n", strings.Join(words, " | "))
	for _, server := range []string{Frond, Mosquitto} {
		n := map[string]int{}
		for i := range standard.Statements {
			o, _ := r.Outcome(server, standard, &standard.Statements[i])
			n[o.Word]++
		}
		fmt.Fprintf(b, "| %s |", server)
		for _, w := range words {
			fmt.Fprintf(b, " %d |", n[w])
		}
		b.WriteString("\n")
	}
}
