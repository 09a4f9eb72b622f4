//go:build lite

package core

// In the lite build nobody asks another account.
type askInfo struct{}

func (*client) requestInfo(bool) string { return "" }
