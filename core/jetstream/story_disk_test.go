package jetstream

import "strconv"

// Commands of stories about what is on the disk:
//
//	> disk SEED       the first of the story: the engine has a disk, see device
//	> crash [PART]    the power is cut, and PART of what was not synced is kept
//	> restart         a clean stop and a start
//	> drain           what was applied is brought into the stores
//	> leave           pull requests end, since the server goes

// begin makes the engine with the first command. It reports whether that was all.
func (r *storyRig) begin(verb, rest string) bool {
	r.t.Helper()
	if r.e != nil {
		return false
	}
	if verb != "disk" {
		r.e, r.b = newTestEngine(r.t)
		return false
	}
	seed, err := strconv.ParseUint(rest, 10, 64)
	if err != nil {
		r.t.Fatalf("disk %s: %v", rest, err)
	}
	r.d = newDevice(r.t, seed)
	r.e, r.b = r.d.open()
	return true
}

// end stops an engine with a disk.
func (r *storyRig) end() {
	r.t.Helper()
	if r.d == nil {
		return
	}
	if err := r.e.Close(); err != nil {
		r.t.Error(err)
	}
}

// diskCommand reports whether there is such a command.
func (r *storyRig) diskCommand(verb, rest string) bool {
	r.t.Helper()
	switch verb {
	case "crash", "restart", "drain":
		if r.d == nil && (r.x == nil || verb != "drain") {
			r.t.Fatalf("%s: the story has no disk", verb)
		}
	}
	switch verb {
	case "crash":
		part, _ := strconv.ParseFloat(rest, 64) // none is 0
		r.d.crash(r.e, part)
		r.e, r.b = r.d.open()
	case "restart":
		r.end()
		r.e, r.b = r.d.open()
	case "drain":
		if err := r.e.drain.drain(); err != nil {
			r.t.Fatal(err)
		}
	case "leave":
		r.e.EndRequests()
	default:
		return false
	}
	return true
}
