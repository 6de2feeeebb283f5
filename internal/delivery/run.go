package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	retryFirst    = time.Second            // the longest first wait after an error
	retryMost     = 5 * time.Minute        // the longest wait, Retry-After included
	retryLeast    = 100 * time.Millisecond // jitter never makes a wait shorter
	holdFirst     = time.Minute
	holdMost      = 10 * time.Minute
	drainMost     = time.Second            // the longest wait while the agent is stopping
	linger        = 100 * time.Millisecond // what comes within this time goes out together
	pace          = time.Second            // between two batches that are not full, while records come without end
	commitTimeout = 5 * time.Second        // of a cursor's move that outlives the context
	stuckAfter    = time.Second
	closeTimeout  = 5 * time.Second
)

// errAbandoned is an Export or Close that did not come back when the agent stopped.
var errAbandoned = errors.New("the exporter did not come back")

// Run delivers from the exporter's cursor, oldest record first, until ctx ends: at once, what is in flight included. When
// drain is closed, Run delivers what is there, gives up what is held, and ends when nothing is left or ctx ends. What is
// not delivered is still in the queue. Run closes the exporter and can be called once.
//
// Every record is sent at least once, rejected or expired, and counted as that in the transaction that moves the cursor.
// A record is sent twice only where the agent ended between an Export and its Commit, or where the exporter
// reported an error for what the backend had taken.
func (w *Worker) Run(ctx context.Context, drain <-chan struct{}) error {
	if err := w.check(); err != nil {
		return err
	}
	r := &round{w: w, drain: drain, retry: newBackoff(retryFirst, retryMost), hold: newBackoff(holdFirst, holdMost)}
	r.limit = w.o.BatchSize
	w.turn()
	if !r.begin(ctx) {
		return nil
	}
	for ctx.Err() == nil && !r.ended && r.err == nil {
		r.once(ctx)
	}
	return errors.Join(r.err, r.close())
}

// round is the state of one Run.
type round struct {
	w        *Worker
	drain    <-chan struct{}
	exporter exporters.Exporter
	cursor   Cursor
	limit    int                          // the present size of a batch
	good     int                          // batches in a row that were not split
	caughtUp bool                         // the batch is all that there was
	sent     time.Time                    // when such a batch was taken
	suspect  Position                     // a record up to here is poison: do not read past it; 0 is none
	wants    func(checks.RecordType) bool // nil: all
	unsaved  bool                         // the cursor has passed over records since it was committed
	savedAt  time.Time                    // when it was committed last
	again    refresher                    // what is refreshed
	retry    *backoff.ExponentialBackOff
	hold     *backoff.ExponentialBackOff
	ended    bool  // drained
	err      error // the exporter cannot be called any more
}

func newBackoff(first, most time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: first / 2, RandomizationFactor: 1, Multiplier: 2, MaxInterval: most / 2}
}

// begin reads the cursor and opens the exporter, however long that takes; false where the worker was stopped first.
func (r *round) begin(ctx context.Context) bool {
	for {
		cursor, err := r.w.o.Queue.Cursor(ctx, r.w.o.Name, r.w.o.Replay)
		if err == nil {
			r.cursor = cursor
			break
		}
		if !r.pauseOf(ctx, fmt.Errorf("reading the cursor: %w", err)) || r.draining() {
			return false
		}
	}
	for {
		exporter, err := r.open(ctx)
		if err == nil {
			r.exporter = exporter
			r.look()
			r.w.note(func(s *Status) { s.Open, s.Cursor = true, r.cursor.Pos })
			r.well()
			return true
		}
		stopping := r.draining()
		if !r.pauseOf(ctx, fmt.Errorf("opening the exporter: %w", err)) || stopping {
			return false
		}
	}
}

func (r *round) open(ctx context.Context) (e exporters.Exporter, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			e, err = nil, fmt.Errorf("panic: %v", cause)
		}
	}()
	e, err = r.w.o.Open(ctx, r.cursor.State)
	if err == nil && e == nil {
		err = errors.New("no exporter and no error")
	}
	return e, err
}

// once takes one step: reads, counts what is lost or too old, exports, and waits where there is reason to.
func (r *round) once(ctx context.Context) {
	r.w.turn()
	if r.refresh(ctx); r.err != nil {
		return
	}
	changed := r.w.o.Queue.Changed()
	limit := r.limit
	if r.wants != nil {
		limit = max(limit, readMost) // most of them are passed over
	}
	entries, lost, err := r.w.o.Queue.Read(ctx, r.cursor.Pos, limit)
	switch {
	case err != nil:
		if ctx.Err() == nil && !r.pauseOf(ctx, fmt.Errorf("reading the store: %w", err)) {
			r.ended = true
		}
		return
	case len(entries) == 0:
		r.idle(ctx, changed)
		return
	case lost > 0:
		r.w.log.Warn("records were dropped by the store before they could be sent", "records", lost)
		r.commit(ctx, entries[0].Pos-1, nil, Counts{Expired: map[string]int64{ExpiredStoreFull: lost}})
		return
	}
	if rest := pace - time.Since(r.sent); r.wants == nil && len(entries) < limit && rest > 0 && !r.draining() {
		r.wait(ctx, rest)
		return
	}
	all := len(entries)
	if entries = r.wanted(ctx, entries); len(entries) == 0 {
		return
	}
	n, whole := r.expired(entries)
	if n > 0 {
		r.w.log.Warn("records are too old to be sent", "records", n, "max_age", r.w.o.MaxAge)
		r.commit(ctx, entries[n-1].Pos, nil, Counts{Expired: map[string]int64{ExpiredMaxAge: int64(n)}})
		return
	}
	batch := r.batch(entries[:whole])
	r.caughtUp = len(batch) == all
	r.send(ctx, batch)
}

// idle waits for records and then a moment longer, so that what comes together goes out together.
func (r *round) idle(ctx context.Context, changed <-chan struct{}) {
	wake, stop := r.alarm()
	defer stop()
	select {
	case <-r.drain:
		r.save(ctx)
		r.ended = true
	case <-ctx.Done():
	case <-r.w.asked: // to turn
	case <-wake:
		r.tick(ctx)
	case <-changed:
		pause := linger
		if r.wants != nil {
			pause = lingerWanted
		}
		r.wait(ctx, pause)
	}
}

// expired is how many records at the head are too old, and where the next that is too old stands behind them.
func (r *round) expired(entries []Entry) (n, next int) {
	old := r.old()
	for n < len(entries) && old(entries[n]) {
		n++
	}
	for next = n; next < len(entries) && !old(entries[next]); {
		next++
	}
	return n, next
}

// batch is the part of the entries to send: while a bad record is looked for, half of those among which it must be.
func (r *round) batch(entries []Entry) []Entry {
	n := len(entries)
	if r.suspect > 0 {
		for n > 0 && entries[n-1].Pos > r.suspect {
			n--
		}
		if n > 1 && entries[n-1].Pos == r.suspect {
			n = (n + 1) / 2
		}
	}
	if n == 0 { // the suspects are gone from the queue
		r.suspect, n = 0, len(entries)
	}
	return entries[:n]
}

// commit moves the cursor. The exporter has been told of the batch only once, so this is tried until it works: to export
// again would count twice in the exporter's totals. Where ctx has ended there is one more attempt.
func (r *round) commit(ctx context.Context, pos Position, state []byte, counts Counts) {
	failed := false
	r.again.paused = true
	defer func() { r.again.paused = false }()
	for {
		last := ctx.Err() != nil
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		err := r.w.o.Queue.Commit(attempt, r.w.o.Name, Cursor{pos, state}, counts)
		cancel()
		if err == nil {
			break
		}
		err = fmt.Errorf("moving the cursor: %w", err)
		if last {
			r.err = err
			return
		}
		failed = true
		r.pauseOf(ctx, err)
	}
	if failed {
		r.well()
	}
	r.cursor.Pos, r.unsaved, r.savedAt = pos, false, time.Now()
	if state != nil {
		r.cursor.State = state
	}
	if pos >= r.suspect {
		r.suspect = 0
	}
	r.w.note(func(s *Status) {
		s.Cursor = pos
		s.Sent += counts.Sent
		for reason, n := range counts.Rejected {
			s.Rejected[reason] += n
		}
		for reason, n := range counts.Expired {
			s.Expired[reason] += n
		}
	})
}

// well ends a series of failures.
func (r *round) well() {
	var failures int
	r.w.note(func(s *Status) {
		failures = s.Failures
		s.Held, s.Reason, s.WayOut, s.NextTry, s.Failures = false, "", "", time.Time{}, 0
	})
	if failures > 0 {
		r.w.log.Info("export works again", "failures", failures)
	}
	r.retry.Reset()
	r.hold.Reset()
}

// pauseOf waits as long as an error asks for. False: the worker is to end.
func (r *round) pauseOf(ctx context.Context, err error) bool {
	held := exporters.IsHold(err)
	wait := max(r.retry.NextBackOff(), retryLeast)
	if after := exporters.RetryAfter(err); after > 0 {
		wait = max(wait, min(after, retryMost)+time.Duration(rand.Int64N(int64(time.Second)))) //nolint:gosec // jitter is no secret
	}
	if held {
		wait = max(r.hold.NextBackOff(), holdFirst)
	}
	wait = r.w.o.shorter(min(wait, holdMost))
	text, way := clean(err), ""
	if r.w.o.WayOut != nil {
		way = r.w.o.WayOut(err)
	}
	first := false
	r.w.note(func(s *Status) {
		first = s.Failures == 0 || s.Reason != text || s.Held != held
		now := time.Now()
		s.Held, s.Reason, s.WayOut, s.LastError, s.LastErrorAt, s.NextTry = held, text, way, text, now, now.Add(wait)
		s.Failures++
	})
	r.tell(held, first, []any{"reason", text, "next_try", wait, "hint", way})
	if r.draining() {
		if held {
			return false
		}
		wait = min(wait, drainMost)
	}
	return r.wait(ctx, wait) && ctx.Err() == nil
}

// tell logs an error when it is new; repetitions are for the debugger.
func (r *round) tell(held, first bool, about []any) {
	if about[len(about)-1] == "" {
		about = about[:len(about)-2] // no hint
	}
	switch {
	case !first:
		r.w.log.Debug("export failed again", about...)
	case held:
		r.w.log.Warn("export held until an operator changes something", about...)
	default:
		r.w.log.Warn("export failed", about...)
	}
}

func (r *round) draining() bool {
	select {
	case <-r.drain:
		return true
	default:
		return false
	}
}

// wait waits, at most until the drain begins or a refresh shows that the backend is back, and reports whether ctx is still
// alive. What is due meanwhile is refreshed.
func (r *round) wait(ctx context.Context, d time.Duration) bool {
	drain := r.drain
	if r.draining() {
		drain = nil // nothing else is to come
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for r.err == nil {
		wake, stop := r.alarm()
		select {
		case <-timer.C:
			stop()
			return ctx.Err() == nil
		case <-drain:
			stop()
			return ctx.Err() == nil
		case <-ctx.Done():
			stop()
			return false
		case <-r.w.asked:
			stop()
			r.w.turn()
		case <-wake:
			if r.tick(ctx); r.again.heard {
				r.again.heard = false
				return ctx.Err() == nil
			}
		}
	}
	return false
}

// close ends the exporter, which may take a bounded time.
func (r *round) close() error {
	closer, ok := r.exporter.(io.Closer)
	if !ok || errors.Is(r.err, errAbandoned) {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				done <- fmt.Errorf("panic: %v", cause)
			}
		}()
		done <- closer.Close()
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("closing exporter %q: %w", r.w.o.Name, err)
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("closing exporter %q: %w within %s", r.w.o.Name, errAbandoned, closeTimeout)
	}
}
