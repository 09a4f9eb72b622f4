//go:build invariants

package journal

const invariants = true
