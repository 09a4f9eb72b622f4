// Package vfs is the little that the journal asks of a file system, with three
// implementations: OS (the real one), Mem (in memory, can be cloned as it might
// look after a power cut or is after the process died) and Faults (wraps
// another one and makes calls fail or writes them down). It is no promise to
// other programs: it changes without notice.
//
// What can go wrong, and how a test makes it go wrong:
//
//	the power goes                      Mem.Crash: of what was not synced, some sectors are there
//	the process dies                    Mem.Kill: everything written is there, and a power cut may still follow
//	a bit flips                         Mem.Flip
//	a page or a file is zeros           Mem.ZeroPage, Mem.Corrupt
//	a file is cut, or gone              Mem.Truncate, Mem.Drop
//	the folder is removed while in use  Mem.RemoveAll
//	a call fails, once or for good      Faults with FailNth(op, pattern, n, 1 or ForGood, err)
//	a sync fails                        the same; as on Linux the next one does not make it good
//	the disk is full                    Mem.SetCapacity
//
// Damage (Flip to Drop) takes what is in memory and what is on disk, so that it
// can be done before or after a crash.
//
// It is no general file system: there are no permissions, no links, no
// appending; the chunk store does not use it, because bbolt maps real files.
//
// Where to start reading: FS and File in fs.go; Mem.Crash for what a power cut
// may leave, Mem.Kill for what the death of the process does.
package vfs
