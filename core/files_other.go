//go:build !unix

package core

func descriptors() uint64 { return 0 }
