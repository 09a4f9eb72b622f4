// Package emulated runs frond on machines that nobody here has: a build for
// ARMv6, and for the two byte orders of MIPS, under qemu's user mode.
//
// What for: 32 bits, the other byte order and the old instruction sets, in `make
// test` by one round of a server, in soak by the tests of the log, the stores and
// the engine. What not: times and memory; those of an emulator say nothing.
// Where to start: emulated_test.go.
package emulated
