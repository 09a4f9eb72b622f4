package config

import (
	"math"
	"strings"
	"time"
)

func jetStreamTable() *block[JetStream] {
	type j = JetStream
	const clusterOnly = "it only matters in a cluster"
	return &block[j]{
		unknown: unknownField,
		fields: []field[j]{
			row(Restart, "enable enabled", "boolean", "true within a block", "", "false", setBool(func(j *j) *bool { return &j.Enabled })),
			row(Restart, "store_dir store storedir", "path", "a folder under the temporary one", "where streams are kept", "/data", setString(func(j *j) *string { return &j.StoreDir })),
			row(Restart, "max_memory_store max_mem_store max_mem", "size", "decided from the machine's memory", "for streams in memory", "64MB", setSize(func(j *j) *int64 { return &j.MaxMemory })),
			row(Restart, "max_file_store max_file", "size", "decided from the free disk", "for streams on disk", "1GB", setSize(func(j *j) *int64 { return &j.MaxStore })),
			row(Restart, "domain", "name", "", "JetStream domain of this server", "edge", setDomain(func(j *j) *string { return &j.Domain })),
			row(Restart, "strict", "boolean", "true", "refuse unknown fields in API requests", "false", setBool(func(j *j) *bool { return &j.Strict })),
			row(Restart, "sync_interval sync", "always or duration", "always", "always: nothing is acknowledged before it is on the disk; a duration gives up that promise and writes out that often", "10s", setSync),
			own(row(Restart, "commit_interval", "duration", "0s", "let a commit wait so that more messages share one write: less wear, more latency", "20ms", setDuration(func(j *j) *time.Duration { return &j.CommitInterval }))),
			own(row(Restart, "max_disk", "size", "0", "for all files together, as they are on the disk, journal and message ids too; at least 16MB, 0 does not bound", "2GB", setMaxDisk)),
			own(row(Restart, "disk_reserve", "size", "0", "of the disk that is left alone; what makes room has a reserve of its own beside it", "500MB", setSize(func(j *j) *int64 { return &j.DiskReserve }))),
			row(Restart, "limits", "map", "", "bounds of single streams and consumers", "{max_ack_pending: 10}", func(d *decoder, j *j, it item) { jetStreamLimitsTable().decodeMap(d, &j.Limits, it) }),
			notYet[j]("encryption_key key ek", "encryption at rest", ""),
			notYet[j]("prev_encryption_key prev_key prev_ek", "encryption at rest", ""),
			notYet[j]("cipher", "encryption at rest", ""),
			notYet[j]("tpm", "encryption at rest", ""),
			notYet[j]("extension_hint", "extending a domain over leaf links", ""),
			without[j]("unique_tag", clusterOnly),
			without[j]("max_outstanding_catchup", clusterOnly),
			without[j]("meta_compact", clusterOnly),
			without[j]("meta_compact_size", clusterOnly),
			without[j]("meta_compact_sync", clusterOnly),
			without[j]("request_queue_limit", "API requests are not queued apart"),
			without[j]("info_queue_limit", "API requests are not queued apart"),
			without[j]("max_buffered_msgs", "what waits to be stored is not counted by stream: one small bound in bytes holds for all"),
			without[j]("max_buffered_size", "what waits to be stored is not counted by stream: one small bound in bytes holds for all"),
			without[j]("max_concurrent_io", "one thread writes, for all streams"),
		},
	}
}

func jetStreamLimitsTable() *block[JetStreamLimits] {
	type l = JetStreamLimits
	return &block[l]{
		unknown: unknownField,
		fields: []field[l]{
			row(Restart, "max_ack_pending", "integer", "0", "of one consumer; 0 does not bound", "10", setInt(func(l *l) *int { return &l.MaxAckPending }, 0, math.MaxInt32)),
			row(Restart, "max_request_batch", "integer", "0", "of one pull; 0 does not bound", "10", setInt(func(l *l) *int { return &l.MaxRequestBatch }, 0, math.MaxInt32)),
			row(Restart, "duplicate_window", "duration", "0s", "the longest of a stream; 0 does not bound", `"1m"`, setDurationString(func(l *l) *time.Duration { return &l.DuplicateWindow })),
			row(Restart, "default_max_consumers", "integer", "1000", "consumers of a stream that says nothing; -1 is unlimited", "10", setInt(func(l *l) *int { return &l.DefaultMaxConsumers }, -1, math.MaxInt32)),
			without[l]("max_ha_assets", "it only matters in a cluster"),
			without[l]("batch", "this version has no batch publishing"),
		},
	}
}

// setJetStream takes a switch or a map, which switches it on unless it says
// otherwise.
func setJetStream(d *decoder, o *Options, it item) {
	j := &o.JetStream
	switch it.v.Kind {
	case KindBool:
		j.Enabled = it.v.Bool
	case KindString:
		switch strings.ToLower(it.v.Str) {
		case "enabled", "enable":
			j.Enabled = true
		case "disabled", "disable":
			j.Enabled = false
		default:
			d.errorf(it.pos, "Expected 'enabled' or 'disabled' for string value, got '%s'", it.v.Str)
		}
	case KindMap:
		before := j.StoreDir
		j.StoreDir, j.Enabled = "", true
		jetStreamTable().decode(d, j, it.path, it.v.Map)
		switch {
		case j.StoreDir == "":
			j.StoreDir = before
		case before != "":
			d.errorf(d.positions[it.path+".store_dir"], "Duplicate 'store_dir' configuration")
		}
	default:
		d.errorf(it.pos, "Expected map, bool or string to define JetStream, got %s", it.v.Kind)
	}
}

func setStoreDir(d *decoder, o *Options, it item) {
	if o.JetStream.StoreDir != "" {
		d.errorf(it.pos, "Duplicate 'store_dir' configuration")
		return
	}
	setString(func(o *Options) *string { return &o.JetStream.StoreDir })(d, o, it)
}

// setSync reads the guarantee of acknowledgements. "always" is also what
// nothing said means.
func setSync(d *decoder, j *JetStream, it item) {
	if it.v.Kind == KindString && strings.EqualFold(it.v.Str, "always") {
		j.SyncInterval = 0
		return
	}
	dur, ok := d.duration(it)
	if !ok {
		return
	}
	if dur == 0 {
		d.errorf(it.pos, "%s must be 'always' or a duration above 0", it.key)
		return
	}
	j.SyncInterval = dur
}

// minDisk is what the files of the journal need, and some room for streams.
const minDisk = 16 << 20

func setMaxDisk(d *decoder, j *JetStream, it item) {
	setSize(func(j *JetStream) *int64 { return &j.MaxDisk })(d, j, it)
	if j.MaxDisk != 0 && j.MaxDisk < minDisk {
		d.errorf(it.pos, "%s must be 0 or at least %d bytes", it.key, minDisk)
	}
}

func setDomain[T any](at func(*T) *string) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind == KindString && !validDomain(it.v.Str) {
			d.errorf(it.pos, domainProblem, it.v.Str)
			return
		}
		setString(at)(d, t, it)
	}
}

const domainProblem = "invalid domain name %q: may not contain ., *, > or blanks"

func validDomain(s string) bool { return !strings.ContainsAny(s, ".*> \t\r\n") }
