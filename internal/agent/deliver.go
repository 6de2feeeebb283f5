package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// delivering is one exporter with its worker. The exporter is built late, by the worker, from the state that the cursor
// carries; until then there is no page of its to serve.
type delivering struct {
	name, kind string
	replay     bool
	worker     *delivery.Worker

	mu       sync.Mutex // guards exporter
	exporter exporters.Exporter
}

func (d *delivering) set(e exporters.Exporter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.exporter = e
}

func (d *delivering) get() exporters.Exporter {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.exporter
}

// page is what the exporter serves on the agent's listener; a nil handler where it serves nothing.
func (d *delivering) page() (string, http.Handler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h, ok := d.exporter.(exporters.Handler); ok {
		return h.Handler()
	}
	return "", nil
}

// exporters makes a worker per exporter; nothing is opened before the worker runs.
func (a *Agent) exporters(gen *generation) error {
	if err := checkPages(gen.cfg, a.o.Registry); err != nil {
		return err
	}
	for i := range gen.cfg.Exporters {
		e := &gen.cfg.Exporters[i]
		open, err := a.opener(e)
		if err != nil {
			return err
		}
		d := &delivering{name: e.Name, kind: e.Kind, replay: e.Replay}
		d.worker = delivery.New(delivery.Options{
			Name: e.Name, Queue: a.store, MaxAge: e.MaxAge, Steady: a.steady, BatchSize: e.BatchSize, Timeout: e.Timeout, Replay: e.Replay,
			Speed: a.o.Drill.speed(), Log: a.o.Log.With("exporter", e.Name), Alerts: a.openAlerts, WayOut: a.exportWayOut,
			Took: func(alert *checks.Alert, ok bool) { a.drills.took(d, alert, ok) },
			Open: func(ctx context.Context, state []byte) (exporters.Exporter, error) {
				built, err := open(a.exporterEnv(ctx, gen, e, state))
				if err != nil {
					return nil, err
				}
				d.set(built)
				return built, nil
			},
		})
		gen.deliveries = append(gen.deliveries, d)
	}
	return nil
}

// opener is how an exporter is built of its kind.
func (a *Agent) opener(e *config.Exporter) (func(exporters.Env) (exporters.Exporter, error), error) {
	if e.Foreign.Plugin != "" {
		return a.plugins.exporter(e)
	}
	at := slices.IndexFunc(a.o.Registry.Exporters, func(k exporters.Kind) bool { return k.Name == e.Kind })
	if at < 0 {
		return nil, fmt.Errorf("exporter %q: no kind %q", e.Name, e.Kind)
	}
	kind := a.o.Registry.Exporters[at]
	if err := kind.Validate(e.With); err != nil {
		return nil, e.Place(err)
	}
	return func(env exporters.Env) (exporters.Exporter, error) {
		built, err := kind.New(e.With, env)
		if err != nil {
			return nil, e.Place(err)
		}
		return built, nil
	}, nil
}

// openAlerts are the alerts that are open now, those of a drill among them; false while nobody judges yet. It is called by every worker, at any time.
func (a *Agent) openAlerts() ([]checks.Alert, bool) { return a.alerts.Told() }

func (a *Agent) exporterEnv(ctx context.Context, gen *generation, e *config.Exporter, state []byte) exporters.Env {
	warm, err := a.store.LastRecords(ctx)
	if err != nil {
		a.o.Log.Warn("reading the last results", "exporter", e.Name, "error", err)
	}
	warm = slices.DeleteFunc(warm, func(r checks.Record) bool {
		return r.Report == nil || !gen.names[r.Report.Check]
	})
	return exporters.Env{
		Log: a.o.Log.With("exporter", e.Name), Name: e.Name, Version: a.o.Version, Instance: a.store.Instance(),
		Location: gen.cfg.Location, Runbooks: gen.cfg.Runbook.URL, Labels: gen.cfg.Labels, State: state, Warm: warm, Network: gen.network,
		Stdout: a.o.Stdout, Getenv: a.o.Getenv,
		Unclean: gen.unclean,
	}
}

// startDelivery starts the workers of the present generation, and looks for its keys. The cursors of new exporters are placed first: whatever is
// stored after it returns is theirs.
func (a *Agent) startDelivery(ctx context.Context) {
	a.mu.Lock()
	gen := a.gen
	a.mu.Unlock()
	ctx, gen.stop = context.WithCancel(ctx)
	for _, d := range gen.deliveries {
		if _, err := a.store.Cursor(ctx, d.name, d.replay); err != nil {
			a.o.Log.Warn("placing the cursor", "exporter", d.name, "error", err) // the worker tries again
		}
	}
	keys, enough := context.WithCancel(ctx)
	gen.done.Go(func() { defer enough(); a.warnOfKeys(keys, gen.cfg) })
	gen.done.Go(func() {
		select {
		case <-gen.soft: // nobody waits for a program that brings a key
			enough()
		case <-keys.Done():
		}
	})
	for _, d := range gen.deliveries {
		gen.done.Go(func() {
			if err := d.worker.Run(ctx, gen.soft); err != nil {
				gen.cut.Store(true)
				a.o.Log.Error("delivery ended", "exporter", d.name, "error", err)
			}
		})
	}
}

// stopDelivery lets the workers deliver what is there until ctx ends, and waits for them. It reports whether what one of
// them wrote may be cut off.
func (a *Agent) stopDelivery(ctx context.Context) bool {
	a.mu.Lock()
	gen := a.gen
	a.mu.Unlock()
	gen.endDelivery(ctx)
	return gen.cut.Load()
}

func (gen *generation) endDelivery(ctx context.Context) {
	close(gen.soft)
	ended := context.AfterFunc(ctx, gen.stop)
	gen.done.Wait()
	ended()
	gen.stop()
}

// probeRecord is what `validate --online` sends: the agent's own build, which no reader can take for a result.
func probeRecord(version, id string) checks.Record {
	now := time.Now()
	return checks.Record{ID: id, At: now, Agent: &checks.Snapshot{
		Version:      version,
		StartedAt:    now,
		Measurements: []checks.Measurement{{Name: "windsock.build_info", Value: 1, Attrs: map[string]string{"version": version}}},
	}}
}
