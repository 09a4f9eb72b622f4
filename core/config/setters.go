package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// The setters below are the types a key can have. Each reports a value of the
// wrong type or out of its range and leaves the option alone then.

func (d *decoder) wrongType(it item, want string) {
	d.errorf(it.pos, "%q must be %s, got %s", it.key, want, it.v.Kind)
}

func (d *decoder) integer(it item, lo, hi int64) (int64, bool) {
	switch {
	case it.v.Kind != KindInt:
		d.wrongType(it, "an integer")
	case it.v.Int < lo && hi == math.MaxInt64:
		d.errorf(it.pos, "%q must not be below %d, got %d", it.key, lo, it.v.Int)
	case it.v.Int < lo || it.v.Int > hi:
		d.errorf(it.pos, "%q must be between %d and %d, got %d", it.key, lo, hi, it.v.Int)
	default:
		return it.v.Int, true
	}
	return 0, false
}

func setInt[T any](at func(*T) *int, lo, hi int64) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if n, ok := d.integer(it, lo, min(hi, math.MaxInt)); ok {
			*at(t) = int(n)
		}
	}
}

func setInt64[T any](at func(*T) *int64, lo, hi int64) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if n, ok := d.integer(it, lo, hi); ok {
			*at(t) = n
		}
	}
}

// setSize takes an integer or a string that ends in K, M, G or T.
func setSize[T any](at func(*T) *int64) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind != KindString {
			setInt64(at, -1, math.MaxInt64)(d, t, it)
			return
		}
		s := it.v.Str
		i := -1
		if s != "" {
			i = strings.IndexByte("KMGT", s[len(s)-1])
		}
		if i < 0 {
			d.errorf(it.pos, "%s sizes defined as strings must end in K, M, G, T", it.key)
			return
		}
		n, err := strconv.ParseInt(s[:len(s)-1], 10, 64)
		unit := int64(1) << (10 * (i + 1))
		if err != nil || n < 0 || n > math.MaxInt64/unit {
			d.errorf(it.pos, "%q is not a size for %q", s, it.key)
			return
		}
		*at(t) = n * unit
	}
}

func setBool[T any](at func(*T) *bool) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind != KindBool {
			d.wrongType(it, "a boolean")
			return
		}
		*at(t) = it.v.Bool
	}
}

func setString[T any](at func(*T) *string) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind != KindString {
			d.wrongType(it, "a string")
			return
		}
		*at(t) = it.v.Str
	}
}

// strings reads one string or a list of them.
func (d *decoder) strings(it item) ([]string, bool) {
	switch it.v.Kind {
	case KindString:
		return []string{it.v.Str}, true
	case KindList:
		out := make([]string, 0, len(it.v.List))
		for _, x := range it.v.List {
			if x.Kind != KindString {
				d.errorf(x.Pos, "%q must hold strings, got %s", it.key, x.Kind)
				return nil, false
			}
			out = append(out, x.Str)
		}
		return out, true
	}
	d.wrongType(it, "a string or a list of strings")
	return nil, false
}

func setSubjects[T any](at func(*T) *[]string) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if l, ok := d.strings(it); ok {
			*at(t) = l
		}
	}
}

// duration reads "2m" or, with a warning, seconds.
func (d *decoder) duration(it item) (time.Duration, bool) {
	switch it.v.Kind {
	case KindString:
		dur, err := time.ParseDuration(it.v.Str)
		if err != nil {
			d.errorf(it.pos, "error parsing %s: %v", it.key, err)
			return 0, false
		}
		return d.notNegative(it, dur)
	case KindInt:
		if it.v.Int > math.MaxInt64/int64(time.Second) {
			d.errorf(it.pos, "error parsing %s: %d seconds are too long", it.key, it.v.Int)
			return 0, false
		}
		d.warnf(it, "%s should be converted to a duration", it.key)
		return d.notNegative(it, time.Duration(it.v.Int)*time.Second)
	}
	d.wrongType(it, `a duration such as "2m"`)
	return 0, false
}

func (d *decoder) notNegative(it item, dur time.Duration) (time.Duration, bool) {
	if dur < 0 {
		d.errorf(it.pos, "%q must not be negative, got %v", it.key, dur)
		return 0, false
	}
	return dur, true
}

func setDuration[T any](at func(*T) *time.Duration) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if dur, ok := d.duration(it); ok {
			*at(t) = dur
		}
	}
}

// setDurationString takes no bare number: there it would be ambiguous.
func setDurationString[T any](at func(*T) *time.Duration) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind != KindString {
			d.wrongType(it, `a duration such as "2m"`)
			return
		}
		setDuration(at)(d, t, it)
	}
}

// seconds reads a number of seconds or a duration.
func (d *decoder) seconds(it item) (time.Duration, bool) {
	switch it.v.Kind {
	case KindInt:
		return d.floatSeconds(it, float64(it.v.Int))
	case KindFloat:
		return d.floatSeconds(it, it.v.Float)
	case KindString:
		return d.duration(it)
	}
	d.wrongType(it, "a number of seconds or a duration")
	return 0, false
}

func (d *decoder) floatSeconds(it item, s float64) (time.Duration, bool) {
	if s < 0 || s > math.MaxInt64/float64(time.Second) {
		d.errorf(it.pos, "%q is out of range: %v seconds", it.key, s)
		return 0, false
	}
	dur := time.Duration(s * float64(time.Second))
	if dur > time.Minute {
		d.warnf(it, "timeout of %s (%f seconds) is high, consider keeping it under 60 seconds. possibly caused by unquoted duration; use '1m' instead of 1m, for example", strconv.FormatFloat(s, 'f', -1, 64), s)
	}
	return dur, true
}

func setSeconds[T any](at func(*T) *time.Duration) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if dur, ok := d.seconds(it); ok {
			*at(t) = dur
		}
	}
}

// setListen takes a port or "host:port".
func setListen[T any](host func(*T) *string, port func(*T) *int) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		switch it.v.Kind {
		case KindInt:
			setPort(port)(d, t, it)
		case KindString:
			h, p, err := net.SplitHostPort(it.v.Str)
			if err != nil {
				d.errorf(it.pos, "could not parse address string %q", it.v.Str)
				return
			}
			n, err := strconv.Atoi(p)
			if err != nil {
				d.errorf(it.pos, "could not parse port %q", p)
				return
			}
			if n < -1 || n > 65535 {
				d.errorf(it.pos, "port %d is not between -1 and 65535", n)
				return
			}
			*host(t), *port(t) = h, n
		default:
			d.errorf(it.pos, "expected port or host:port, got %s", it.v.Kind)
		}
	}
}

func setPort[T any](port func(*T) *int) func(*decoder, *T, item) {
	return setInt(port, -1, 65535)
}

// setAdvertise takes host or host:port.
func setAdvertise[T any](at func(*T) *string) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind != KindString {
			d.wrongType(it, "a string")
			return
		}
		if _, _, err := SplitAdvertise(it.v.Str, 0); err != nil {
			d.errorf(it.pos, "invalid %s value of %s, err=%v", it.key, it.v.Str, err)
			return
		}
		*at(t) = it.v.Str
	}
}

// setStrings takes a map of strings.
func setStrings(d *decoder, to *map[string]string, it item) {
	if it.v.Kind != KindMap {
		d.wrongType(it, "a map of strings")
		return
	}
	*to = make(map[string]string, len(it.v.Map.Entries))
	for _, e := range it.v.Map.Entries {
		if e.Value.Kind != KindString {
			d.errorf(e.Pos, "%q must be a string, got %s", e.Key, e.Value.Kind)
			continue
		}
		(*to)[e.Key] = e.Value.Str
	}
}

// SplitAdvertise reads an advertised "host" or "host:port"; without a port
// it is the given one.
func SplitAdvertise(s string, port int) (string, int, error) {
	h, p, err := net.SplitHostPort(s)
	if e, ok := err.(*net.AddrError); ok && e.Err == "missing port in address" {
		return strings.Trim(s, "[]"), port, nil
	}
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.Atoi(p)
	if err != nil || n < -1 || n > 65535 {
		return "", 0, fmt.Errorf("invalid port %q", p)
	}
	if n <= 0 {
		n = port
	}
	return h, n, nil
}

// mapsOf decodes a list of maps, each of which begins as fresh. wrong is told of what
// is none, and check looks at those that have no error in them.
func mapsOf[T any](d *decoder, it item, wrong string, t *block[T], fresh T, check func(x *T, it item)) (list []T) {
	d.items(it, func(_ int, it item) {
		if it.v.Kind != KindMap {
			d.errorf(it.pos, wrong, it.v.Kind)
			return
		}
		x := fresh
		before := len(d.errs)
		if t.decode(d, &x, it.path, it.v.Map); len(d.errs) == before {
			check(&x, it)
		}
		list = append(list, x)
	})
	return list
}

// items walks over a list.
func (d *decoder) items(it item, f func(i int, it item)) {
	list := it.v.List
	if it.v.Kind != KindList {
		d.errorf(it.pos, "Expected %s field to be an array, got %s", it.key, it.v.Kind)
		return
	}
	for i, x := range list {
		path := it.path + "[" + strconv.Itoa(i) + "]"
		d.positions[path] = x.Pos
		f(i, item{key: it.key, name: it.name, path: path, pos: x.Pos, v: x})
	}
}
