//go:build !unix

package transport

// Descriptors is how many files and sockets this process may open; 0 when the
// system does not say.
func Descriptors() uint64 { return 0 }
