package core

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/frondmq/frond/core/config"
)

// upkeep looks after what a start may have found no room for, and what somebody
// may have taken away since: the control socket, and the limit of streams that
// nobody configured. Its goroutine ends with close.
type upkeep struct {
	st   *store
	stop chan struct{}
	done sync.WaitGroup
}

const upkeepEvery = 5 * time.Second // a look at the disk costs little

func (st *store) beginUpkeep(every time.Duration) {
	u := &upkeep{st: st, stop: make(chan struct{})}
	st.upkeep = u
	u.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-u.stop:
				return
			case <-tick.C:
				st.control.tend()
				st.takeLimit(u.stop)
			}
		}
	})
}

func (u *upkeep) close() {
	close(u.stop)
	u.done.Wait()
}

// roomLimit is the limit of streams in files where nobody configured one. It is a
// share of the disk, and what the disk has for streams is known from what is free:
// what something else had filled at the start is no part of it until it is free
// again.
type roomLimit struct {
	of     config.JetStream
	free   func(dir string) int64
	lowest int64 // free since the limit was taken
}

// takeLimit takes the limit anew when the disk has got room since it was taken. It
// only grows: what others fill is the guard's concern.
func (st *store) takeLimit(stop <-chan struct{}) {
	r, was := st.room, st.maxStore.Load()
	if r == nil {
		return // configured
	}
	free := r.free(st.dir)
	r.lowest = min(r.lowest, free)
	little := was / 16
	if free-r.lowest <= little {
		return // to count files takes long where there are many
	}
	r.lowest = free
	limit := shareDisk(usableDisk(free+folderBytes(st.dir, stop), &r.of)).streams
	if limit <= was+little {
		return
	}
	st.maxStore.Store(limit)
	st.engine.LimitStore(limit)
	st.log.Info("The disk has got room since the start: max_file, which is not configured, is taken anew", "was", was, "max_file", limit)
}

// folderBytes is what the files below dir take. It ends early, with less, when stop
// is closed.
func folderBytes(dir string, stop <-chan struct{}) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		select {
		case <-stop:
			return fs.SkipAll
		default:
		}
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil // what can not be read is not counted
	})
	return n
}
