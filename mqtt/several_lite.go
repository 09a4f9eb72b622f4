//go:build lite

package mqtt

// several is false where the code of more ports would not fit in. The compiler leaves
// out what stands behind a look at it.
const several = false
