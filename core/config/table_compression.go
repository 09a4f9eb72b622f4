package config

import (
	"strings"
	"time"
)

func compressionTable() *block[Compression] {
	type c = Compression
	return &block[c]{
		unknown: unknownField,
		fields: []field[c]{
			row(Live, "mode", "mode", "s2_auto", "as compression without a map", "s2_fast", setCompressionMode),
			row(Live, "rtt_thresholds thresholds rtts rtt", "list of durations", "10ms, 50ms, 100ms", "round trips from which s2_auto compresses fast, better and best", "[10ms, 20ms]", setThresholds),
		},
	}
}

// setCompression takes a switch, a mode or a map.
func setCompression[T any](at func(*T) *Compression) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		c := DefaultLeafCompression()
		switch it.v.Kind {
		case KindBool, KindString:
			setCompressionMode(d, &c, it)
		case KindMap:
			compressionTable().decode(d, &c, it.path, it.v.Map)
		default:
			d.wrongType(it, "a boolean, a mode or a map")
			return
		}
		if c.Mode != CompressAuto {
			c.Thresholds = nil
		}
		*at(t) = c
	}
}

func setCompressionMode(d *decoder, c *Compression, it item) {
	mode := strings.ToLower(it.v.Str)
	switch {
	case it.v.Kind == KindBool && it.v.Bool:
		mode = "on"
	case it.v.Kind == KindBool:
		mode = "off"
	case it.v.Kind != KindString:
		d.wrongType(it, "a mode")
		return
	}
	switch mode {
	case "off", "disabled", "false":
		c.Mode = CompressOff
	case "accept":
		c.Mode = CompressAccept
	case "on", "enabled", "true", "s2_auto", "auto":
		c.Mode = CompressAuto
	case "s2_fast", "fast":
		c.Mode = CompressFast
	case "s2_better", "better":
		c.Mode = CompressBetter
	case "s2_best", "best":
		c.Mode = CompressBest
	case "not_supported", "not supported":
		c.Mode = CompressNotSupported
	default:
		d.errorf(it.pos, "unsupported compression mode %q", it.v.Str)
	}
}

func setThresholds(d *decoder, c *Compression, it item) {
	texts, ok := d.strings(it)
	if !ok {
		return
	}
	var steps []time.Duration
	var last time.Duration
	nonZero := false
	for _, s := range texts {
		dur, err := time.ParseDuration(s)
		switch {
		case err != nil:
			d.errorf(it.pos, "error parsing %s: %v", it.key, err)
			return
		case dur < 0 || dur != 0 && dur <= last:
			d.errorf(it.pos, "RTT threshold values %q should be in ascending order", texts)
			return
		}
		if dur != 0 {
			last, nonZero = dur, true
		}
		steps = append(steps, dur)
	}
	switch {
	case len(steps) > 4:
		d.errorf(it.pos, "compression mode %q should have no more than 4 RTT thresholds", CompressAuto)
	case !nonZero:
		d.errorf(it.pos, "compression mode %q requires at least one RTT threshold", CompressAuto)
	default:
		c.Thresholds = steps
	}
}
