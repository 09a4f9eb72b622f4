package jetstream

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/testkit"
)

// TestLaw plays the files of testdata/law: stories as those of TestStory, on a disk
// that is damaged while the server is down. Files are named from the folder of
// JetStream; message N is text(N).
//
//	> start, > stop, > kill                  the first start is done
//	> put STREAM SUBJECT FROM TO [and STREAM SUBJECT]  the messages of these numbers, both
//	                                       among them; to the other stream too, in turn
//	> flip FILES TEXT                        one bit where TEXT stands in one of them
//	> remove PATH, > empty PATH, > garbage PATH
//	> check STREAM [LEAST MOST]              the law, see box.check, and how many messages are lost
//	> goes-on STREAM SUBJECT [CONSUMER]      a new message is taken, and delivered
//	> told                                   what is in the register of damage
//	> acknowledge                            all of it
func TestLaw(t *testing.T) {
	testkit.Stories(t, "testdata/law/*.txt", func(t *testing.T, s testkit.Story) {
		r := &storyRig{t: t, inboxes: make(map[string]*storyInbox), x: newBox(t)}
		r.start()
		s.Play(t, *rewrite, r.answers)
	})
}

func (r *storyRig) start() {
	r.t.Helper()
	r.x.start()
	r.e, r.b = r.x.e, r.x.b
}

// lawCommand reports whether there is such a command.
func (r *storyRig) lawCommand(verb, first, tail string) bool {
	r.t.Helper()
	if r.x == nil {
		return false
	}
	switch verb {
	case "start":
		r.start()
	case "stop":
		r.x.stop()
	case "kill":
		r.x.kill()
	case "put":
		r.put(first, tail)
	case "flip":
		r.x.flipAt(first, tail)
	case "remove", "empty", "garbage":
		r.spoil(verb, first)
	case "check":
		r.check(first, tail)
	case "goes-on":
		subject, consumer, _ := strings.Cut(tail, " ")
		r.x.goesOn(first, subject, consumer)
	case "told":
		for _, d := range r.e.Damage(true) {
			r.sayf("%s", r.toldDamage(&d))
		}
	case "acknowledge":
		if err := r.e.AckDamage(0); err != nil {
			r.t.Fatal(err)
		}
	default:
		return false
	}
	return true
}

func (r *storyRig) put(stream, rest string) {
	r.t.Helper()
	var subject string
	var from, to int
	first, second, _ := strings.Cut(rest, " and ")
	if _, err := fmt.Sscan(first, &subject, &from, &to); err != nil {
		r.t.Fatalf("put %s %s: %v", stream, rest, err)
	}
	ways := [][2]string{{stream, subject}}
	if stream, subject, both := strings.Cut(second, " "); both {
		ways = append(ways, [2]string{stream, subject})
	}
	for i := from; i <= to; i++ {
		for _, way := range ways {
			if a := r.x.put(way[0], way[1], text(i)); a.Error != nil {
				r.sayf("%d %d %s", a.Error.Code, a.Error.ErrCode, a.Error.Description)
			}
		}
	}
}

func (r *storyRig) spoil(how, path string) {
	r.t.Helper()
	path = r.x.path(path)
	err := os.RemoveAll(path)
	switch how {
	case "empty":
		err = os.WriteFile(path, nil, 0o600)
	case "garbage":
		err = os.WriteFile(path, bytes.Repeat([]byte("garbage "), 4000), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *storyRig) check(stream, bounds string) {
	r.t.Helper()
	lost := r.x.check(stream)
	if bounds == "" {
		r.sayf("%d lost", lost)
		return
	}
	var least, most int
	if _, err := fmt.Sscan(bounds, &least, &most); err != nil {
		r.t.Fatalf("check %s %s: %v", stream, bounds, err)
	}
	if lost < least || lost > most {
		r.sayf("%d lost", lost)
	}
}

// toldDamage is an entry of the register without its words, which have numbers of
// operations and pages in them.
func (r *storyRig) toldDamage(d *Damage) string {
	s := string(d.Kind)
	if d.Stream != "" {
		s += " of " + d.Stream
	}
	if d.Where != "" {
		where := d.Where
		if rel, err := filepath.Rel(r.x.dir, where); err == nil && filepath.IsAbs(where) {
			where = rel
		}
		s += " in " + where
	}
	if d.Times != 1 {
		s += fmt.Sprintf(", %d times", d.Times)
	}
	if d.Acked {
		s += ", acknowledged"
	}
	if d.What == "" || d.Do == "" {
		s += ", without a word"
	}
	return s
}
