// Package asset is what a stream is told to be: its configuration, the form it
// has in JSON, its defaults, and the checks that a configuration and a change
// of one have to pass. It is no promise to other programs: it changes without
// notice.
//
// It is pure: no clock, no engine, nothing of what a stream holds. What depends
// on the other streams (overlapping subjects, loops, limits of an account) is
// checked by the engine. The same for consumers is package consumer.
//
// Where to start reading: StreamConfig, and StreamConfig.Check.
package asset
