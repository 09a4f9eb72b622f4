package jetstream

import (
	"errors"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// TestRowKeys_damaged: a number in the name of a row that is none is damage, not
// the number zero.
func TestRowKeys_damaged(t *testing.T) {
	if inc, row, err := readConsumerRow(consumerRows(0xbeef)+"orders/new", []byte{7, 8, 0xc4, 0}); err != nil || inc != 0xbeef || row.name != "orders/new" || row.id != 7 || row.created != 8 {
		t.Fatalf("a good row: %x %+v %v", inc, row, err)
	}
	for _, hex := range []string{"", "g", "-1", "+1", "0x1", "1_0", " 1", "10000000000000000"} {
		if _, _, err := readConsumerRow(rowConsumer+hex+"/c", []byte{7, 8, 0xc4, 0}); !errors.Is(err, edgestore.ErrCorrupt) {
			t.Errorf("consumer row of %q: %v", hex, err)
		}
		if err := new(dedup).load(auxIDRow+hex, []byte{0}); !errors.Is(err, edgestore.ErrCorrupt) {
			t.Errorf("row of ids %q: %v", hex, err)
		}
	}
	if _, _, err := readConsumerRow(rowConsumer+"1", []byte{7, 8, 0xc4, 0}); !errors.Is(err, edgestore.ErrCorrupt) {
		t.Errorf("consumer row without a name: %v", err)
	}
	if err := new(dedup).load("1", []byte{0}); !errors.Is(err, edgestore.ErrCorrupt) {
		t.Errorf("row of ids without its prefix: %v", err)
	}
}
