package delivery

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/clock"
)

// The reasons under which records are counted in Counts.
const (
	RejectedByBackend = "rejected"   // where the exporter gave no word of its own
	RejectedPoison    = "poison"     // the one record of a batch that can never be accepted
	RejectedTooLarge  = "too_large"  // a single record beyond the backend's limit
	RejectedPoints    = "points"     // counts points, not records: parts of records that were taken otherwise
	ExpiredMaxAge     = "max_age"    // older than Options.MaxAge before it could be sent
	ExpiredStoreFull  = "store_full" // dropped by the store before it could be read
)

// Defaults for Options that are zero.
const (
	defaultBatchSize = 200
	defaultTimeout   = 10 * time.Second
)

// Options are what a Worker needs. Name, Queue and Open are required.
type Options struct {
	Name  string // of the exporter, the key of its cursor
	Queue Queue
	// Open builds the exporter from the state that was committed with its cursor, nil at the first start. An error is not
	// fatal: it is shown in Status and Open is tried again.
	Open func(ctx context.Context, state []byte) (exporters.Exporter, error)
	// Alerts are the alerts that are open now, for exporters that are Refreshers; false where nobody knows (yet). Without it
	// nothing is refreshed. It is called after what was exported was judged, and must not block.
	Alerts func() (open []checks.Alert, known bool)
	// Took is told of each alert once the exporter is done with it: ok is false where it was rejected. It is called
	// while the exporter is not, and must not wait; nil: nobody wants to know.
	Took      func(alert *checks.Alert, ok bool)
	WayOut    func(err error) string // what an operator does about an error, in one line, "" where that is not known; nil knows nothing
	MaxAge    time.Duration          // older records expire, except as said of Worker; 0 is never
	Steady    *clock.Steady          // so that no record grows older because the wall clock was set; nil is the wall clock alone
	BatchSize int                    // the most records of one Export; 0 is 200
	Timeout   time.Duration          // of one Export; 0 is 10 s
	Replay    bool                   // a new exporter starts with all that is stored, not with what comes
	Speed     float64                // the waits after errors and between refreshes are divided by it, for drills; 0 is 1
	Log       *slog.Logger
}

// shorter is a wait at the speed.
func (o *Options) shorter(wait time.Duration) time.Duration {
	if o.Speed <= 1 {
		return wait
	}
	return max(time.Duration(float64(wait)/o.Speed), min(wait, retryLeast))
}

// Worker delivers to one exporter. Run does the work; the other methods are safe for concurrent use.
//
// An exporter that is an exporters.Selective gets only what it wants, at once. What it does not want is passed over: the
// cursor moves, at most once a second, and nothing is counted. Where it wants alerts, none of them grows too old, so that
// the end of an alert outlives a dead notifier; only what tells of an alert that is over by now, and is older than MaxAge
// itself, expires.
//
// An exporter that is an exporters.Refresher is refreshed about once a minute, between its Exports.
type Worker struct {
	o     Options
	log   *slog.Logger
	asked chan struct{} // to show that it turns

	mu     sync.Mutex // guards the rest
	status Status
	turned time.Time
}

// Status is where a worker stands. Counts are those since Run began; the durable ones are the store's.
type Status struct {
	Open          bool      // the exporter was built
	Held          bool      // nothing will work until an operator changes something
	Reason        string    // why it is held, retried or not open; empty while all is well
	WayOut        string    // what an operator does about it, by Options.WayOut
	LastError     string    // sanitised; stays when all is well again
	LastErrorAt   time.Time // zero where there was none
	NextTry       time.Time // zero where nothing is waited for
	LastSentAt    time.Time // when the backend last took a record
	InFlightSince time.Time // of the Export that is going on
	Stuck         bool      // that Export has outlived its deadline; it is waited for, because Export is never called twice at a time
	Failures      int       // attempts without success in a row
	Cursor        Position
	Sent          int64
	Rejected      map[string]int64 // by reason
	Expired       map[string]int64 // by reason
	Attempts      map[string]int64 // of Export by what came of it: ok, retry, hold, split, poison, panic
}

// New makes a worker. It starts nothing.
func New(o Options) *Worker {
	if o.BatchSize <= 0 {
		o.BatchSize = defaultBatchSize
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{o: o, log: o.Log, asked: make(chan struct{}, 1), status: Status{
		Rejected: map[string]int64{}, Expired: map[string]int64{}, Attempts: map[string]int64{},
	}}
}

// Status reads where the worker stands.
func (w *Worker) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.status
	st.Rejected, st.Expired, st.Attempts = maps.Clone(st.Rejected), maps.Clone(st.Expired), maps.Clone(st.Attempts)
	st.Stuck = !st.InFlightSince.IsZero() && time.Since(st.InFlightSince) > w.o.Timeout+stuckAfter
	return st
}

// Ask has the worker turn, if it can: while it waits for records, for its next try or for a backend it can, and when an
// Export has outlived its deadline, or nothing answers that has none, it cannot.
func (w *Worker) Ask() {
	select {
	case w.asked <- struct{}{}:
	default:
	}
}

// Turned is when the worker last turned, zero before Run.
func (w *Worker) Turned() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turned
}

func (w *Worker) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turned = time.Now()
}

// note changes the status.
func (w *Worker) note(change func(*Status)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.status)
}

func (w *Worker) check() error {
	switch {
	case w.o.Name == "":
		return errors.New("delivery without the name of an exporter")
	case w.o.Queue == nil:
		return errors.New("delivery without a queue")
	case w.o.Open == nil:
		return errors.New("delivery without a way to open the exporter")
	}
	return nil
}
