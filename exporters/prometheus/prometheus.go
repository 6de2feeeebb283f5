// Package prometheus serves what the last runs said, and the totals of all runs, as a scrape page. It sends nothing, so its
// cursor always moves. A page is made between two batches, never within one, and shows no value that is not current:
// the gauges of a check are those of its last record and of nothing older.
package prometheus

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Params is the `with:` section of the kind "prometheus".
type Params struct {
	Path       string        `yaml:"path" jsonschema_description:"path of the page on the agent's listener"`
	MaxSeries  int           `yaml:"max_series" jsonschema:"minimum=1" jsonschema_description:"bound on the series of one metric; counts beyond it are added up in one series, other=true, and gauges beyond it are hidden and counted"`
	StaleAfter time.Duration `yaml:"stale_after" jsonschema_description:"how long after its last record a check's gauges are shown; 0 is three of its intervals, at least ten minutes"`
}

// Validate checks path and bounds.
func (p Params) Validate() error {
	var errs []error
	if !strings.HasPrefix(p.Path, "/") || p.Path == "/" || path.Clean(p.Path) != p.Path || strings.ContainsAny(p.Path, " {}?#%") {
		errs = append(errs, checks.Invalid("path", "%q is no path of a page, want one like /metrics", p.Path))
	}
	if p.MaxSeries < 1 {
		errs = append(errs, checks.Invalid("max_series", "%d, want at least 1", p.MaxSeries))
	}
	if p.StaleAfter < 0 {
		errs = append(errs, checks.Invalid("stale_after", "%s, want 0s or more", p.StaleAfter))
	}
	return errors.Join(errs...)
}

const doc = "Serves the last values and the totals of every check on the agent's listener, for Prometheus to scrape."

// Kind is the exporter kind "prometheus".
func Kind() exporters.Kind {
	defaults := Params{Path: "/metrics", MaxSeries: exporters.DefaultMaxSeries}
	return exporters.NewKind("prometheus", doc, defaults, func(p Params, env exporters.Env) (exporters.Exporter, error) {
		return New(p, env)
	})
}

// Exporter is the page. Make one with New. Scrapes may run at any time beside Export and Refresh.
type Exporter struct {
	params Params
	log    *slog.Logger
	names  *names
	labels []exporters.Attr // on every series that does not have them itself

	mu      sync.Mutex         // guards what follows
	tally   *exporters.Tally   // nil before the first batch of a new exporter
	sources map[string]*source // by what they are about
}

// New makes a page of env.Warm and of the totals in env.State. It starts nothing.
func New(p Params, env exporters.Env) (*Exporter, error) {
	e := &Exporter{
		params: p, log: env.Log, names: newNames(), labels: constant(env), sources: map[string]*source{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if len(env.State) > 0 {
		totals, err := exporters.LoadTotals(env.State, time.Time{}, p.MaxSeries)
		if err != nil {
			e.log.Error("totals are unreadable and start again at zero", "exporter", env.Name, "error", err)
		} else {
			e.tally = exporters.NewTally(totals)
		}
	}
	now := time.Now()
	for _, rec := range env.Warm {
		e.show(rec, exporters.Points(rec), now)
	}
	return e, nil
}

// Export takes the batch into the page. It always succeeds.
func (e *Exporter) Export(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if len(batch) == 0 {
		return exporters.Outcome{}, nil
	}
	points := make([][]exporters.Point, len(batch))
	for i := range batch {
		points[i] = exporters.Points(batch[i])
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tally == nil {
		e.tally = exporters.NewTally(exporters.NewTotals(before(batch, points), e.params.MaxSeries))
	}
	next := e.tally.Next(batch)
	for i := range batch {
		for _, p := range points[i] {
			next.Add(p)
		}
		e.show(batch[i], points[i], now)
	}
	e.tally.Done(batch, next)
	e.forget(now)
	return exporters.Outcome{State: next.Encode()}, nil
}

// before is just before the first point of the batch: when new totals were zero. It is a function of the cursor.
func before(batch []checks.Record, points [][]exporters.Point) time.Time {
	var first time.Time
	for _, of := range points {
		if len(of) > 0 && (first.IsZero() || of[0].At.Before(first)) {
			first = of[0].At
		}
	}
	if first.IsZero() {
		return batch[0].At
	}
	return first.Add(-time.Millisecond)
}

// Refresh shows the alerts that are open now, also those that began before a restart, and forgets those that were open and
// are not any more, because their rule is gone.
func (e *Exporter) Refresh(_ context.Context, open []checks.Alert) ([]byte, error) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	current := map[string]bool{}
	for i := range open {
		rec := checks.Record{At: open[i].At, Alert: &open[i]}
		current[subject(rec)] = true
		if _, known := e.sources[subject(rec)]; !known {
			e.show(rec, exporters.Points(rec), now)
		}
	}
	for key, s := range e.sources {
		if s.alert.Open() && !current[key] && now.Sub(s.heard) > refreshLag {
			delete(e.sources, key)
		}
	}
	return nil, nil
}

// Handler serves the page, as text or OpenMetrics, whatever the scraper asks for.
func (e *Exporter) Handler() (pattern string, handler http.Handler) {
	return e.params.Path, promhttp.HandlerFor(e, promhttp.HandlerOpts{
		EnableOpenMetrics: true, ErrorHandling: promhttp.HTTPErrorOnError,
	})
}
