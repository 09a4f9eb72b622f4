//go:build !lite

package core

// WaitForSystem returns when the goroutines of the system account have ended.
func (s *Server) WaitForSystem() { s.system.wg.Wait() }
