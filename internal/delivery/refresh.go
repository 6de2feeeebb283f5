package delivery

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
)

const refreshEvery = time.Minute

// refresher is when an exporter is refreshed.
type refresher struct {
	exporter exporters.Refresher // nil: never
	due      time.Time
	failing  bool
	heard    bool // the backend took something of the last one
	paused   bool // while a cursor is committed, and what would be told now would be newer than what is written
}

// look finds out what the exporter is beside an Exporter.
func (r *round) look() {
	if s, ok := r.exporter.(exporters.Selective); ok {
		r.wants = s.Wants
	}
	if e, ok := r.exporter.(exporters.Refresher); ok && r.w.o.Alerts != nil {
		r.again = refresher{exporter: e, due: time.Now().Add(r.w.o.shorter(refreshEvery))}
	}
}

// alarm rings when something is to be done though no record comes: a refresh, a cursor that has moved.
func (r *round) alarm() (wake <-chan time.Time, stop func()) {
	var at time.Time
	if r.again.paused || r.draining() {
		return nil, func() {}
	}
	if r.again.exporter != nil {
		at = r.again.due
	}
	if save := r.savedAt.Add(saveEvery); r.unsaved && (at.IsZero() || save.Before(at)) {
		at = save
	}
	if at.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(at))
	return timer.C, func() { timer.Stop() }
}

// tick does what an alarm rang for.
func (r *round) tick(ctx context.Context) {
	r.refresh(ctx)
	if r.err == nil && time.Since(r.savedAt) >= saveEvery {
		r.save(ctx)
	}
}

// refresh lets the exporter repeat what its backend forgets, where that is due. The exporter is not in an Export: both are
// called from here only. An error changes nothing in the rhythm of Export; where the backend took something, an Export that
// waits is tried at once.
func (r *round) refresh(ctx context.Context) {
	if r.again.exporter == nil || r.again.paused || r.draining() || time.Now().Before(r.again.due) || ctx.Err() != nil {
		return
	}
	r.again.due = time.Now().Add(r.w.o.shorter(refreshEvery))
	open, known := r.w.o.Alerts()
	if !known {
		return
	}
	next := r.nextTry()
	outcome, err := r.call(ctx, func(ctx context.Context) (exporters.Outcome, error) {
		state, err := r.again.exporter.Refresh(ctx, open)
		return exporters.Outcome{State: state}, err
	})
	r.w.note(func(s *Status) { s.NextTry = next })
	if errors.Is(err, errAbandoned) {
		r.err = err
		return
	}
	r.again.due = time.Now().Add(r.w.o.shorter(refreshEvery))
	r.again.heard = err == nil && outcome.State != nil && !bytes.Equal(outcome.State, r.cursor.State)
	if outcome.State != nil {
		r.commit(ctx, r.cursor.Pos, outcome.State, Counts{})
	}
	if ctx.Err() == nil {
		r.refreshed(err)
	}
}

func (r *round) nextTry() time.Time { return r.w.Status().NextTry }

// refreshed logs how a series of failures begins and ends.
func (r *round) refreshed(err error) {
	switch {
	case err == nil && r.again.failing:
		r.w.log.Info("refresh works again")
	case err != nil:
		text := clean(err)
		if !r.again.failing {
			r.w.log.Warn("refresh failed", "reason", text)
		}
		r.w.note(func(s *Status) { s.LastError, s.LastErrorAt = text, time.Now() })
	}
	r.again.failing = err != nil
}
