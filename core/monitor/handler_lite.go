//go:build lite

package monitor

var fullPages [][2]string

// full answers with what is missing: those pages are of the other builds.
func (h *Handler) full(p string, _ *query) (Answered, bool) {
	switch p {
	case "/routez", "/gatewayz", "/subsz", "/subscriptionsz", "/accountz", "/accstatz", "/jsz", "/ipqueuesz", "/raftz", "/stacksz", "/debug/vars":
		return text(404, "404 "+p+" is not in the lite build of frond; the edge build has it\n"), true
	}
	return Answered{}, false
}
