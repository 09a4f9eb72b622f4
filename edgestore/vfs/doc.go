// Package vfs is the little that the journal asks of a file system, with three
// implementations: OS (the real one), Mem (in memory, can be cloned as it
// might look after a power cut or is after the process died) and Faults (wraps another one and makes calls
// fail or writes them down).
//
// It is no general file system: there are no permissions, no links, no
// appending; the chunk store does not use it, because bbolt maps real files.
//
// Where to start reading: FS and File in fs.go; Mem.Crash for what a power cut
// may leave, Mem.Kill for what the death of the process does.
package vfs
