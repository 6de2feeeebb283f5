// Package otel sends records to any backend that speaks OTLP: metrics with the runs' own timestamps, a log event per
// failed run and alert transition, and spans where they are asked for. It makes one attempt per batch and never retries;
// every batch that is sent again carries the same points.
package otel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const doc = "Sends every result to an OpenTelemetry collector or backend over OTLP, as http/protobuf or grpc: metrics with " +
	"the runs' own timestamps, log events, and spans on request."

// Kind is the exporter kind "otel".
func Kind() exporters.Kind {
	return exporters.NewKind("otel", doc, Params{Events: EventsFailures, MaxSeries: exporters.DefaultMaxSeries},
		func(p Params, env exporters.Env) (exporters.Exporter, error) {
			e, err := New(p, env)
			if err != nil {
				return nil, err
			}
			return e, nil
		})
}

// Exporter is an exporters.Exporter for OTLP. Make one with New. It is not safe for concurrent use.
type Exporter struct {
	log     *slog.Logger
	max     int
	state   []byte // as handed over, until the first batch
	tally   *exporters.Tally
	metrics *metricsBuilder
	logs    *logBuilder
	spans   *spanBuilder

	metricsLine *line[*metricdata.ResourceMetrics]
	logsLine    *line[[]*logspb.ResourceLogs]
	tracesLine  *line[[]*tracepb.ResourceSpans]
}

// New resolves the parameters, and the OTEL_EXPORTER_OTLP_* variables where a parameter is absent. It connects to nothing.
func New(p Params, env exporters.Env) (*Exporter, error) {
	targets, err := p.targets(env)
	if err != nil {
		return nil, err
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Probing && p.Events != EventsNone { // a backend without logs is to be found now, not at the first failure
		p.Events = EventsAll
	}
	who := newIdentity(env)
	return &Exporter{
		log:         env.Log,
		max:         p.MaxSeries,
		state:       env.State,
		metrics:     &metricsBuilder{resource: who.resource, scope: who.scope},
		logs:        &logBuilder{identity: who, events: p.Events, traces: p.Traces, runbooks: env.Runbooks},
		spans:       &spanBuilder{identity: who, wanted: p.Traces},
		metricsLine: newMetricsLine(targets[signalMetrics]),
		logsLine:    newLogsLine(targets[signalLogs]),
		tracesLine:  newTracesLine(targets[signalTraces]),
	}, nil
}

// Export sends metrics, then logs, then spans, and stops at the first that fails: the whole batch comes again then. That
// is harmless for what was already sent, because the same records become the same points, events and spans.
func (e *Exporter) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if len(batch) == 0 {
		return exporters.Outcome{}, nil
	}
	var out exporters.Outcome
	next := e.next(batch)
	if err := e.send(ctx, batch, next, &out); err != nil {
		return exporters.Outcome{}, lone(batch, err)
	}
	if next != nil {
		out.State = next.Encode()
		e.tally.Done(batch, next)
	}
	return out, nil
}

// Refresh says the gauges of the open alerts again: a backend that looks back for minutes would forget them.
func (e *Exporter) Refresh(ctx context.Context, open []checks.Alert) ([]byte, error) {
	now := time.Now()
	batch := make([]checks.Record, 0, len(open))
	for i := range open {
		alert := open[i]
		alert.At = now
		batch = append(batch, checks.Record{At: now, Alert: &alert})
	}
	rm := e.metrics.build(batch, exporters.NewTotals(now, e.max)) // of gauges there are no totals
	if rm == nil {
		return nil, nil
	}
	return nil, report(ctx, e, e.metricsLine, rm, &exporters.Outcome{})
}

// send sends the signals one after the other, as far as there is something to send.
func (e *Exporter) send(ctx context.Context, batch []checks.Record, next *exporters.Totals, out *exporters.Outcome) error {
	if next != nil {
		if rm := e.metrics.build(batch, next); rm != nil {
			if err := report(ctx, e, e.metricsLine, rm, out); err != nil {
				return err
			}
		}
	}
	if records := e.logs.build(batch); len(records) > 0 {
		if err := report(ctx, e, e.logsLine, records, out); err != nil {
			return err
		}
	}
	if spans := e.spans.build(batch); len(spans) > 0 {
		return report(ctx, e, e.tracesLine, spans, out)
	}
	return nil
}

// lone makes Poison of a batch of one that is too large.
func lone(batch []checks.Record, err error) error {
	if len(batch) == 1 && exporters.IsSplit(err) {
		return exporters.Poison(err)
	}
	return err
}

// next is a working copy of the totals. The first totals start just before the first point that there is, so that the
// start is a function of the cursor and not of the clock; before it there are none.
func (e *Exporter) next(batch []checks.Record) *exporters.Totals {
	if e.tally != nil {
		return e.tally.Next(batch)
	}
	first, ok := earliest(batch)
	if !ok && len(e.state) == 0 {
		return nil
	}
	start := first.Add(-time.Millisecond)
	totals, err := exporters.LoadTotals(e.state, start, e.max)
	if err != nil {
		e.log.Error("totals are unreadable and start again at zero", "error", err)
		e.state = nil
		if !ok {
			return nil
		}
		totals = exporters.NewTotals(start, e.max)
	}
	e.tally, e.state = exporters.NewTally(totals), nil
	return e.tally.Next(batch)
}

// report sends one signal and logs what the backend said about a part that it did not take.
func report[T any](ctx context.Context, e *Exporter, l *line[T], data T, out *exporters.Outcome) error {
	partial, err := l.send(ctx, data)
	if err != nil {
		return err
	}
	out.RejectedPoints += max(partial.rejected, 0)
	switch {
	case partial.rejected > 0:
		e.log.Warn("backend took a part only", "signal", l.target.signal.String(), "rejected", partial.rejected, "reason", partial.message)
	case partial.message != "":
		e.log.Warn("backend took all with a warning", "signal", l.target.signal.String(), "reason", partial.message)
	}
	return nil
}

// Close closes the connections.
func (e *Exporter) Close() error {
	if err := errors.Join(e.metricsLine.close(), e.logsLine.close(), e.tracesLine.close()); err != nil {
		return fmt.Errorf("closing otlp connections: %w", err)
	}
	return nil
}

// earliest is the time of the oldest point of the batch.
func earliest(batch []checks.Record) (first time.Time, ok bool) {
	for _, rec := range batch {
		for _, p := range exporters.Points(rec) {
			if !ok || p.At.Before(first) {
				first, ok = p.At, true
			}
		}
	}
	return first, ok
}
