//go:build !lite

package mqtt

// several: there may be ports beside that of the block.
const several = true
