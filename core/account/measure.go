package account

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// Measure has a sample of the questions to a service told of.
type Measure struct {
	Percent int // of the questions; 0: those whose headers belong to a trace that is sampled
	// Report is called once for a question, from any goroutine, with locks held: it
	// must neither block nor route.
	Report func(*Measured)
}

// Measured is a question that has an answer, or will have none.
type Measured struct {
	Status    int                 // 200, 400 when it has no reply subject, 503 when nobody heard it, 504 when nobody answered in time
	Asker     string              // as JSON, what the service hears of who asks
	Responder string              // who answered, as JSON; "" where nobody can tell
	Header    map[string][]string // those of the trace
	At        time.Time
	Took      time.Duration // from the question to the answer, as seen here
}

// Measure begins to measure; it is called before anybody asks.
func (s *Service) Measure(m *Measure) { s.measure.Store(m) }

// sample begins to measure a question, or not.
func (s *Service) sample(o *Origin, m *wire.Msg, asker string) *Measured {
	rule := s.measure.Load()
	if rule == nil || rule.Percent > 0 && o.random(100) >= rule.Percent {
		return nil
	}
	x := &Measured{Asker: asker, At: time.Now()}
	if rule.Percent == 0 {
		sampled := false
		if x.Header, sampled = traced(m.Header); !sampled {
			return nil
		}
	}
	return x
}

// report tells how it went; x may be nil.
func (s *Service) report(x *Measured, status int, responder string) {
	if x == nil {
		return
	}
	if x.Status, x.Responder = status, responder; status == 200 {
		x.Took = time.Since(x.At)
	}
	s.measure.Load().Report(x)
}

// traced gives the headers of a trace, and whether it is sampled: those of Zipkin
// (B3, one header or several), Jaeger and W3C.
func traced(header []byte) (fields map[string][]string, sampled bool) {
	if len(header) == 0 {
		return nil, false
	}
	var b3, denied bool
	wire.HeaderEach(header, func(name, value []byte) bool {
		n, v := strings.ToLower(string(name)), string(bytes.TrimSpace(value))
		canonical := ""
		switch n {
		case "x-b3-sampled":
			canonical, b3, denied = "X-B3-Sampled", b3 || v == "1", denied || v != "1"
		case "x-b3-traceid":
			canonical, b3 = "X-B3-Traceid", true
		case "x-b3-spanid":
			canonical = "X-B3-Spanid"
		case "x-b3-parentspanid":
			canonical = "X-B3-Parentspanid"
		case "x-b3-flags":
			canonical = "X-B3-Flags"
		case "b3":
			canonical, sampled = "B3", sampled || v != "0" && !strings.HasSuffix(v, "-0")
		case "traceparent":
			canonical, sampled = "Traceparent", sampled || odd(v, "-", 16)
		case "tracestate":
			canonical = "Tracestate"
		case "uber-trace-id":
			canonical, sampled = "Uber-Trace-Id", sampled || odd(v, ":", 16)
		}
		if canonical != "" {
			if fields == nil {
				fields = map[string][]string{}
			}
			fields[canonical] = append(fields[canonical], v)
		}
		return true
	})
	if sampled = sampled || b3 && !denied; !sampled {
		return nil, false
	}
	return fields, true
}

// odd reports whether the fourth part of a value, its flags, has the lowest bit set.
func odd(v, sep string, base int) bool {
	parts := strings.Split(v, sep)
	if len(parts) != 4 {
		return false
	}
	flags, err := strconv.ParseUint(parts[3], base, 8)
	return err == nil && flags&1 == 1
}
