package core

import "testing"

// The limit of streams is reached before the disk is full: it, and a fifth more
// for what stores put around messages, fit beside the journal.
func TestShareDisk_leavesTheJournalItsShare(t *testing.T) {
	for _, mb := range []int64{16, 64, 400, 8 << 10, 1 << 20} {
		total := mb << 20
		d := shareDisk(total)
		journal := 2*d.drain + 6*d.segment
		if d.streams <= 0 || d.streams+d.streams/5+journal > total {
			t.Errorf("%d MB: streams get %d, the journal may take %d", mb, d.streams, journal)
		}
		if d.segment < 1<<20 || d.segment%(1<<20) != 0 || d.drain < d.segment || d.file < 4<<20 {
			t.Errorf("%d MB: %+v", mb, d)
		}
	}
}
