package main

import (
	"errors"
	"fmt"
	"strings"
)

// filePatch is what a unified diff says of one file.
type filePatch struct {
	name  string
	hunks []hunk
}

// hunk is one stretch: lines as they are and as they become. Where it lies is
// found by its lines alone, so that a patch survives changes elsewhere.
type hunk struct {
	before, after []string
	line          int // in the patch
}

// parsePatch reads a unified diff. What stands before the first "---" is prose.
func parsePatch(text string) ([]filePatch, error) {
	var files []filePatch
	var h *hunk
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for n, line := range lines {
		switch {
		case strings.HasPrefix(line, "--- "):
			h = nil
		case strings.HasPrefix(line, "+++ "):
			name := strings.TrimPrefix(strings.Fields(line)[1], "b/")
			files = append(files, filePatch{name: name})
		case strings.HasPrefix(line, "@@"):
			if len(files) == 0 {
				return nil, fmt.Errorf("line %d: a hunk before any file", n+1)
			}
			f := &files[len(files)-1]
			f.hunks = append(f.hunks, hunk{line: n + 1})
			h = &f.hunks[len(f.hunks)-1]
		case h == nil:
		case line == "":
			h.before, h.after = append(h.before, ""), append(h.after, "")
		case line[0] == ' ':
			h.before, h.after = append(h.before, line[1:]), append(h.after, line[1:])
		case line[0] == '-':
			h.before = append(h.before, line[1:])
		case line[0] == '+':
			h.after = append(h.after, line[1:])
		default:
			return nil, fmt.Errorf("line %d: neither context nor change: %q", n+1, line)
		}
	}
	for _, f := range files {
		if len(f.hunks) == 0 {
			return nil, fmt.Errorf("nothing changes in %s", f.name)
		}
	}
	if len(files) == 0 {
		return nil, errors.New("no file in the patch")
	}
	return files, nil
}

// apply returns the file with every hunk applied. Each must fit in one place
// only, else it may not be where it was meant to be.
func (p *filePatch) apply(text string) (string, error) {
	for _, h := range p.hunks {
		before := strings.Join(h.before, "\n") + "\n"
		after := strings.Join(h.after, "\n") + "\n"
		if before == after || len(h.before) == 0 {
			return "", fmt.Errorf("the hunk in line %d changes nothing", h.line)
		}
		switch n := places(text, before); n {
		case 0:
			return "", fmt.Errorf("the hunk in line %d does not apply any more: its lines are not there", h.line)
		case 1:
		default:
			return "", fmt.Errorf("the hunk in line %d fits in %d places: give it more lines", h.line, n)
		}
		at := strings.Index("\n"+text, "\n"+before)
		text = text[:at] + after + text[at+len(before):]
	}
	return text, nil
}

// places counts where the lines of before stand in text, overlaps included.
func places(text, before string) (n int) {
	text = "\n" + text
	for {
		at := strings.Index(text, "\n"+before)
		if at < 0 {
			return n
		}
		n++
		text = text[at+1:]
	}
}
