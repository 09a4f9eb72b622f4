// Package powercut is a disk for tests of modules that cut the power: streams of an
// account lie on it. It is no promise to other programs: it changes without notice.
package powercut
