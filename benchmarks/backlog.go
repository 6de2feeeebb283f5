package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// backlogSpan is how long the backend was away.
const backlogSpan = 24 * time.Hour

// backlogTold is how a backlog was drained.
type backlogTold struct {
	Records     int64   `json:"records"`
	Span        float64 `json:"span_s"`
	Drained     float64 `json:"drained_in_s"`
	TimesReal   float64 `json:"times_real_time"`
	CPUPerEntry float64 `json:"cpu_us_per_result"` // of the agent, its own runs meanwhile included
}

func (b *backlogTold) write(out io.Writer) {
	fmt.Fprintf(out, "backlog: %d results of %.0f h drained in %.1f s, %.0f times real time, %.0f us of CPU each\n",
		b.Records, b.Span/3600, b.Drained, b.TimesReal, b.CPUPerEntry)
}

// backlog fills a store with a day of results, one a second, and starts an agent on it whose backend is back. While it
// drains, the agent runs its checks, and how late they are is measured.
func (o *options) backlog(ctx context.Context, rep *report, s setting) (err error) {
	st, err := openStage(ctx, s, io.Discard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	dir, err := os.MkdirTemp("", "windsock-benchmark-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s.Replay = true
	told, err := st.fill(ctx, o.binary, dir, s)
	if err != nil {
		return err
	}
	if err := prepare(s.plan, dir, st.target.hello, st.sink.Address); err != nil {
		return err
	}
	drained := make(chan time.Time, 1)
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	go st.awaitResults(watch, told.Records, drained)
	begun := time.Now()
	var m measured
	if err := st.agentIn(ctx, o.binary, dir, s, &m); err != nil {
		return err
	}
	cancel()
	at := <-drained
	if at.IsZero() {
		return fmt.Errorf("%d results were not drained within %s", told.Records, s.For)
	}
	told.Drained = round(at.Sub(begun).Seconds(), 10)
	told.TimesReal = round(told.Span/told.Drained, 1)
	told.CPUPerEntry = us(m.Agent.CPU / time.Duration(max(told.Records, 1)))
	rep.Backlog = append(rep.Backlog, told)
	rep.add(s, m)
	return nil
}

// awaitResults says when the backend has so many results, the zero time where ctx ends before.
func (st *stage) awaitResults(ctx context.Context, want int64, at chan<- time.Time) {
	defer close(at)
	for pause(ctx, 50*time.Millisecond) == nil {
		var now received
		if st.sink.ask(ctx, "/received", &now) == nil && now.Results >= want {
			at <- time.Now()
			return
		}
	}
}

// fill makes the store: copies of a record that the agent itself made, with times and ids of their own.
func (st *stage) fill(ctx context.Context, binary, dir string, s setting) (backlogTold, error) {
	s.Exporters, s.Replay = nil, false
	pattern, err := st.pattern(ctx, binary, s)
	if err != nil {
		return backlogTold{}, err
	}
	kept, err := store.Open(ctx, store.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		return backlogTold{}, fmt.Errorf("making the backlog: %w", err)
	}
	told := backlogTold{Span: backlogSpan.Seconds()}
	end := time.Now()
	var batch []checks.Record
	for at := end.Add(-backlogSpan); at.Before(end) && err == nil; at = at.Add(time.Second) {
		report := *pattern
		report.ID = ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()).String()
		report.Check = fmt.Sprintf("c%d", told.Records%int64(s.Checks))
		report.ScheduledAt, report.StartedAt = at, at.Add(time.Millisecond)
		batch = append(batch, checks.OfReport(&report))
		told.Records++
		if len(batch) == 1000 {
			err = kept.Append(ctx, batch...)
			batch = batch[:0]
		}
	}
	return told, errors.Join(err, kept.Append(ctx, batch...), kept.Close())
}

// pattern is a report as the agent makes it.
func (st *stage) pattern(ctx context.Context, binary string, s setting) (report *checks.Report, err error) {
	dir, err := os.MkdirTemp("", "windsock-benchmark-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s.Checks, s.Every, s.For, s.Warm, s.Profile = 1, time.Second, 2*time.Second, 0, ""
	if err := prepare(s.plan, dir, st.target.hello, st.sink.Address); err != nil {
		return nil, err
	}
	var m measured
	if err := st.agentIn(ctx, binary, dir, s, &m); err != nil {
		return nil, err
	}
	kept, err := store.Open(ctx, store.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	err = kept.Each(ctx, 0, func(e delivery.Entry) error {
		if r := e.Record.Report; r != nil && r.Status == checks.OK {
			report = r
		}
		return nil
	})
	if report == nil && err == nil {
		err = errors.New("the agent made no good run to copy")
	}
	return report, errors.Join(err, kept.Close())
}
