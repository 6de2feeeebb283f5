package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// growAfter is how many batches in a row must pass before a batch that had been split may be twice as large again.
const growAfter = 10

// maxError bounds the text of an error in status and log, in bytes.
const maxError = 240

// errPanic marks an Export that panicked.
var errPanic = errors.New("the exporter panicked")

// send makes one Export of the batch and does what came of it.
func (r *round) send(ctx context.Context, batch []Entry) {
	outcome, err := r.export(ctx, batch)
	if errors.Is(err, errAbandoned) {
		r.err = err
		return
	}
	if batch = r.progress(ctx, batch, outcome, err); r.err != nil || len(batch) == 0 {
		return
	}
	if err != nil && ctx.Err() != nil { // cut off by us: nobody's fault, and sent again after the restart
		return
	}
	r.w.note(func(s *Status) { s.Attempts[word(err)]++ })
	last := batch[len(batch)-1].Pos
	switch {
	case err == nil:
		r.accepted(ctx, batch, outcome)
	case exporters.IsSplit(err) && len(batch) > 1:
		r.limit, r.good = max(1, len(batch)/2), 0
		r.w.log.Debug("batch was too large", "records", len(batch), "reason", clean(err))
	case exporters.IsPoison(err) && len(batch) > 1:
		r.suspect = last
		r.w.log.Debug("batch holds a bad record", "records", len(batch), "reason", clean(err))
	case exporters.IsSplit(err), exporters.IsPoison(err):
		r.reject(ctx, batch[0], err)
	default:
		if tookTooLong(err) && len(batch) > 1 {
			r.limit, r.good = len(batch)/2, 0
		}
		if !r.pauseOf(ctx, err) {
			r.ended = true
		}
	}
}

// overtime is the error of an Export that used all the time there was. A smaller batch may not: the one after an outage is
// the largest there is, and a backend that is slow then would be sent it for ever.
type overtime struct{ error }

func (o overtime) Unwrap() error { return o.error }

func tookTooLong(err error) bool {
	_, all := errors.AsType[overtime](err)
	return all || errors.Is(err, context.DeadlineExceeded)
}

func word(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errPanic):
		return "panic"
	case exporters.IsHold(err):
		return "hold"
	case exporters.IsSplit(err):
		return "split"
	case exporters.IsPoison(err):
		return "poison"
	}
	return "retry"
}

// accepted counts a batch whose records all have their outcome.
func (r *round) accepted(ctx context.Context, batch []Entry, outcome exporters.Outcome) {
	counts := r.count(batch, outcome)
	r.well()
	if r.sent = (time.Time{}); r.caughtUp {
		r.sent = time.Now()
	}
	r.grow()
	r.commit(ctx, batch[len(batch)-1].Pos, outcome.State, counts)
}

// progress commits what was done before an error, where it says that something was, and returns the rest of the batch.
func (r *round) progress(ctx context.Context, batch []Entry, outcome exporters.Outcome, err error) []Entry {
	n, state := exporters.ProgressOf(err)
	if n == 0 && state == nil {
		return batch
	}
	if n < 0 || n > len(batch) {
		r.w.log.Error("exporter came further than its batch", "done", n, "records", len(batch))
		n = min(max(n, 0), len(batch))
	}
	pos, counts := r.cursor.Pos, Counts{}
	if n > 0 {
		outcome.Rejected = slices.DeleteFunc(outcome.Rejected, func(x exporters.Rejection) bool { return x.Index >= n })
		pos, counts = batch[n-1].Pos, r.count(batch[:n], outcome)
		r.retry.Reset()
		r.hold.Reset()
	}
	r.commit(ctx, pos, state, counts)
	return batch[n:]
}

// count is what became of the records of a batch.
func (r *round) count(batch []Entry, outcome exporters.Outcome) Counts {
	rejected := map[string]int64{}
	seen := make(map[int]bool, len(outcome.Rejected))
	for _, rejection := range outcome.Rejected {
		if rejection.Index < 0 || rejection.Index >= len(batch) || seen[rejection.Index] {
			r.w.log.Error("exporter rejected a record that is not in its batch, or one twice", "index", rejection.Index, "records", len(batch))
			continue
		}
		seen[rejection.Index] = true
		rejected[reasonOf(rejection.Reason)]++
	}
	if outcome.RejectedPoints > 0 {
		rejected[RejectedPoints] += outcome.RejectedPoints
		r.w.log.Warn("backend took the records but refused points of them", "points", outcome.RejectedPoints)
	}
	for i := range batch {
		r.took(batch[i], !seen[i])
	}
	counts := Counts{Sent: int64(len(batch) - len(seen)), Rejected: rejected}
	if len(seen) > 0 {
		r.w.log.Warn("backend rejected records", "records", len(seen), "reasons", fmt.Sprint(rejected))
	}
	if counts.Sent > 0 {
		r.w.note(func(s *Status) { s.LastSentAt = time.Now() })
	}
	return counts
}

// took tells that the exporter is done with a record.
func (r *round) took(e Entry, ok bool) {
	if r.w.o.Took != nil && e.Record.Alert != nil {
		r.w.o.Took(e.Record.Alert, ok)
	}
}

// grow lets batches become larger again after they had to be smaller: slowly, for the backend's limit has not changed.
func (r *round) grow() {
	if r.limit == r.w.o.BatchSize {
		return
	}
	if r.good++; r.good >= growAfter {
		r.limit, r.good = min(2*r.limit, r.w.o.BatchSize), 0
	}
}

// reject passes over the one record that can never be accepted.
func (r *round) reject(ctx context.Context, bad Entry, err error) {
	reason := RejectedPoison
	if exporters.IsSplit(err) {
		reason = RejectedTooLarge
	}
	r.took(bad, false)
	text := clean(err)
	r.w.log.Warn("a record can never be accepted and is passed over", "record", bad.Record.ID, "reason", text)
	r.well()
	r.w.note(func(s *Status) { s.LastError, s.LastErrorAt = text, time.Now() })
	r.commit(ctx, bad.Pos, nil, Counts{Rejected: map[string]int64{reason: 1}})
}

// reasonOf keeps reasons bounded: a short word, or "rejected".
func reasonOf(reason string) string {
	if reason == "" || len(reason) > 32 || strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return RejectedByBackend
	}
	return reason
}

// clean is the text of an error for people: one line without what URLs carry.
func clean(err error) string { return outbound.Sanitize(outbound.Clean(err).Error(), maxError) }

type result struct {
	outcome exporters.Outcome
	err     error
}

func (r *round) export(ctx context.Context, batch []Entry) (exporters.Outcome, error) {
	records := make([]checks.Record, len(batch))
	for i, e := range batch {
		records[i] = e.Record
	}
	return r.call(ctx, func(ctx context.Context) (exporters.Outcome, error) { return r.exporter.Export(ctx, records) })
}

// call calls the exporter under the timeout and waits for it, however long it takes: it must not be called twice at a
// time. Only when the agent stops is a call that ignores its context left behind.
func (r *round) call(ctx context.Context, do func(context.Context) (exporters.Outcome, error)) (exporters.Outcome, error) {
	call, cancel := context.WithTimeout(ctx, r.w.o.Timeout)
	defer cancel()
	r.w.note(func(s *Status) { s.InFlightSince, s.NextTry = time.Now(), time.Time{} })
	defer r.w.note(func(s *Status) { s.InFlightSince = time.Time{} })

	done := make(chan result, 1)
	go func() {
		var res result
		defer func() { done <- res }()
		defer func() {
			if cause := recover(); cause != nil {
				r.w.log.Error("exporter panicked", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
				res = result{err: fmt.Errorf("%w: %v", errPanic, cause)}
			}
		}()
		res.err = errors.New("export ended without a result")
		res.outcome, res.err = do(call)
	}()
	outcome, err := r.await(ctx, call, done)
	if err != nil && call.Err() != nil && ctx.Err() == nil {
		err = overtime{err}
	}
	return outcome, err
}

func (r *round) await(ctx, call context.Context, done <-chan result) (exporters.Outcome, error) {
	for {
		select {
		case res := <-done:
			return res.outcome, res.err
		case <-r.w.asked:
			r.w.turn()
		case <-call.Done():
			return r.overdue(ctx, done)
		}
	}
}

// overdue waits for an Export whose deadline has passed.
func (r *round) overdue(ctx context.Context, done <-chan result) (exporters.Outcome, error) {
	warn := time.NewTimer(stuckAfter)
	defer warn.Stop()
	stopping := ctx.Done()
	var abandon <-chan time.Time
	for {
		select {
		case res := <-done:
			return res.outcome, res.err
		case <-warn.C:
			r.w.log.Error("exporter ignores its deadline and is waited for", "timeout", r.w.o.Timeout)
		case <-stopping:
			stopping = nil
			timer := time.NewTimer(closeTimeout)
			defer timer.Stop()
			abandon = timer.C
		case <-abandon:
			return exporters.Outcome{}, fmt.Errorf("exporting to %q: %w", r.w.o.Name, errAbandoned)
		}
	}
}
