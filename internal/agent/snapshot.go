package agent

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// counters are running totals by a name and its attributes, of which a snapshot carries the increments.
type counters map[string]float64

// snapshotEvery is a minute: the agent's own telemetry travels the same road as every result.
func (a *Agent) snapshotEvery() time.Duration { return a.o.Config.Snapshot }

// snapshot stores the agent's own state.
func (a *Agent) snapshot(ctx context.Context) {
	now := time.Now()
	s := &snapshotting{attrs: map[string]map[string]string{}, totals: counters{}}
	a.observeSelf(s, now)
	s.process(process())
	a.observeSchedule(s, a.scheduler.Stats(), a.scheduler.TakeLateness())
	a.observeMoney(ctx, s, now)
	a.observeHeadroom(s, now)
	a.observeStore(ctx, s, now)
	a.observeHeartbeat(s)
	a.plugins.observe(s)
	s.out = append(s.out, a.alerts.Gauges()...)
	a.mu.Lock()
	s.increments(a.previous)
	maps.Copy(a.previous, s.totals) // an exporter that a reload took away may come back
	told := a.previous.ofExport()
	location := a.gen.cfg.Location
	cut := s.cut()
	a.previous[keyCut] -= float64(cut) // the next snapshot counts them
	a.mu.Unlock()
	if cut > 0 {
		a.o.Log.Warn("the agent has more to say of itself than goes into one record; the last models' headroom and states of alerts are left out", "left_out", cut)
	}
	a.saveTold(ctx, told)
	record := checks.Record{ID: ulid.Make().String(), At: now, Agent: &checks.Snapshot{
		Version: a.o.Version, Location: location, StartedAt: a.started, Measurements: s.out,
	}}
	if err := a.alerts.Append(ctx, 0, record); err != nil {
		a.o.Log.Error("storing the agent's own state", "error", err)
	}
}

// snapshotting gathers the measurements of one snapshot.
type snapshotting struct {
	out    []checks.Measurement
	attrs  map[string]map[string]string
	names  []string // keys of totals in the order in which they came
	totals counters
}

func (s *snapshotting) gauge(name string, value float64, attrs map[string]string) {
	s.out = append(s.out, checks.Measurement{Name: name, Value: value, Attrs: attrs})
}

// keyCut is the counter of what is left out of results, of which a snapshot is one.
const keyCut = "windsock.run.measurements_dropped"

// cut brings what there is many of to the end, and drops what a record has no room for. It tells how much that is.
func (s *snapshotting) cut() int {
	many := func(m checks.Measurement) int {
		if strings.HasPrefix(m.Name, "windsock.headroom.") || m.Name == "windsock.alert.state" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(s.out, func(a, b checks.Measurement) int { return many(a) - many(b) })
	over := max(0, len(s.out)-exporters.MaxPoints)
	s.out = s.out[:len(s.out)-over]
	return over
}

// told is the key of the totals that the snapshots have told.
const told = "agent/told"

// ofExport are the counters that the store carries over restarts.
func (c counters) ofExport() counters {
	out := maps.Clone(c)
	maps.DeleteFunc(out, func(key string, _ float64) bool { return !strings.HasPrefix(key, "windsock.export.") })
	return out
}

// saveTold keeps what a snapshot is about to tell. It comes before the snapshot: a process that dies in between tells too
// little, never too much.
func (a *Agent) saveTold(ctx context.Context, totals counters) {
	data, err := json.Marshal(totals)
	if err == nil {
		err = a.store.SaveState(ctx, told, data)
	}
	if err != nil {
		a.o.Log.Error("storing the totals of the agent's own state", "error", err)
	}
}

// toldTotals are the totals of what was told before this process, so that the first snapshot tells what came since, also
// where the process before was killed. Where nobody wrote that down they are the store's.
func (a *Agent) toldTotals(ctx context.Context) counters {
	data, err := a.store.LoadState(ctx, told)
	if err == nil && data == nil {
		totals := a.durableTotals(ctx)
		a.saveTold(ctx, totals)
		return totals
	}
	totals := counters{}
	if err == nil {
		err = json.Unmarshal(data, &totals)
	}
	if err != nil {
		a.o.Log.Warn("reading the totals of the agent's own state", "error", err)
		return a.durableTotals(ctx)
	}
	return totals
}

// durableTotals are the totals that the store carries over restarts.
func (a *Agent) durableTotals(ctx context.Context) counters {
	s := &snapshotting{attrs: map[string]map[string]string{}, totals: counters{}}
	totals, err := a.store.Deliveries(ctx)
	if err != nil {
		a.o.Log.Warn("reading the cursors", "error", err)
	}
	for _, t := range totals {
		s.delivered(t.Exporter, t.Counts.Sent, t.Counts.Rejected, t.Counts.Expired)
	}
	return s.totals
}

// delivered notes what became of an exporter's records.
func (s *snapshotting) delivered(exporter string, sent int64, rejected, expired map[string]int64) {
	s.total("windsock.export.sent", float64(sent), map[string]string{"exporter": exporter})
	for reason, n := range rejected {
		s.total("windsock.export.rejected", float64(n), map[string]string{"exporter": exporter, "reason": reason})
	}
	for reason, n := range expired {
		s.total("windsock.export.expired", float64(n), map[string]string{"exporter": exporter, "reason": reason})
	}
}

// total notes a running total; the snapshot carries what it grew by.
func (s *snapshotting) total(name string, value float64, attrs map[string]string) {
	parts := []string{name}
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		parts = append(parts, k, attrs[k])
	}
	key := strings.Join(parts, "\x00")
	s.names = append(s.names, key)
	s.attrs[key] = attrs
	s.totals[key] = value
}

// increments turns the totals into what they grew by since the snapshot before. A total that shrank began anew.
func (s *snapshotting) increments(previous counters) {
	for _, key := range s.names {
		grown := s.totals[key] - previous[key]
		if grown < 0 {
			grown = s.totals[key]
		}
		s.out = append(s.out, checks.Measurement{Name: nameOf(key), Value: grown, Attrs: s.attrs[key]})
	}
}

func nameOf(key string) string {
	name, _, _ := strings.Cut(key, "\x00")
	return name
}

func (a *Agent) observeSelf(s *snapshotting, now time.Time) {
	s.gauge("windsock.build_info", 1, map[string]string{"version": a.o.Version})
	s.gauge("windsock.uptime", now.Sub(a.started).Seconds(), nil)
	s.gauge("windsock.run.abandoned", float64(a.pipeline.Abandoned()), nil)
	reload := a.config()
	s.gauge("windsock.config.reload_success", zeroOne(reload.ReloadOK), nil)
	s.gauge("windsock.config.reload_time", float64(reload.LoadedAt.UnixNano())/1e9, nil)
	for provider, state := range a.breakers.States() {
		s.out = append(s.out, breakerState(provider, float64(state)))
	}
	s.gauge("windsock.schedule.overdue", float64(len(a.overdue(now))), nil)
}

func (a *Agent) observeSchedule(s *snapshotting, stats schedule.Stats, lateness schedule.Lateness) {
	if lateness.Runs > 0 {
		s.gauge("windsock.schedule.lateness", lateness.P50.Seconds(), map[string]string{"q": "0.5"})
		s.gauge("windsock.schedule.lateness", lateness.P99.Seconds(), map[string]string{"q": "0.99"})
		s.gauge("windsock.schedule.lateness", lateness.Max.Seconds(), map[string]string{"q": "1"})
	}
	for outcome, n := range map[string]int64{
		"scheduled": stats.Scheduled, "done": stats.Done, "skipped": sum(stats.Skipped), "missed": sum(stats.Missed),
	} {
		s.total("windsock.schedule.slots", float64(n), map[string]string{"outcome": outcome})
	}
	s.total("windsock.schedule.clock_steps", float64(stats.ClockSteps), nil)
}

func sum(byReason map[string]int64) int64 {
	var total int64
	for _, n := range byReason {
		total += n
	}
	return total
}

func (a *Agent) observeMoney(ctx context.Context, s *snapshotting, now time.Time) {
	for _, b := range a.budget(ctx, now) {
		attrs := map[string]string{"window": b.Window}
		s.gauge("windsock.budget.spent.usd", b.SpentUSD, attrs)
		s.gauge("windsock.budget.limit.usd", b.LimitUSD, attrs)
	}
	s.gauge("windsock.prices.age", pricing.Default().Age(now).Seconds(), nil)
	a.mu.Lock()
	gen := a.gen
	a.mu.Unlock()
	for provider := range gen.prices {
		s.gauge("windsock.prices.unknown", float64(len(gen.unpriced(provider, now))), map[string]string{"provider": provider})
	}
}

func (a *Agent) observeStore(ctx context.Context, s *snapshotting, now time.Time) {
	health := a.store.Health()
	s.gauge("windsock.store.records", float64(health.Records), nil)
	s.gauge("windsock.store.size", float64(health.Bytes), nil)
	s.gauge("windsock.store.ring", float64(health.RingRecords), nil)
	s.gauge("windsock.store.degraded", zeroOne(!health.OK), nil)
	s.total("windsock.store.corrupt", float64(health.Corrupt), nil)
	s.total("windsock.store.dropped", float64(health.RingDropped+a.pipeline.Unstored()), nil)
	s.total("windsock.run.measurements_dropped", float64(a.pipeline.Dropped()), nil)
	for _, e := range a.exporterStates(ctx, now) {
		attrs := map[string]string{"exporter": e.Name}
		s.gauge("windsock.export.queue", float64(e.Queue), attrs)
		s.gauge("windsock.export.queue.age", e.QueueAge, attrs)
		s.gauge("windsock.export.held", zeroOne(e.Held), attrs)
		s.delivered(e.Name, e.Sent, e.Rejected, e.Expired)
	}
}

func zeroOne(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func closeExporter(e exporters.Exporter) {
	if c, ok := e.(interface{ Close() error }); ok {
		_ = c.Close()
	}
}
