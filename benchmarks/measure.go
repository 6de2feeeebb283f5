package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// setting is one thing to measure.
type setting struct {
	plan

	For     time.Duration // a multiple of Every
	Warm    time.Duration
	Delay   time.Duration // of the target's answers
	TLS     bool
	Floor   bool
	Profile string
}

// phase is what a process used in a window.
type phase struct {
	Runs         int64 // requests that the target served
	CPU          time.Duration
	User, System time.Duration
	Memory       memory // the most of the window
	Written      int64  // bytes that the disk was given
	Control      controlTaken
	Window       float64 // seconds
}

func (p phase) perRun() time.Duration {
	if p.Runs == 0 {
		return 0
	}
	return p.CPU / time.Duration(p.Runs)
}

// core is the part of a core that was used, in percent.
func (p phase) core() float64 { return 100 * p.CPU.Seconds() / p.Window }

// measured is the outcome of a setting.
type measured struct {
	Agent       phase
	FloorBefore phase
	FloorAfter  phase
	FloorLate   spread
	Received    received // in the window
	Told        told
	Start       time.Duration // from the process's start to "agent started"
	Log         string
}

// floorPerRun is the floor's CPU per run, before and after the agent together.
func (m *measured) floorPerRun() time.Duration {
	if runs := m.FloorBefore.Runs + m.FloorAfter.Runs; runs > 0 {
		return (m.FloorBefore.CPU + m.FloorAfter.CPU) / time.Duration(runs)
	}
	return 0
}

// ratio is how often the floor's cost a run of the agent costs.
func (m *measured) ratio() float64 {
	if m.floorPerRun() == 0 {
		return 0
	}
	return float64(m.Agent.perRun()) / float64(m.floorPerRun())
}

// stage is the processes around the agent.
type stage struct {
	target, sink, control *child
	progress              io.Writer
}

func openStage(ctx context.Context, s setting, progress io.Writer) (_ *stage, err error) {
	st := &stage{progress: progress}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.close())
		}
	}()
	if st.target, err = launch(ctx, roleTarget, order{Delay: s.Delay, TLS: s.TLS}); err != nil {
		return nil, err
	}
	if st.sink, err = launch(ctx, roleSink, order{}); err != nil {
		return nil, err
	}
	st.control, err = launch(ctx, roleControl, order{})
	return st, err
}

func (st *stage) close() error {
	var errs []error
	for _, c := range []*child{st.target, st.sink, st.control} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}

// measure makes one measurement: agent, and the floor before and after it where it is wanted. The floor before needs a
// request to copy, so the agent runs shortly before that.
func measure(ctx context.Context, binary string, s setting, progress io.Writer) (m measured, err error) {
	st, err := openStage(ctx, s, progress)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	if s.Floor {
		if err := st.capture(ctx, binary, s); err != nil {
			return m, err
		}
		if m.FloorBefore, m.FloorLate, err = st.floor(ctx, s); err != nil {
			return m, err
		}
	}
	if err := st.agent(ctx, binary, s, &m); err != nil {
		return m, err
	}
	if s.Floor {
		m.FloorAfter, _, err = st.floor(ctx, s)
	}
	return m, err
}

// capture has the agent make a run, so that the target knows what its requests look like.
func (st *stage) capture(ctx context.Context, binary string, s setting) error {
	s.Checks, s.Every, s.Timeout, s.Profile = 1, time.Second, 0, ""
	dir, err := os.MkdirTemp("", "windsock-benchmark-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := prepare(s.plan, dir, st.target.hello, st.sink.Address); err != nil {
		return err
	}
	a, err := startAgent(ctx, binary, dir, "")
	if err != nil {
		return err
	}
	for served := int64(0); served == 0 && err == nil; {
		err = errors.Join(pause(ctx, 100*time.Millisecond), st.target.ask(ctx, "/served", &served))
	}
	return errors.Join(err, a.stop())
}

func (st *stage) floor(ctx context.Context, s setting) (phase, spread, error) {
	f, err := launch(ctx, roleFloor, order{Target: st.target.hello, Checks: s.Checks, Every: s.Every, Timeout: 30 * time.Second})
	if err != nil {
		return phase{}, spread{}, err
	}
	p, _, err := st.observe(ctx, f.pid(), s.Warm/2, s.For/2, nil)
	var said floorEnd
	err = errors.Join(err, f.end(&said))
	if err == nil && said.Failed > 0 {
		err = fmt.Errorf("%d of %d requests of the floor failed", said.Failed, said.Sent)
	}
	return p, said.Lateness, err
}

func (st *stage) agent(ctx context.Context, binary string, s setting, m *measured) error {
	dir, err := os.MkdirTemp("", "windsock-benchmark-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := prepare(s.plan, dir, st.target.hello, st.sink.Address); err != nil {
		return err
	}
	return st.agentIn(ctx, binary, dir, s, m)
}

// agentIn runs the agent in a folder that is prepared.
func (st *stage) agentIn(ctx context.Context, binary, dir string, s setting, m *measured) error {
	begun := time.Now()
	a, err := startAgent(ctx, binary, dir, s.Profile)
	if err != nil {
		return err
	}
	m.Start = a.started.Sub(begun)
	var w window
	var before, after received
	m.Agent, w, err = st.observe(ctx, a.pid(), s.Warm, s.For, func(first bool) error {
		if first {
			return st.sink.ask(ctx, "/received", &before)
		}
		return st.sink.ask(ctx, "/received", &after)
	})
	err = errors.Join(err, a.stop())
	m.Log = a.log.String()
	if err != nil {
		return err
	}
	m.Received = received{
		after.Requests - before.Requests, after.Bytes - before.Bytes, after.Points - before.Points, after.Results - before.Results,
	}
	m.Told, err = read(ctx, dir, s.plan, w, a.started)
	return err
}

// observe watches a process for a while, after it has warmed up. at is called at the window's begin and end.
func (st *stage) observe(ctx context.Context, pid int, warm, long time.Duration, at func(first bool) error) (phase, window, error) {
	if at == nil {
		at = func(bool) error { return nil }
	}
	var p phase
	var w window
	var taken controlTaken
	var served int64
	err := errors.Join(pause(ctx, warm), st.control.ask(ctx, "/taken", &taken), at(true), st.target.ask(ctx, "/served", &served))
	if err != nil {
		return p, w, err
	}
	user, system, _ := cpuSplit(pid)
	wrote, err := written(pid)
	if err != nil {
		return p, w, err
	}
	cpu := cpuTime(pid)
	w.from = time.Now()
	w.to = w.from.Add(long)
	for left := long; left > 0 && err == nil; left = time.Until(w.to) {
		err = pause(ctx, min(left, time.Second))
		now, failed := memoryOf(pid)
		err = errors.Join(err, failed)
		p.Memory.Resident = max(p.Memory.Resident, now.Resident)
		p.Memory.Anonymous = max(p.Memory.Anonymous, now.Anonymous)
		p.Memory.Peak = now.Peak
	}
	p.CPU = cpuTime(pid) - cpu
	p.Window = time.Since(w.from).Seconds()
	userAfter, systemAfter, _ := cpuSplit(pid)
	wroteAfter, failed := written(pid)
	err = errors.Join(err, failed)
	p.Written = wroteAfter - wrote
	p.User, p.System = userAfter-user, systemAfter-system
	var end int64
	err = errors.Join(err, st.target.ask(ctx, "/served", &end), at(false), st.control.ask(ctx, "/taken", &p.Control))
	p.Runs = end - served
	return p, w, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
