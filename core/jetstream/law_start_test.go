package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a start makes of folders, rows and operations that a crash has left
// between the journal, the files of a stream and the catalogue.

// flushOnly brings a stream into its files, as a drain does that ends before the
// catalogue.
func (x *box) flushOnly(stream string) {
	x.t.Helper()
	s := x.e.account("A").stream(stream)
	s.seal()
	if err := s.store.Flush(); err != nil {
		x.t.Fatal(err)
	}
}

// What the operations of a stream were decided by is lost with its files, and the
// journal has a hole, so that it is not believed to have all: when five messages came
// that nobody wanted there was no consumer, and now the catalogue brings one. What
// was accepted behind them is not refused for them.
func TestLaw_decidedWithoutTheConsumersOfNow(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] retention=interest max_msgs=5 discard=new")
	for i := range 5 {
		x.b.publish(t, "s", "unwanted "+text(i))
	}
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	for i := range 5 {
		x.put("S", "s", text(i))
	}
	if a := x.put("S", "s", "one too many"); a.Error == nil {
		t.Fatalf("it was accepted: %+v", a)
	}
	x.b.call(t, "STREAM.PURGE.S", "filter=nothing.like.this", nil)
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.kill()
	x.flipAt("journal/*.seg", "nothing.like.this")
	names, err := filepath.Glob(x.path("streams", "*", "*.chunks"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := os.WriteFile(names[0], bytes.Repeat([]byte("garbage "), 9000), 0o600); err != nil {
		t.Fatal(err)
	}
	x.start()
	if lost := x.check("S"); lost != 0 {
		t.Errorf("%d are lost that the journal has", lost)
	}
	if d := x.toldKind(DamageAside); d == nil || d.Where != x.path("quarantine", filepath.Base(filepath.Dir(names[0]))+"-1") {
		t.Errorf("told: %+v", x.e.Damage(true))
	}
}

// rollJournal fills segments of the journal by the stream OTHER, until those of now
// are used again: what was only released is there at the next start.
func (x *box) rollJournal() {
	x.t.Helper()
	for was := x.segments()[0]; x.segments()[0] == was; {
		for range 35 { // a segment
			x.put("OTHER", "other", strings.Repeat("x", 8000))
		}
		x.drain()
	}
}

// segments are the files of the journal, oldest first.
func (x *box) segments() []string {
	x.t.Helper()
	names, err := filepath.Glob(x.path("journal", "*.seg"))
	if err != nil || len(names) == 0 {
		x.t.Fatalf("segments %q, %v", names, err)
	}
	return names
}

// A deletion that only the journal has: the folder of the stream is not put aside
// as that of a stream which nobody knows, and goes with the next drain.
func TestRecovery_deletionInTheJournalOnly(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	x.put("S", "s", "one")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	folder := x.e.account("A").stream("S").incarnation
	x.b.call(t, "STREAM.DELETE.S", "", nil)
	x.kill()
	if _, err := os.Stat(x.path("streams", fmt.Sprint(folder))); err != nil {
		t.Fatal(err)
	}
	x.start()
	if d := x.e.Damage(true); len(d) != 0 {
		t.Errorf("told: %+v", d)
	}
	if _, err := os.Stat(x.path(quarantineFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was put aside: %v", err)
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(x.path("streams", fmt.Sprint(folder))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
}

// A deletion whose files went before a crash, and the row that says so did not, is
// no deletion to finish for ever.
func TestRecovery_deletionWithoutFiles(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	x.put("S", "s", "one")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.b.call(t, "STREAM.DELETE.S", "", nil)
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if rows := x.e.table.Names(rowGone); len(rows) != 1 {
		t.Fatalf("rows %q", rows)
	}
	x.kill()
	x.start()
	mustStream(t, x.b, "name=T subjects=[t]")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if rows := x.e.table.Names(rowGone); len(rows) != 0 {
		t.Errorf("the catalogue still says that files are to go: %q", rows)
	}
}

// A stream that was created just before a crash has its files, and no row in the
// catalogue yet: the journal says that it should be there, so that is no damage.
func TestRecovery_filesBeforeTheRow(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	x.put("S", "s", "one")
	x.flushOnly("S")
	x.kill()
	x.start()
	x.check("S")
	if d := x.e.Damage(true); len(d) != 0 {
		t.Errorf("told: %+v", d)
	}
	x.goesOn("S", "s", "c")
}

// The same where the files do not say any more whose they are: the catalogue gets
// the consumers that they have.
func TestRecovery_filesWithoutTheirIdentity(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `name=S subjects=[s] description="(the identity)"`)
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	x.put("S", "s", "one")
	x.flushOnly("S")
	inc := x.e.account("A").stream("S").incarnation
	x.kill()
	for range 2 { // beside the configuration
		x.flipAt("streams/*/*.chunks", "(the identity)")
	}
	x.start()
	x.check("S")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if rows := x.e.table.Names(consumerRows(inc)); !slices.Equal(rows, []string{consumerRows(inc) + "c"}) {
		t.Errorf("the catalogue has the consumers %q", rows)
	}
	x.goesOn("S", "s", "c")
}

// A clock step that the catalogue has and the journal has lost stays: the one
// before it, which the journal still has, does not take its place, and what is
// shown of the messages behind it does not change.
func TestLaw_clockStepInTheCatalogueOnly(t *testing.T) {
	x, c := newBox(t), newTestMachine(in2026)
	x.change = c.configure
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	times := func() (all []string) {
		for seq := range uint64(3) {
			all = append(all, x.b.msg(t, "S", seq+1).Message.Time)
		}
		return all
	}
	x.put("S", "s", text(0))
	for i := range 2 {
		c.forward(time.Minute)
		c.set(time.Hour)
		x.e.checkClock()
		if err := x.e.journal.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		c.forward(time.Minute)
		x.put("S", "s", text(i+1)) // so it is applied
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	want := times()
	x.e.mu.RLock()
	second := x.e.mu.cat.clock
	x.e.mu.RUnlock()
	if second.last() != int64(2*time.Hour) {
		t.Fatalf("applied is %+v", second)
	}
	x.kill()
	for range 2 { // both copies
		x.flipAt("journal/*.seg", string(second.append(nil)))
	}
	c.reboot(time.Minute) // else the clocks of the machine would still tell
	x.start()
	if got := times(); !slices.Equal(got, want) {
		t.Errorf("the messages are shown as of %v, before as of %v", got, want)
	}
	x.check("S")
}
