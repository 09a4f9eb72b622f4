package testkit

import (
	"log/slog"
	"strings"
	"sync"
)

// Log keeps what is written to it; the zero value is empty. All methods may be
// called by several goroutines at once.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write is called by a log handler, once a line.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Logger writes lines of level INFO and above as slog's text handler does.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// String is all of it so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Len is the length of it in bytes.
func (l *Log) Len() int { return len(l.String()) }

// Contains reports whether s was written.
func (l *Log) Contains(s string) bool { return strings.Contains(l.String(), s) }

// Count is how often s was written.
func (l *Log) Count(s string) int { return strings.Count(l.String(), s) }

// Line is the first line with s in it, "" when there is none.
func (l *Log) Line(s string) string {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, s) {
			return line
		}
	}
	return ""
}
