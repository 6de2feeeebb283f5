package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// window is the time that was measured.
type window struct{ from, to time.Time }

func (w window) has(at time.Time) bool { return !at.Before(w.from) && at.Before(w.to) }

// told is what the agent's own records say, read from its store after its end.
type told struct {
	Stored     int64            // records that were stored in the window
	Due        int64            // slots of the window, by the schedule alone
	Ran        int64            // of these, the ones that reached the target in time
	Late       spread           // between slot and request, budget and breaker included
	Scheduler  time.Duration    // p99 of the lateness as the agent's last snapshot tells it: up to the run's start
	Skipped    map[string]int64 // slots of the whole life that were not run, by cause
	Unfinished int64            // checks that had no run within one period of the start
	LastFirst  time.Duration    // after the start: the last of all first runs
	Sent       int64            // of the whole life, by the cursor
	Rejected   int64
	Expired    int64
	Kept       float64 // bytes of the database by record, free pages and what an empty one has included
}

// read opens the state directory of an agent that has ended.
func read(ctx context.Context, dir string, p plan, w window, started time.Time) (told, error) {
	s, err := store.Open(ctx, store.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		return told{}, fmt.Errorf("opening the agent's store: %w", err)
	}
	file, err := os.Stat(filepath.Join(dir, "state", "windsock.db"))
	if err != nil {
		return told{}, errors.Join(fmt.Errorf("looking at the agent's store: %w", err), s.Close())
	}
	r := reading{window: w, first: map[string]time.Time{}, told: told{Skipped: map[string]int64{}}}
	records := 0
	err = s.Each(ctx, 0, func(e delivery.Entry) error { records++; r.take(&e.Record); return nil })
	if err == nil {
		err = r.deliveries(ctx, s)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return told{}, fmt.Errorf("reading the agent's store: %w", err)
	}
	r.told.Kept = float64(file.Size()) / float64(max(records, 1))
	r.told.Due = int64(p.Checks) * int64(w.to.Sub(w.from)/p.Every)
	r.told.Late = spreadOf(r.late)
	r.told.Unfinished = int64(p.Checks)
	for _, at := range r.first {
		took := at.Sub(started)
		r.told.LastFirst = max(r.told.LastFirst, took)
		if took <= p.Every+time.Second { // a second for the first run itself
			r.told.Unfinished--
		}
	}
	return r.told, nil
}

type reading struct {
	window window
	told   told
	late   []time.Duration
	first  map[string]time.Time
}

func (r *reading) take(rec *checks.Record) {
	if r.window.has(rec.At) {
		r.told.Stored++
	}
	if rec.Agent != nil {
		for _, m := range rec.Agent.Measurements {
			if m.Name == "windsock.schedule.lateness" && m.Attrs["q"] == "0.99" {
				r.told.Scheduler = time.Duration(m.Value * float64(time.Second))
			}
		}
	}
	report := rec.Report
	if report == nil {
		return
	}
	if !report.Status.Reached() {
		r.told.Skipped[string(report.Cause)] += int64(max(report.Slots, 1))
		return
	}
	if at, known := r.first[report.Check]; !known || report.StartedAt.Before(at) {
		r.first[report.Check] = report.StartedAt
	}
	if r.window.has(report.ScheduledAt) && report.Final {
		r.told.Ran++
		r.late = append(r.late, report.StartedAt.Sub(report.ScheduledAt))
	}
}

func (r *reading) deliveries(ctx context.Context, s *store.Store) error {
	all, err := s.Deliveries(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		r.told.Sent += d.Counts.Sent
		for _, n := range d.Counts.Rejected {
			r.told.Rejected += n
		}
		for _, n := range d.Counts.Expired {
			r.told.Expired += n
		}
	}
	return nil
}
