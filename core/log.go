package core

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/frondmq/frond/core/config"
)

// Levels beside those of slog.
const (
	LevelTrace = slog.Level(-8)
	LevelFatal = slog.Level(12)
)

// Log is where the server writes what an operator would write in a diary. It
// is a slog.Handler that writes lines as nats-server does, so that tools that
// wait for them work:
//
//	[pid] 2006/01/02 15:04:05.000000 [INF] text key=value
//
// or, with log_format json, objects:
//
//	{"time":"2006-01-02T15:04:05.000000Z","level":"INFO","msg":"text","pid":1,"key":"value"}
type Log struct {
	out    *logOutput
	json   slog.Handler // nil for text
	prefix string       // "[pid] "
	attrs  string       // rendered, each with a blank in front
	group  string
}

// logOutput is what all handlers derived from one Log share.
type logOutput struct {
	set atomic.Pointer[config.Log] // what is logged, and how; never changed
	mu  struct {
		sync.Mutex
		w     io.Writer
		other io.Writer // when no file is named
		buf   []byte
		file  *logFile // nil when w is not a file of ours
		next  *logFile // that verify has opened
	}
}

// OpenLog opens the log that o describes; standard error when no file is
// named.
func OpenLog(o *config.Log) (*Log, error) {
	l := NewLog(os.Stderr, o)
	if o.File != "" {
		f, err := openLogFile(o.File, o.SizeLimit, o.MaxNum)
		if err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
		l.out.mu.w, l.out.mu.file = f, f
	}
	return l, nil
}

// NewLog writes to w.
func NewLog(w io.Writer, o *config.Log) *Log {
	l := &Log{out: &logOutput{}, prefix: "[" + strconv.Itoa(os.Getpid()) + "] "}
	l.out.mu.w, l.out.mu.other = w, w
	set := *o
	l.out.set.Store(&set)
	if o.JSON {
		l.json = slog.NewJSONHandler(l.out, &slog.HandlerOptions{Level: LevelTrace, ReplaceAttr: l.jsonAttr}).
			WithAttrs([]slog.Attr{slog.Int("pid", os.Getpid())})
	}
	return l
}

// jsonAttr gives time and level of a line their form.
func (l *Log) jsonAttr(groups []string, a slog.Attr) slog.Attr {
	set := l.out.set.Load()
	switch {
	case len(groups) > 0:
	case a.Key == slog.TimeKey && !set.Time:
		return slog.Attr{}
	case a.Key == slog.TimeKey && set.TimeUTC:
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	case a.Key == slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok && level < slog.LevelDebug {
			a.Value = slog.StringValue("TRACE")
		} else if ok && level >= LevelFatal {
			a.Value = slog.StringValue("FATAL")
		}
	}
	return a
}

// Write writes one line.
func (o *logOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.w.Write(b)
}

// Reopen closes and opens the log file again, for tools that move it away. It
// reports false when the log is not a file.
func (l *Log) Reopen() (bool, error) {
	m := &l.out.mu
	m.Lock()
	defer m.Unlock()
	if m.file == nil {
		return false, nil
	}
	return true, m.file.reopen()
}

// Close closes the log file, if there is one.
func (l *Log) Close() error {
	m := &l.out.mu
	m.Lock()
	defer m.Unlock()
	if m.file == nil {
		return nil
	}
	m.w = io.Discard
	f := m.file
	m.file = nil
	return f.close()
}

// verify opens the file that other options name, if it is another one. It is the
// last that is asked before a reload, so commit always follows.
func (l *Log) verify(to *config.Log) error {
	m := &l.out.mu
	m.Lock()
	defer m.Unlock()
	if to.File == "" || m.file != nil && m.file.path == to.File {
		return nil
	}
	var err error
	m.next, err = openLogFile(to.File, to.SizeLimit, to.MaxNum)
	return err
}

// commit takes options that were verified.
func (l *Log) commit(to *config.Log) {
	set := *to
	m := &l.out.mu
	m.Lock()
	defer m.Unlock()
	l.out.set.Store(&set)
	old := m.file
	switch {
	case m.next != nil:
		m.w, m.file, m.next = m.next, m.next, nil
	case to.File == "":
		m.w, m.file = m.other, nil
	case old != nil:
		old.limit, old.keep = to.SizeLimit, to.MaxNum
	}
	if old != nil && m.file != old {
		_ = old.close()
	}
}

// Enabled is part of slog.Handler.
func (l *Log) Enabled(_ context.Context, level slog.Level) bool {
	switch {
	case level >= slog.LevelInfo:
		return true
	case level >= slog.LevelDebug:
		return l.out.set.Load().Debug
	default:
		return l.out.set.Load().Trace
	}
}

// Handle is part of slog.Handler.
func (l *Log) Handle(ctx context.Context, r slog.Record) error {
	if l.json != nil {
		r.Message = strings.TrimLeft(r.Message, " ") // text is indented for the eye
		return l.json.Handle(ctx, r)
	}
	m := &l.out.mu
	m.Lock()
	defer m.Unlock()
	b := append(m.buf[:0], l.prefix...)
	if set := l.out.set.Load(); set.Time {
		t := r.Time
		if t.IsZero() {
			t = time.Now()
		}
		if set.TimeUTC {
			t = t.UTC()
		}
		b = t.AppendFormat(b, "2006/01/02 15:04:05.000000 ")
	}
	b = append(b, levelName(r.Level)...)
	b = appendText(b, r.Message)
	b = append(b, l.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, l.group, a)
		return true
	})
	b = append(b, '\n')
	m.buf = b
	if cap(b) > 4096 {
		m.buf = nil
	}
	_, err := m.w.Write(b)
	return err
}

// WithAttrs is part of slog.Handler.
func (l *Log) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	if c.json != nil {
		c.json = c.json.WithAttrs(attrs)
		return &c
	}
	b := []byte(c.attrs)
	for _, a := range attrs {
		b = appendAttr(b, c.group, a)
	}
	c.attrs = string(b)
	return &c
}

// WithGroup is part of slog.Handler.
func (l *Log) WithGroup(name string) slog.Handler {
	c := *l
	if name != "" {
		c.group += name + "."
		if c.json != nil {
			c.json = c.json.WithGroup(name)
		}
	}
	return &c
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "[TRC] "
	case l < slog.LevelInfo:
		return "[DBG] "
	case l < slog.LevelWarn:
		return "[INF] "
	case l < slog.LevelError:
		return "[WRN] "
	case l < LevelFatal:
		return "[ERR] "
	default:
		return "[FTL] "
	}
}

func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, g := range v.Group() {
			b = appendAttr(b, group+a.Key+".", g)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, group...)
	b = append(b, a.Key...)
	b = append(b, '=')
	s := v.String()
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r == ' ' || r == '"' || r == '\\' || !strconv.IsPrint(r)
	}) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

// appendText keeps a line on its line, whatever is in it.
func appendText(b []byte, s string) []byte {
	for i, n := 0, 0; i < len(s); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(s[i:])
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b = append(b, s[i:i+n]...)
			continue
		}
		q := strconv.Quote(s[i : i+n])
		b = append(b, q[1:len(q)-1]...)
	}
	return b
}

// logFile is a log file that is moved aside when it gets too big.
type logFile struct {
	path  string
	limit int64 // 0: never
	keep  int   // files, the live one counted; 0: all
	f     *os.File
	size  int64
}

const (
	logFileMode = 0o640
	logAside    = ".2006.01.02.15.04.05.000000000"
)

func openLogFile(path string, limit int64, keep int) (*logFile, error) {
	l := &logFile{path: path, limit: limit, keep: keep}
	if err := l.open(); err != nil {
		return nil, err // a reload that fails leaves nothing for the next one
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, logFileMode)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.size = f, st.Size()
	return nil
}

func (l *logFile) close() error { return l.f.Close() }

func (l *logFile) reopen() error {
	old := l.f
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

// Write is called with the output locked.
func (l *logFile) Write(b []byte) (int, error) {
	if l.limit > 0 && l.size > 0 && l.size+int64(len(b)) > l.limit {
		// A log that can't be moved goes on in the same file.
		_ = l.rotate()
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	return n, err
}

func (l *logFile) rotate() error {
	aside := l.path + time.Now().Format(logAside)
	if err := os.Rename(l.path, aside); err != nil {
		return err
	}
	if err := l.reopen(); err != nil {
		return err
	}
	if l.keep <= 0 {
		return nil
	}
	return l.prune()
}

// prune removes the oldest files that were moved aside; their names sort by
// time.
func (l *logFile) prune() error {
	dir, base := ".", l.path
	if i := strings.LastIndexByte(l.path, os.PathSeparator); i >= 0 {
		dir, base = l.path[:i+1], l.path[i+1:]
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var old []string
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base+".")
		if ok && len(rest) == len(logAside)-1 && strings.Trim(rest, ".0123456789") == "" {
			old = append(old, e.Name())
		}
	}
	slices.Sort(old)
	for len(old) > l.keep-1 {
		if err := os.Remove(dir + string(os.PathSeparator) + old[0]); err != nil {
			return err
		}
		old = old[1:]
	}
	return nil
}
