// Package jsclienttest is the contract of jsclient as tests: one suite that runs
// against the engine of the same process, and through a leaf link with a domain
// against a frond and a nats-server. It is no promise to other programs: it changes
// without notice.
//
// Start with Run.
package jsclienttest
