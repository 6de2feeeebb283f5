// Package store keeps everything that must outlive the process in one SQLite file: records, one cursor per exporter,
// the memory of checks and judges, and the money that was spent. When the disk fails it goes on in memory and says so; it
// never overwrites a file that it cannot read, and it decides nothing about what the records mean.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/internal/clock"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("the store is closed")

// LockedError means that another process uses the state directory.
type LockedError struct {
	Dir string
	PID int // 0 where the holder did not say
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("the state directory %q is used by another process", e.Dir)
	}
	return fmt.Sprintf("the state directory %q is used by process %d", e.Dir, e.PID)
}

// NewerError means that a newer version of the agent wrote the database. Nothing was touched.
type NewerError struct {
	Found, Known int
	By           string // the version of the agent that wrote it; "" where nobody knows
}

func (e *NewerError) Error() string {
	by := ""
	if e.By != "" {
		by = ", written by windsock " + e.By
	}
	return fmt.Sprintf("the database has schema version %d%s; this agent knows versions up to %d: install the newer agent again, go back to the database that it kept, or start with another state directory", e.Found, by, e.Known)
}

// Options are the developer's words; the zero value of each field but Dir works.
type Options struct {
	Dir       string                             // the state directory, made with mode 0700 where it is missing
	MaxAge    time.Duration                      // records older than this are dropped; 7 days
	Steady    *clock.Steady                      // so that no record grows older because the wall clock was set; nil is the wall clock alone
	MaxBytes  int64                              // size of the database above which the oldest records are dropped; 512 MiB
	WayOut    func(dir string, err error) string // what to do about an error of the directory, in one line; nil knows nothing
	Ring      int                                // records kept in memory while the disk fails; 10000
	RingBytes int64                              // and their bytes; 64 MiB
	Log       *slog.Logger
	Version   string // of the agent, noted in the database
	BootID    string // of the running kernel; "" reads it from /proc

	clock func() (wall time.Time, sinceBoot time.Duration) // nil: the host's
}

func (o Options) withDefaults() Options {
	if o.MaxAge <= 0 {
		o.MaxAge = 7 * 24 * time.Hour
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 512 << 20
	}
	if o.Ring <= 0 {
		o.Ring = 10_000
	}
	if o.RingBytes <= 0 {
		o.RingBytes = 64 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.BootID == "" {
		id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err == nil {
			o.BootID = strings.TrimSpace(string(id))
		}
	}
	return o
}

// Health is how the store is. All numbers but Records and Bytes count since Open.
type Health struct {
	OK             bool
	Problem        string    // "" when OK: what fails, in the words of the system
	WayOut         string    // of the problem, by Options.WayOut
	Since          time.Time // of the problem
	Records        int64     // on disk
	Bytes          int64     // of the database's pages in use
	RingRecords    int64     // in memory only
	RingDropped    int64     // dropped because the ring was full: lost
	Expired        int64     // dropped by age or size
	Corrupt        int64     // databases that were moved aside
	CorruptMoved   string    // where the last of them was moved to
	CorruptRemoved int64     // of those that were moved aside, because there were too many
	LedgerWritable bool      // false: paid runs are refused
}

// Store is the state directory. All methods are safe for concurrent use. It implements delivery.Queue.
type Store struct {
	o    Options
	log  *slog.Logger
	path string // of the database

	token  chan struct{}     // held by the one that writes: to the disk, to the tail, or to file and lock
	lock   *os.File          // nil while the directory could not be locked; guarded by token
	known  *loaded           // what the database held when it was first read; nil before; guarded by token
	blind  bool              // a database that could not be read at all may exist; guarded by token
	clean  bool              // the database was closed well; guarded by token
	killed bool              // there was a process before, and it did not close the store well; set by Open only
	last   delivery.Position // the mark's at the start; 0 where there is no mark
	moved  error             // why the database must be moved aside before it is used again; guarded by token
	mark   mark
	spare  spare // guarded by token

	fileMu sync.RWMutex // held for reading while file is in use
	file   *file        // nil while there is none

	queueMu sync.Mutex // guards queue, closed and unclean
	queue   []*request
	closed  bool
	unclean bool          // EndUnclean was called
	stop    chan struct{} // closed by Close
	failing chan struct{} // the disk began to fail
	running sync.WaitGroup
	flushed atomic.Int64 // when the disk was last written, in Unix nanoseconds
	written atomic.Int64 // bytes of records since they were last expired

	mu     sync.RWMutex // guards mem; never held during I/O
	mem    memory
	ledger *Ledger
}

// Open opens the state directory. It fails with *LockedError and *NewerError only (and when ctx ends): where the disk is
// full, read-only or broken the store works in memory, and Health says so.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		o: o, log: o.Log, path: filepath.Join(o.Dir, databaseName),
		token: make(chan struct{}, 1), stop: make(chan struct{}), failing: make(chan struct{}, 1),
	}
	s.mem.init(o)
	s.ledger = newLedger(s)
	s.mark.path, s.spare.path = filepath.Join(o.Dir, markName), filepath.Join(o.Dir, spareName)
	if err := s.start(ctx); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// start is Open with the token held.
func (s *Store) start(ctx context.Context) error {
	last, marked := s.mark.load()
	s.clean, s.last, s.killed = last.Clean, last.Position, marked && !last.Clean
	s.ledger.resume(last, marked, last.BootID != "" && last.BootID == s.o.BootID)
	err := s.reopen(ctx)
	if refused(err) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	now := time.Now()
	if err != nil {
		s.degrade(now, err)
	}
	s.placeStart(now, last)
	s.adoptSpare()
	s.settleMoney(now, last, marked)
	err = s.writeMark(func(p *page) { p.Clean = false })
	if err != nil && s.healthy() { // else that was told with its cause
		s.log.Warn("the spend marker cannot be written", "path", s.mark.path, "error", err)
	}
	if s.healthy() {
		s.flush(ctx)
		if err := s.spare.reserve(); err != nil {
			s.log.Warn("no room for alerts beside the database, should that fail", "error", err)
		}
	}
	return nil
}

// refused reports whether err forbids the use of the directory.
func refused(err error) bool {
	var locked *LockedError
	var newer *NewerError
	return errors.As(err, &locked) || errors.As(err, &newer)
}

// placeStart finds the first position of this run where the database could not tell it.
func (s *Store) placeStart(now time.Time, p page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem.instance == "" {
		s.mem.instance = p.Instance
	}
	if s.mem.instance == "" {
		s.mem.instance = ulid.Make().String()
	}
	s.mem.next = max(s.mem.next, p.Position+1)
	if s.blind {
		// Nobody knows which positions were given. The milliseconds of the epoch are above them all.
		base := delivery.Position(now.UnixMilli())
		s.mem.voids = append(s.mem.voids, void{s.mem.next, base})
		s.mem.next = base + 1
	}
}

// Instance is the stable random id (ULID) of this state directory.
func (s *Store) Instance() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.instance
}

// Unclean reports whether the process before ended without closing the store well, or with EndUnclean.
func (s *Store) Unclean() bool { return s.killed }

// EndUnclean has the next process told that this one left something half done.
func (s *Store) EndUnclean() {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	s.unclean = true
}

// Health tells how the store is.
func (s *Store) Health() Health {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.mem.health
	h.OK = h.Problem == ""
	h.RingRecords = int64(s.mem.tail.dirtyLen())
	h.LedgerWritable = h.OK || s.mark.works()
	return h
}

func (s *Store) healthy() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.health.Problem == ""
}

// Close writes what is still in memory, ends Run and gives the directory back. Its error says what is lost with the
// process because the disk fails.
//
//nolint:contextcheck,nolintlint // io.Closer knows no context; the mark is for the callers, where the linter looks
func (s *Store) Close() error {
	s.queueMu.Lock()
	already, unclean := s.closed, s.unclean
	s.closed = true
	s.queueMu.Unlock()
	if already {
		return nil
	}
	close(s.stop)
	s.running.Wait()
	s.token <- struct{}{}
	defer func() { <-s.token }()
	s.mu.Lock()
	s.mem.retryAt = time.Time{}
	s.mu.Unlock()
	s.flush(context.Background())
	h := s.Health()
	s.closeFile()
	err := s.writeMark(func(p *page) { p.Clean = h.OK && !unclean })
	if err == nil {
		err = s.mark.sync()
	}
	s.release()
	if h.RingRecords > 0 {
		return fmt.Errorf("closing the store: %d records were kept in memory only and are lost: %s", h.RingRecords, h.Problem)
	}
	if !h.OK || err != nil {
		return fmt.Errorf("closing the store: %w", errors.Join(err, errors.New(h.Problem)))
	}
	return nil
}

// release lets go of the files.
func (s *Store) release() {
	s.closeFile()
	s.mark.close()
	s.spare.close()
	if s.lock != nil {
		unlock(s.lock)
		s.lock = nil
	}
}

func (s *Store) isClosed() bool {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	return s.closed
}
