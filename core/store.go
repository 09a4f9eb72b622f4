package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// store is JetStream of this server.
type store struct {
	engine    *jetstream.Engine
	dir       string
	log       *slog.Logger
	maxMemory int64
	maxStore  atomic.Int64
	control   *control
	room      *roomLimit // nil: maxStore is configured; of upkeep
	upkeep    *upkeep
}

// storeThere reports whether there is a store from before.
func (s *Server) storeThere() bool {
	dir, _ := s.storeDir()
	_, err := os.Stat(dir)
	return s.Options().JetStream.Enabled && err == nil
}

// storeDir is where the store is. temporary says that nobody chose it.
func (s *Server) storeDir() (dir string, temporary bool) {
	base := s.Options().JetStream.StoreDir
	if temporary = base == ""; temporary {
		base = filepath.Join(os.TempDir(), "frond")
	}
	return filepath.Join(base, storeFolder), temporary
}

// storeFolder is where streams are, inside the configured folder.
const storeFolder = "jetstream"

// Shares of what the machine has that streams may use when nothing is said.
const (
	dynamicMemory = 0.75
	dynamicStore  = 0.75
)

// CheckStore refuses a data folder that a start would refuse, as far as that can
// be known beside a server that runs on it and by somebody else than who starts
// it: one of a newer program, and one whose name leads through a file.
func CheckStore(o *config.Options) error {
	dir := o.JetStream.StoreDir
	if !o.JetStream.Enabled || dir == "" {
		return nil
	}
	for at := filepath.Join(dir, storeFolder); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return optionError(o, "jetstream.store_dir", fmt.Errorf("storage directory is not a directory: %s", at))
		}
		if err == nil || at == filepath.Dir(at) {
			break
		}
	}
	if err := jetstream.CheckFolder(filepath.Join(dir, storeFolder)); err != nil {
		return optionError(o, "jetstream.store_dir", err)
	}
	return nil
}

// What JetStream holds in memory at most where the process has a limit.
const (
	stagedBytes       = 8 << 20 // waits for the disk
	journalCacheBytes = 4 << 20 // was written last
	storeCacheBytes   = 1 << 20 // decoded, of each stream that is read
	allCacheBytes     = 32 << 20
)

// openStore opens JetStream if it is on.
func (s *Server) openStore() error {
	j := &s.Options().JetStream
	if !j.Enabled {
		return nil
	}
	dir, temporary := s.storeDir()
	if temporary {
		s.log.Warn("Temporary storage directory used, data could be lost on system reboot")
	}
	st := &store{dir: dir, log: s.log, maxMemory: j.MaxMemory}
	st.maxStore.Store(j.MaxStore)
	// Durably: what is acknowledged must not hang on a folder that a power cut
	// takes away.
	switch err := (vfs.OS{}).MkdirAll(st.dir); {
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("opening the store: storage directory is not a directory: %w", err)
	case err != nil:
		return fmt.Errorf("opening the store: %w", err)
	}
	if st.maxMemory < 0 {
		st.maxMemory = int64(float64(memoryTotal()) * dynamicMemory)
		if l := s.memory.limit; l > 0 {
			st.maxMemory = min(st.maxMemory, l/4)
		}
	}
	free := s.diskFree(st.dir)
	shares := shareDisk(usableDisk(free, j))
	if most := shareDisk(usableDisk(math.MaxInt64, j)); !shares.sameFiles(most) {
		// What is there already counts too. On a large disk that says nothing
		// else, and to look for it takes long.
		shares = shareDisk(usableDisk(free+folderBytes(st.dir, nil), j))
	}
	s.log.Info("Starting JetStream")
	var err error
	st.engine, err = jetstream.New(jetstream.Config{
		Dir: st.dir,
		Journal: journal.Options{
			CommitInterval: j.CommitInterval,
			SyncInterval:   j.SyncInterval,
			SegmentBytes:   shares.segment,
			SharedDisk:     true,
			StagedBytes:    min(s.memory.share(stagedBytes, 16), shares.segment/2),
			CacheBytes:     s.memory.share(journalCacheBytes, 32),
		},
		StoreCacheBytes: s.memory.share(storeCacheBytes, 128),
		CacheBytes:      s.memory.share(allCacheBytes, 16),
		Short:           s.memory.Short,
		DiskReserve:     max(j.DiskReserve, 0),
		MaxDisk:         j.MaxDisk,
		DrainBytes:      shares.drain,
		StoreFileBytes:  shares.file,
		OpenFiles:       transport.StoreFiles(transport.Descriptors()),
		Domain:          j.Domain,
		ServerName:      s.ServerName(),
		ServerID:        s.ServerID(),
		Version:         Level,
		APILevel:        apiLevel,
		Strict:          j.Strict,
		Limits:          storeLimits(st, j),
		Logger:          s.log,
		ClockSynced:     clockPlausible,
	})
	switch {
	case errors.Is(err, edgestore.ErrLocked):
		return fmt.Errorf("opening the store %s: %w (is this server running already?)", st.dir, edgestore.ErrLocked)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("opening the store: %w (nothing is given up for a read that fails: try again; what the disk does not read for good is given up with: frond store giveup %s)", err, filepath.Dir(st.dir))
	case err != nil:
		return fmt.Errorf("opening the store: %w", err)
	}
	if j.MaxStore < 0 {
		st.room = &roomLimit{of: *j, free: s.diskFree, lowest: s.diskFree(st.dir)}
		st.maxStore.Store(shareDisk(usableDisk(st.room.lowest+st.engine.FileBytes(), j)).streams)
		st.engine.LimitStore(st.maxStore.Load())
	}
	s.announceStore(st)
	s.identifyStore(st)
	s.store.Store(st)
	s.memory.streams.Store(&streamMemory{st.engine.Held, st.engine.EmptyCaches})
	s.openControl(st)
	st.beginUpkeep(s.upkeepEvery)
	return s.enableStreams(st, s.Options())
}

// identifyStore reads who the data folder is, which is this server's alone by now.
func (s *Server) identifyStore(st *store) {
	folder := filepath.Dir(st.dir)
	id, damage, unwritten, err := openIdentity(folder, st.engine.Recovered())
	if err != nil {
		// Without it the server works; only a hub can not tell a copy of it.
		s.log.Warn("The data folder has no identity", "err", err)
		return
	}
	s.storeID = id.ID
	if unwritten != nil {
		s.log.Warn("A file of the data folder's identity could not be written: the next start tries again", "err", unwritten)
	}
	if damage != nil {
		_ = st.engine.Found(jetstream.Damage{ // the next drain tries again
			Kind: jetstream.DamageAside, Where: folder,
			What: fmt.Sprintf("a file of the data folder's identity was gone or damaged and is made again from the other one: %v", damage),
			Do:   "see who or what removed or changed it, look at the health of the disk or card, then acknowledge this",
		})
	}
	anew, told := madeAnew(folder)
	if !anew {
		return
	}
	if st.engine.Recovered() {
		err = st.engine.Found(jetstream.Damage{
			Kind: jetstream.DamageIdentity, Where: folder,
			What: fmt.Sprintf("both files of the data folder's identity were gone (%s, %s), and it got another one: store %s, name %s. To its hub it is another edge, and one that collects takes what is stored here once more",
				identityFile, identityCopy, id.ID, id.Name),
			Do: "if there is a copy of the two files, stop frond, put them back and start it; then acknowledge this",
		})
	}
	if err == nil {
		err = told()
	}
	if err != nil {
		s.log.Warn("That the data folder has another identity is told again with the next start", "err", err)
	}
}

// diskShares is how a disk is divided.
type diskShares struct {
	streams int64 // the limit when nothing is said
	segment int64 // of the journal
	drain   int64 // what the journal gathers before it is drained
	file    int64 // when a store begins a new file
}

// usableDisk is what the guard leaves of a disk with total bytes.
func usableDisk(total int64, j *config.JetStream) int64 {
	total = max(total-max(j.DiskReserve, 0), 0)
	if j.MaxDisk > 0 {
		total = min(total, j.MaxDisk)
	}
	return total
}

// shareDisk divides a disk of which total bytes are for JetStream, used or not.
// What waits in the journal lies there once more until it is drained, so the
// journal's share is not for streams: their limit must be reached before the
// disk is full.
func shareDisk(total int64) diskShares {
	const mb = 1 << 20
	d := diskShares{
		segment: min(max(total/256, mb), 32*mb) &^ (mb - 1),
		drain:   min(max(total/32, mb), 32*mb),
		file:    min(max(total/16, 4*mb), 256*mb),
	}
	// While one part is drained another gathers; the segments are the active
	// one, the next one, two drained ones, the reserve, and half of one as ballast.
	journal := 2*d.drain + 6*d.segment
	d.streams = int64(float64(max(total-journal, total/4)) * dynamicStore)
	return d
}

// sameFiles tells whether both make files of the same sizes.
func (d diskShares) sameFiles(o diskShares) bool {
	return d.segment == o.segment && d.drain == o.drain && d.file == o.file
}

// clockPlausible reports whether the wall clock may be right. A clock from
// before this program was made is surely wrong, as those of devices are that
// have none which runs without power: until it is set, nothing expires by it
// and duplicates are told by the monotonic clock. More is not claimed. The
// kernel's "not synchronized" says nothing, for it also stands for good on
// machines that are set by hand, by their host or by a daemon which does not
// tell the kernel; there, messages would never expire.
func clockPlausible(now time.Time) bool {
	return now.Year() >= clockYear
}

const clockYear = 2026

func storeLimits(st *store, j *config.JetStream) jetstream.Limits {
	return jetstream.Limits{
		MaxMemory:           st.maxMemory,
		MaxStore:            max(st.maxStore.Load(), 0), // what is not known yet comes behind the recovery
		MaxDuplicateWindow:  j.Limits.DuplicateWindow,
		MaxAckPending:       j.Limits.MaxAckPending,
		MaxRequestBatch:     j.Limits.MaxRequestBatch,
		DefaultMaxConsumers: j.Limits.DefaultMaxConsumers,
	}
}

func (s *Server) announceStore(st *store) {
	s.log.Info("---------------- JETSTREAM ----------------")
	s.log.Info("  Strict:          " + strconv.FormatBool(s.Options().JetStream.Strict))
	s.log.Info("  Max Memory:      " + bytesText(st.maxMemory))
	s.log.Info("  Max Storage:     " + bytesText(st.maxStore.Load()))
	s.log.Info(`  Store Directory: "` + st.dir + `"`)
	if d := s.domain(); d != "" {
		s.log.Info("  Domain:          " + d)
	}
	s.log.Info("  API Level:       " + strconv.Itoa(apiLevel))
	s.log.Info("-------------------------------------------")
}

// closeStore makes everything durable and closes it.
func (s *Server) closeStore(ctx context.Context) error {
	st := s.store.Load()
	if st == nil {
		return nil
	}
	s.log.Info("Initiating JetStream Shutdown...")
	done := make(chan error, 1)
	go func() {
		st.upkeep.close()
		done <- errors.Join(st.control.close(), st.engine.Close())
	}()
	select {
	case err := <-done:
		s.log.Info("JetStream Shutdown")
		return err
	case <-ctx.Done():
		return fmt.Errorf("closing jetstream: %w", ctx.Err())
	}
}

// bytesText is n for people: "1.50 GB".
func bytesText(n int64) string {
	units := [...]string{"B", "KB", "MB", "GB", "TB", "PB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + " " + units[i]
}

// health is what is wrong with streams in files.
func (st *store) health() (list []monitor.HealthError) {
	if text := st.engine.Trouble(); text != "" {
		list = append(list, monitor.HealthError{Type: monitor.HealthJetStream, Error: text})
	}
	for _, x := range st.engine.Damage(false) {
		list = append(list, monitor.HealthError{
			Type: monitor.HealthDamage, Account: x.Account, Stream: x.Stream,
			Error: fmt.Sprintf("damage %d: %s (see: frond damage ls)", x.ID, x.What),
		})
	}
	return list
}
