package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/internal/config"
)

// The defaults of a drill.
const (
	DefaultSpeed    = 30 // a minute takes two seconds: short enough to wait for, long enough for what a busy machine does in between
	DefaultParallel = 12
	slower          = 3 // the speed of the second try is so much less
	tries           = 2
)

// Options is what a drill needs. Config, Registry and Scenarios are required.
type Options struct {
	Config    *config.Config // as it was read; its secrets are not
	Registry  config.Registry
	Scenarios []Scenario
	Version   string
	Log       *slog.Logger  // of the agents; nil is silent
	Speed     float64       // of the first try; 0 is DefaultSpeed
	Parallel  int           // scenarios at once; 0 is DefaultParallel
	Dir       string        // below which everything is written; "" is the system's temporary folder
	Done      func(Outcome) // told of each scenario, one at a time, as it is over; may be nil
}

// Run plays the scenarios, each in an agent and a world of its own, and says how each came out, in their order. It writes
// below one new folder, which is gone when it returns. The error is of the drill itself: ctx ended, or no world could be made.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	began := time.Now()
	s := settle(o.Config, o.Registry)
	for i := range o.Scenarios {
		if err := s.unknownExporter(&o.Scenarios[i]); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(o.Dir, "windsock-drill-")
	if err != nil {
		return nil, fmt.Errorf("making a place for the drill: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &player{o: &o, setting: s, dir: dir}
	outcomes, err := p.all(ctx)
	if err != nil {
		return nil, err
	}
	r := &Report{
		At: began.UTC(), Config: o.Config.Path, Took: time.Since(began).Seconds(), Scenarios: outcomes, LeftOut: s.leftOut, Changed: s.changed,
	}
	foreign := slices.ContainsFunc(o.Config.Exporters, func(e config.Exporter) bool { return e.Foreign.Plugin != "" }) // which may tell people
	if s.exporterOf(ExporterNotifier) == "" && !foreign {
		r.Nobody = "the configuration has no exporter of the kinds " + strings.Join(notifiers(), ", ") + "; what passed is in metrics and records alone"
	}
	for i := range outcomes {
		for j := range outcomes[i].Alerts {
			if text := s.cut[outcomes[i].Alerts[j].Rule]; text != "" && !slices.Contains(r.Changed, text) {
				r.Changed = append(r.Changed, text)
			}
		}
	}
	r.Count()
	return r, nil
}

// player plays scenarios side by side.
type player struct {
	o       *Options
	setting *setting
	dir     string

	mu   sync.Mutex // guards what follows, and calls of o.Done
	tops int        // folders made
}

func (p *player) all(ctx context.Context) ([]Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	outcomes := make([]Outcome, len(p.o.Scenarios))
	places := make(chan struct{}, cmp.Or(p.o.Parallel, DefaultParallel))
	var playing sync.WaitGroup
	for i := range p.o.Scenarios {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		playing.Go(func() {
			defer func() { <-places }()
			out, err := p.scenario(ctx, &p.o.Scenarios[i])
			if err != nil {
				cancel(fmt.Errorf("scenario %s: %w", p.o.Scenarios[i].Name, err))
				return
			}
			outcomes[i] = out
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.o.Done != nil {
				p.o.Done(out)
			}
		})
	}
	playing.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return outcomes, nil
}

// scenario plays one. What did not fire is tried once more, and so is what this machine may have spoilt, which is played
// slower then: one moment of a busy machine is no verdict on the team's rules.
func (p *player) scenario(ctx context.Context, sc *Scenario) (Outcome, error) {
	want := p.setting.plan(sc)
	out := Outcome{Scenario: sc.Name, What: sc.What, File: sc.File, Verdict: Failed, Add: want.add, Missing: want.missing}
	switch {
	case !want.covered():
		out.Verdict = NotCovered
		return out, nil
	case len(want.wants) == 0:
		return out, nil
	}
	speed := cmp.Or(p.o.Speed, DefaultSpeed)
	for try := 1; ; try++ {
		got, err := p.try(ctx, want, speed)
		if err != nil {
			return out, err
		}
		out.Speed, out.Tries, out.Alerts, out.Others, out.Before = speed, try, got.alerts, got.others, got.before
		out.Missing = slices.Concat(want.missing, got.missing)
		again := got.slow || got.silent()
		switch {
		case len(out.Missing) == 0:
			out.Verdict = Passed
		case len(want.missing) > 0 || got.certain || !again: // no slower machine would make it better
		case try < tries:
			if got.slow {
				speed = max(speed/slower, 1)
			}
			continue
		case got.slow:
			out.Verdict = Undecided
		}
		return out, nil
	}
}

func (p *player) folder() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tops++
	dir := fmt.Sprintf("%s/%d", p.dir, p.tops)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a place for a scenario: %w", err)
	}
	return dir, nil
}

// try plays a scenario once.
func (p *player) try(ctx context.Context, want *plan, speed float64) (*played, error) {
	dir, err := p.folder()
	if err != nil {
		return nil, err
	}
	own := *p.setting
	own.cfg = cloned(p.setting.cfg)
	st, err := newStage(ctx, staging{&own, speed, want.sc.Name, dir}, p.o)
	if err != nil {
		return nil, err
	}
	st.start(ctx)
	defer func() { _ = os.RemoveAll(dir) }()
	defer st.close() //nolint:contextcheck // what is closed ends though ctx has
	return st.play(ctx, want)
}

func cloned(cfg *config.Config) *config.Config {
	own := *cfg
	return &own
}
