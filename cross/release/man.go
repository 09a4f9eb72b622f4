package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/frondmq/frond/cmd/frond/help"
)

// manPage is frond(1) in roff: what the program does, its commands, and every
// page of `frond help`. Only requests and escapes that groff, mandoc and
// busybox's man all know are used.
func manPage(version string, at time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH FROND 1 %q %q\n", at.UTC().Format("2006-01-02"), "frond "+version)
	b.WriteString(`.SH NAME
frond \- message broker for the edge: NATS, MQTT and streams on flash
.SH SYNOPSIS
.nf
`)
	synopsis, _, _ := strings.Cut(help.Usage("frond"), "\n\n")
	for l := range strings.Lines(synopsis) {
		l = strings.TrimPrefix(strings.TrimPrefix(l, "Usage: "), "       ")
		if strings.HasPrefix(l, "frond") {
			call, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "   ")
			b.WriteString(roffLine(call) + "\n")
		}
	}
	b.WriteString(`.fi
.SH DESCRIPTION
frond is a message broker in one program. It takes NATS and MQTT clients, stores
what they publish in streams, and links to a hub. With \-c it reads the
configuration of nats\-server; frond edge and frond hub need none. The sections
below are the pages of
.BR "frond help" .
`)
	for _, t := range help.Topics() {
		fmt.Fprintf(&b, ".SH %s\n", roffLine(strings.ToUpper(t.Name)))
		roffPage(&b, help.Page(t.Name))
	}
	b.WriteString(`.SH EXIT STATUS
0 after a clean stop, and where a command did what it was told; 1 after an
error, which stands on standard error, and where frond store check found damage.
.SH FILES
.nf
/etc/frond/frond.conf     configuration that packages install
/var/lib/frond            data folder of packages
frond-data                data folder of frond edge and frond hub
.fi
`)
	return []byte(b.String())
}

// roffHeading is a line of a page that is one: capitals at the margin, a
// remark behind it at most.
var roffHeading = regexp.MustCompile(`^[A-Z][A-Z0-9 ,.'/_\[\]-]+(\s{3,}.*)?$`)

// roffPage turns the text of a page into roff: headings, paragraphs, and what
// is indented as it stands.
func roffPage(b *strings.Builder, page string) {
	_, page, _ = strings.Cut(page, "\n") // the title is the section's
	const none, paragraph, verbatim = 0, 1, 2
	state := none
	to := func(next int) {
		if state == verbatim && next != verbatim {
			b.WriteString(".fi\n.in\n")
		}
		if next != state {
			switch next {
			case paragraph:
				b.WriteString(".PP\n")
			case verbatim:
				b.WriteString(".PP\n.in 0\n.nf\n") // a page has 80 columns of its own
			}
		}
		state = next
	}
	blank := false
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			if state == paragraph {
				to(none)
			}
			blank = true
			continue
		case roffHeading.MatchString(line):
			to(none)
			fmt.Fprintf(b, ".SS %s\n", roffLine(line))
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "Usage: "):
			if state == verbatim && blank {
				b.WriteString("\n")
			}
			to(verbatim)
			b.WriteString(roffLine(line) + "\n")
		default:
			to(paragraph)
			b.WriteString(roffLine(line) + "\n")
		}
		blank = false
	}
	to(none)
}

// roffLine is a line of text that means nothing to roff.
func roffLine(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// gzipped packs bytes with nothing of this machine in the header, as packages
// want their man pages.
func gzipped(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, bytes.NewReader(body)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
