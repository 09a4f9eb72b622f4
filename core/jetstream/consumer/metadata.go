package consumer

import (
	"maps"
	"strconv"
	"strings"
)

// Keys of metadata, of streams and of consumers, that servers write. Only the
// required level is stored; the other two describe whoever answers.
const (
	MetaRequiredLevel = "_nats.req.level"
	MetaServerLevel   = "_nats.level"
	MetaServerVersion = "_nats.ver"
	metaPrefix        = "_nats."
)

// StampLevel is metadata as it is stored of what requires a level of the API:
// with that, and without what only answers carry.
func StampLevel(metadata map[string]string, level int) map[string]string {
	m := make(map[string]string, len(metadata)+1)
	for k, v := range metadata {
		if k != MetaServerLevel && k != MetaServerVersion {
			m[k] = v
		}
	}
	m[MetaRequiredLevel] = strconv.Itoa(level)
	return m
}

// DropServerKeys takes out of metadata what servers write.
func DropServerKeys(metadata map[string]string) {
	maps.DeleteFunc(metadata, func(k, _ string) bool { return strings.HasPrefix(k, metaPrefix) })
}
