// Package agent is the composition root: it builds every part from the configuration, runs them, reloads them and stops
// them in order. It holds no rule of its own.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/clock"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/heartbeat"
	"github.com/windsock-monitor/windsock/internal/host"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/schedule"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/store"
)

// gather is how long results wait to be stored together while they come fast. Nobody waits for a result but its exporters.
const gather = 50 * time.Millisecond

// Options is what an Agent needs.
type Options struct {
	Config   *config.Config
	Reload   func() (*config.Config, error) // reads the file again; nil: there is nothing to reload
	Registry config.Registry
	Version  string
	Log      *slog.Logger
	Getenv   func(string) string
	Stdout   io.Writer
	Notify   Notifier // systemd; nil where nobody listens
	// DevPlugins runs plugins that are not what was locked, and says so every minute.
	DevPlugins bool
	// Drill is what a drill changes of the road; nil: nothing.
	Drill *Drilled
}

// Drilled is an agent whose world is a drill's.
type Drilled struct {
	// Dial makes every connection of checks, and of exporters that are not given another network. It is never nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Speed is by how much the configuration was compressed: delivery's waits after errors are divided by it.
	Speed float64
}

// speed is that of the drill, 0 where there is none.
func (d *Drilled) speed() float64 {
	if d == nil {
		return 0
	}
	return d.Speed
}

// Agent is a running agent.
type Agent struct {
	o         Options
	store     *store.Store
	breakers  *pipeline.Breakers
	headrooms *pipeline.Headrooms
	alerts    *alerting.Keeper
	heartbeat *heartbeat.Sender
	pace      *pace
	spend     hourSpend // of the loop
	pipeline  *pipeline.Pipeline
	plugins   *plugins
	drills    *drills
	scheduler *schedule.Scheduler
	server    *status.Server // nil where nothing is served
	hand      sync.WaitGroup // runs by hand that are going on
	started   time.Time
	steady    *clock.Steady

	mu       sync.Mutex // guards the rest
	gen      *generation
	ready    bool
	draining bool
	socket   string // of the control socket, once it is open
	reload   status.Config
	last     map[string]*checks.Report // the last final report of each check
	since    map[string]time.Time      // when a check that is not well now began to be that
	previous counters                  // at the snapshot before
}

// New opens the state directory and builds every part; nothing runs before Run. A state directory that another agent
// holds is a *store.LockedError.
func New(ctx context.Context, o Options) (*Agent, error) {
	dir, err := StateDir(o.Config, o.Getenv)
	if err != nil {
		return nil, err
	}
	a := &Agent{o: o, started: time.Now(), steady: clock.NewSteady(), last: map[string]*checks.Report{}, since: map[string]time.Time{}}
	a.warnOfClock(a.started)
	defer a.sayStarting(dir)()
	opened, err := store.Open(ctx, store.Options{
		Dir: dir, MaxAge: o.Config.Store.MaxAge, Steady: a.steady, MaxBytes: o.Config.Store.MaxSize, Log: o.Log.With("part", "store"), Version: o.Version,
		WayOut: host.StateWayOut,
	})
	if err != nil {
		return nil, err
	}
	a.store = opened
	if err := a.assemble(ctx); err != nil {
		ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), pluginsEnd)
		defer cancel()
		a.plugins.close(ended)
		return nil, errors.Join(err, opened.Close())
	}
	return a, nil
}

func (a *Agent) assemble(ctx context.Context) error {
	a.breakers = pipeline.NewBreakers(a.store, a.o.Log.With("part", "breaker"))
	a.headrooms = pipeline.NewHeadrooms(a.store, a.o.Log.With("part", "headroom"))
	a.plugins = &plugins{agent: a}
	a.drills = &drills{a: a}
	if err := a.plugins.foresee(ctx, nil, a.o.Config); err != nil {
		return err
	}
	gen, err := a.build(ctx, a.o.Config)
	if err != nil {
		return err
	}
	gen.unclean = a.store.Unclean()
	a.warnOfPrices(a.o.Config, gen)
	a.warnOfPrograms(a.o.Config)
	a.gen, a.o.Config = gen, gen.cfg
	a.reload = status.Config{Path: absolute(a.o.Config.Path), LoadedAt: a.started, ReloadOK: true}
	a.breakers.Configure(ctx, gen.breakers)
	a.headrooms.Configure(ctx, headroomsOf(gen, gen.cfg.Providers))
	a.remember(ctx)
	a.pace = newPace(incident.New())
	a.pace.foresee(time.Now(), gen, a.store.States(alerting.IncidentKey))
	a.alerts = a.newKeeper(gen)
	a.heartbeat = a.newHeart()
	a.heartbeat.Configure(gen.heartbeat())
	a.breakers.Follow(a.breakerMoved)
	a.previous = a.toldTotals(ctx)
	a.pipeline = pipeline.New(gen.plan, pipeline.Options{
		Store: recorder{a}, Ledger: a.store.Ledger(), Breakers: a.breakers, Headroom: a.headrooms, Log: a.o.Log,
		Scrub: a.o.Config.Scrubber.String, Counted: addsUp,
	})
	a.scheduler, err = schedule.New(a.entries(ctx, gen.cfg), schedule.Options{
		Run: a.run, Skip: a.skip, Location: gen.cfg.Location, MaxConcurrent: gen.cfg.Concurrency.Global,
		PerHost: gen.cfg.Concurrency.PerHost, Log: a.o.Log.With("part", "schedule"), Watch: schedule.WatchClocks,
	})
	if err != nil {
		return fmt.Errorf("building the schedule: %w", err)
	}
	if gen.cfg.Listen != "" {
		a.server = status.New(gen.cfg.Listen, a, a.o.Log.With("part", "status"))
	}
	return nil
}

// addsUp reports whether the values of a metric are counted together, so that no record may tell one twice.
func addsUp(name string) bool {
	m, known := exporters.Lookup(name)
	return known && m.Kind != exporters.Gauge
}

// absolute is the path as any other process would write it.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// remember warms the memory of last results from the store, so that a restart does not forget what it knew.
func (a *Agent) remember(ctx context.Context) {
	records, err := a.store.LastRecords(ctx)
	if err != nil {
		a.o.Log.Warn("reading the last results", "error", err)
	}
	for _, record := range records {
		if record.Report != nil {
			a.keep(record.Report)
		}
	}
}

// keep remembers the last final report of a check. The caller holds the lock, where others could.
func (a *Agent) keep(r *checks.Report) {
	a.last[r.Check] = verdictOf(r)
	if r.Status == checks.OK || r.Status == checks.Degraded {
		delete(a.since, r.Check)
	} else if a.since[r.Check].IsZero() {
		a.since[r.Check] = r.At()
	}
}

// verdictOf is a report without what was measured on the way: health tells the verdict, and there may be thousands.
func verdictOf(r *checks.Report) *checks.Report {
	kept := *r
	kept.Labels, kept.Measurements, kept.Phases, kept.Evidence, kept.Usage, kept.Facts = nil, nil, nil, nil, nil, nil
	return &kept
}

// recorder is the pipeline's store: it keeps the record with the alerts that follow from it, and remembers the last final
// report of each check.
type recorder struct{ a *Agent }

// Append implements pipeline.Store.
func (r recorder) Append(ctx context.Context, record checks.Record) error {
	var within time.Duration
	if report := record.Report; report != nil && !report.StartedAt.IsZero() { // slots that were not run are told one by one
		within = gather
	}
	err := r.a.alerts.Append(ctx, within, record)
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	if record.Report != nil && record.Report.Final && r.a.has(record.Report.Check) {
		r.a.keep(record.Report)
	}
	return err
}

// verdicts are the last ones of all checks.
func (a *Agent) verdicts() []*checks.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.last))
}

// has reports whether the configuration has the check. The caller holds the lock.
func (a *Agent) has(check string) bool { return a.gen.names[check] }

// run makes the run of one slot; those of a drill say so.
func (a *Agent) run(ctx context.Context, slot schedule.Slot) {
	if a.o.Drill != nil {
		slot.Trigger = checks.TriggerDrill
	}
	a.pipeline.Run(ctx, slot)
}

func (a *Agent) skip(name string, cause checks.Cause, from time.Time, slots int, why string) {
	a.pipeline.Skip(context.Background(), name, from, slots, checks.Skip(cause, why))
}

// Run runs the agent until ctx ends, then drains it within the grace period. Each value on reload is a wish to read the
// configuration again.
func (a *Agent) Run(ctx context.Context, reload <-chan os.Signal) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var background sync.WaitGroup
	background.Go(func() {
		if err := a.store.Run(base); err != nil {
			a.o.Log.Error("store upkeep ended", "error", err)
		}
	})
	if a.server != nil {
		background.Go(func() { a.server.Run(base) })
	}
	background.Go(func() { a.control(base) })
	background.Go(func() { a.followAliases(base) })
	background.Go(func() { a.headrooms.Run(base) })
	a.startDelivery(base)
	if err := a.alerts.Start(base, a.verdicts()); err != nil {
		a.o.Log.Error("taking over the alerts of the process before", "error", err)
	}
	background.Go(func() { a.alerts.Run(base) })
	scheduled := make(chan error, 1)
	go func() { scheduled <- a.scheduler.Run(ctx) }()
	var beating sync.WaitGroup
	beating.Go(func() { a.heartbeat.Run(ctx) })
	a.becomeReady(ctx)
	a.turn(ctx, base, reload)
	beating.Wait() // an agent that is stopping is not well
	err := a.drain(base, scheduled)
	end()
	background.Wait()
	return errors.Join(err, a.store.Close())
}

// turn is the agent's own loop: reloads, the minute's snapshot, the service manager.
func (a *Agent) turn(ctx, base context.Context, reload <-chan os.Signal) {
	minute := time.NewTicker(a.snapshotEvery())
	defer minute.Stop()
	looks := a.ticks(headlineEvery)
	defer looks.Stop()
	watchdog := a.ticks(a.watchdogEvery())
	defer watchdog.Stop()
	var fed feeding
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			if ctx.Err() == nil {
				a.handleReload(ctx, base)
			}
		case <-minute.C:
			a.plugins.remind()
			a.snapshot(base)
			a.noteSpend(base, time.Now())
		case <-a.pace.changed:
			a.keepPace(base)
		case <-looks.C:
			if line := a.headline(base, time.Now()); line != told {
				told = line
				a.tell(Going, line)
			}
		case <-watchdog.C:
			a.feed(&fed)
		}
	}
}

func (a *Agent) watchdogEvery() time.Duration {
	if a.o.Notify == nil {
		return 0
	}
	return a.o.Notify.Interval()
}

// becomeReady says that the agent works, when its exporters and its first schedule stand.
func (a *Agent) becomeReady(ctx context.Context) {
	a.awaitLoops(ctx)
	a.mu.Lock()
	a.ready = true
	count, exporters := len(a.gen.cfg.Checks), len(a.gen.cfg.Exporters)
	a.mu.Unlock()
	a.o.Log.Info("agent started", "version", a.o.Version, "checks", count, "exporters", exporters)
	a.tell(Ready, a.headline(ctx, time.Now()))
}

// drain is the shutdown: runs in flight end, the last records are stored, exporters get what is left of the grace period.
// What they do not deliver is still in the store.
func (a *Agent) drain(base context.Context, scheduled <-chan error) error {
	a.o.Log.Info("stopping")
	a.mu.Lock()
	a.ready, a.draining = false, true
	grace := a.gen.cfg.Grace
	a.mu.Unlock()
	a.tell(Stopping, fmt.Sprintf("stopping: waiting for %d runs, at most %s", a.scheduler.Stats().Running, grace/2))
	ctx, cancel := context.WithTimeout(base, grace)
	defer cancel()
	cut := time.AfterFunc(grace/2, a.pipeline.Cut)
	err := <-scheduled
	a.hand.Wait()
	a.drills.end("the agent is stopping")
	cut.Stop()
	a.pipeline.Cut()
	a.alerts.Stop() // what nobody delivers any more is for the next process to judge
	a.snapshot(ctx)
	a.tell(Going, "stopping: exporters deliver what is left"+a.backlog(ctx)+"; what they do not is kept for the next start")
	if a.stopDelivery(ctx) {
		a.store.EndUnclean()
	}
	a.closeGeneration()
	a.tell(Going, "stopping: plugins and the store are closed")
	ended, free := context.WithTimeout(base, pluginsEnd) // delivery may have used up all of the grace
	defer free()
	a.plugins.close(ended)
	a.o.Log.Info("stopped")
	return err
}

// Once runs the named checks by hand, in that order, and hands each final report to each. It is for an agent that is not run.
func (a *Agent) Once(ctx context.Context, names []string, each func(*checks.Report)) error {
	return a.OnceAs(ctx, checks.TriggerManual, names, each)
}

// OnceAs is Once with another reason for the runs. Calls for different checks may be made at the same time.
func (a *Agent) OnceAs(ctx context.Context, why checks.Trigger, names []string, each func(*checks.Report)) error {
	defer a.headrooms.Flush(ctx)
	for _, name := range names {
		report, err := a.pipeline.Once(ctx, name, why)
		if err != nil {
			return err
		}
		each(report)
	}
	return nil
}

// Close ends an agent that was not run.
func (a *Agent) Close() error {
	a.pipeline.Cut()
	a.closeGeneration()
	ctx, cancel := context.WithTimeout(context.Background(), pluginsEnd)
	defer cancel()
	a.plugins.close(ctx)
	return a.store.Close()
}

// Address is where the status pages are, "" where they are off.
func (a *Agent) Address() string {
	if a.server == nil {
		return ""
	}
	return a.server.Address()
}

// Handlers implements status.Source: the exporters' own pages.
func (a *Agent) Handlers() map[string]http.Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	pages := map[string]http.Handler{}
	for _, d := range a.gen.deliveries {
		if path, page := d.page(); page != nil {
			pages[path] = page
		}
	}
	return pages
}
