// Package cond has a condition variable for a sync.Mutex. It is no promise to
// other programs: it changes without notice.
//
// What for: goroutines that wait for what others do under a lock. What not:
// sync.Cond. Its lock is an interface, and where one program calls Lock through
// an interface, the linker keeps the Lock and Unlock of each struct that embeds a
// mutex: 45 KB of the lite build on ARM. Where to start: Var.
package cond
