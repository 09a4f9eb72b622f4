// Package journal makes records durable: one append-only log in a folder of
// preallocated segment files, with group commit. It is no promise to other
// programs: it changes without notice.
//
// It knows LSNs, times and bytes. It does not know streams or messages, does
// not decide what a record means and does not log: what an operator should
// hear goes to Options.Events or comes back from Open.
//
// # The two laws
//
//  1. An entry is handed to apply only after its bytes are durable (unless
//     Options.SyncInterval gave that up). So whatever a client was told can be
//     read after a power cut.
//  2. Entries reach apply in the order of their LSNs, each exactly once in a
//     life of the process; Replay gives the same order after a restart.
//
// An entry that was durable is never missing in silence: Replay tells the
// holes, and each record says its place in its stream (edgestore.Chain).
//
// # The way of a record
//
// Append copies the record into the open group, a buffer laid out exactly as
// it will stand on disk (group.go). Kick wakes the committer (committer.go),
// which takes the group, fills in the checksums for the segment it goes to,
// writes it with one call and syncs it, while the next group fills. The applier
// (applier.go) takes synced groups and calls apply, while the next one is being
// synced. The keeper (keeper.go) prepares segments ahead of need, so that a
// commit never waits for a folder or for blocks to be allocated.
//
// Where to start reading: FORMAT.md for what stands on disk, journal.go for
// the calls, committer.go for what happens when the disk says no, recover.go
// for what a start believes and what it does not.
package journal
