package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
)

func TestLog_lines(t *testing.T) {
	var b bytes.Buffer
	l := slog.New(NewLog(&b, &config.Log{Time: true, TimeUTC: true, Debug: true, Trace: true}))
	l.Info("Server is ready")
	l.With("conn", 7).WithGroup("g").Warn("odd", "err", errors.New("a b"), "n", 1, "empty", "")
	l.Error("e", slog.Group("h", "k", "v"))
	l.Debug("d")
	l.Log(t.Context(), LevelTrace, "t")
	l.Log(t.Context(), LevelFatal, "f")
	stamp := regexp.MustCompile(`(?m)^\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} `)
	got := stamp.ReplaceAllString(b.String(), "")
	want := `[INF] Server is ready
[WRN] odd conn=7 g.err="a b" g.n=1 g.empty=""
[ERR] e h.k=v
[DBG] d
[TRC] t
[FTL] f
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLog_levelAndTime(t *testing.T) {
	for _, test := range []struct {
		o    config.Log
		want string
	}{
		{config.Log{}, "[INF] i\n"},
		{config.Log{Debug: true}, "[DBG] d\n[INF] i\n"},
		{config.Log{Trace: true}, "[TRC] t\n[INF] i\n"},
		{config.Log{Debug: true, Trace: true}, "[TRC] t\n[DBG] d\n[INF] i\n"},
	} {
		var b bytes.Buffer
		l := slog.New(NewLog(&b, &test.o))
		l.Log(t.Context(), LevelTrace, "t")
		l.Debug("d")
		l.Info("i")
		got := strings.ReplaceAll(b.String(), fmt.Sprintf("[%d] ", os.Getpid()), "")
		if got != test.want {
			t.Errorf("%+v: got %q, want %q", test.o, got, test.want)
		}
	}
}

func TestLog_file(t *testing.T) {
	path := filepath.Join(t.TempDir(), "frond.log")
	l, err := OpenLog(&config.Log{File: path, SizeLimit: 200, MaxNum: 3})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(l)
	for i := range 40 {
		logger.Info(fmt.Sprintf("line %02d of a log that is moved aside", i))
	}
	if files, _ := filepath.Glob(path + "*"); len(files) != 3 {
		t.Errorf("files %q, want the live one and two older", files)
	}
	if err := os.Rename(path, path+".taken"); err != nil {
		t.Fatal(err)
	}
	if isFile, err := l.Reopen(); !isFile || err != nil {
		t.Errorf("reopen: %v, %v", isFile, err)
	}
	logger.Info("after")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	logger.Info("too late")
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(text), "[INF] after\n") || strings.Contains(string(text), "line") {
		t.Errorf("file %q, %v", text, err)
	}
	if _, err := OpenLog(&config.Log{File: filepath.Join(path, "x")}); err == nil {
		t.Error("a log in no folder was opened")
	}
	if isFile, err := NewLog(&bytes.Buffer{}, &config.Log{}).Reopen(); isFile || err != nil {
		t.Errorf("reopen of no file: %v, %v", isFile, err)
	}
}

func TestLog_json(t *testing.T) {
	var b bytes.Buffer
	l := slog.New(NewLog(&b, &config.Log{JSON: true, Trace: true}))
	l.Info("  Version:  1")
	l.With("conn", uint64(7)).WithGroup("g").Warn("odd\n", "err", errors.New("a b"), "n", 1)
	l.Debug("d")
	l.Log(t.Context(), LevelTrace, "t")
	l.Log(t.Context(), LevelFatal, "f")
	got := strings.ReplaceAll(b.String(), fmt.Sprintf(`"pid":%d`, os.Getpid()), `"pid":1`)
	want := `{"level":"INFO","msg":"Version:  1","pid":1}
{"level":"WARN","msg":"odd\n","pid":1,"conn":7,"g":{"err":"a b","n":1}}
{"level":"TRACE","msg":"t","pid":1}
{"level":"FATAL","msg":"f","pid":1}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	slog.New(NewLog(&b, &config.Log{JSON: true, Time: true, TimeUTC: true})).Info("x")
	var line struct {
		Time  time.Time
		Level string
		Msg   string
		PID   int
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Level != "INFO" || line.Msg != "x" || line.PID != os.Getpid() ||
		!strings.Contains(b.String(), `Z"`) || time.Since(line.Time) > time.Minute {
		t.Errorf("%s: %+v, %v", b.String(), line, err)
	}
}
