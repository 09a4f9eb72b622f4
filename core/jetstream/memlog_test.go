package jetstream

import (
	"errors"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// What waits is bounded by what it takes, which is more than its data.
func TestMemoryLog_boundsSmallEntries(t *testing.T) {
	block, entered := make(chan struct{}), make(chan struct{}, 1)
	l := newMemoryLog(100*entryBytes, func([]edgestore.Entry) {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-block
	})
	l.start()
	add := func() error {
		_, err := l.Append(&edgestore.Record{}, nil, nil, []byte("x"))
		return err
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	<-entered
	n := 0
	var err error
	for err == nil && n < 1000 {
		if err = add(); err == nil {
			n++
		}
	}
	if !errors.Is(err, edgestore.ErrBusy) || n > 101 {
		t.Errorf("%d entries, then %v", n, err)
	}
	close(block)
	l.close()
}
