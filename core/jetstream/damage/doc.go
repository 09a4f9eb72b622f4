// Package damage is what went wrong with what is stored, as an operator reads it
// and as the catalogue keeps it: entries that stay until they are acknowledged. It
// is no promise to other programs: it changes without notice.
//
// It is the register only. What counts as damage, and who is told of it, is
// decided where it is found.
//
// Where to start reading: Entry, and Register.Add.
package damage
