package exportertest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Records are n records as an agent with five checks makes them, one every second, the same for the same seed: mostly
// runs that are well, among them every status, confirmed and unconfirmed failures, missed slots, alerts and the agent's
// snapshot. Ids ascend and are unique for a seed.
func Records(n int, seed uint64) []checks.Record {
	return RecordsFrom(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), n, seed)
}

// RecordsFrom is Records, the first of them at start.
func RecordsFrom(start time.Time, n int, seed uint64) []checks.Record {
	m := maker{rand: rand.New(rand.NewPCG(seed, 1)), seed: seed} //nolint:gosec // samples, the same every time
	out := make([]checks.Record, 0, n)
	for i := range n {
		out = append(out, m.record(i, start.Add(time.Duration(i)*time.Second)))
	}
	return out
}

type maker struct {
	rand *rand.Rand
	seed uint64
}

func (m *maker) id(i int) string { return fmt.Sprintf("01K%03d%020d", m.seed%1000, i) }

func (m *maker) record(i int, at time.Time) checks.Record {
	switch i % 20 {
	case 19:
		return checks.Record{ID: m.id(i), At: at, Agent: m.snapshot(at)}
	case 13:
		return checks.Record{ID: m.id(i), At: at, Alert: m.alert(i, at)}
	}
	r := m.report(i, at)
	return checks.OfReport(r)
}

func (m *maker) report(i int, at time.Time) *checks.Report {
	r := &checks.Report{
		ID: m.id(i), Check: fmt.Sprintf("chat-%d", i%5), Kind: "chat", Provider: "mistral", Location: "par1-vm7",
		Labels: map[string]string{"env": "test"}, ScheduledAt: at, StartedAt: at.Add(3 * time.Millisecond),
		Took: time.Duration(300+m.rand.IntN(900)) * time.Millisecond, Timeout: 30 * time.Second,
		Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1, Result: m.result(i),
	}
	switch {
	case r.Status == checks.Skipped:
		r.StartedAt, r.Took, r.Slots = time.Time{}, 0, 1+m.rand.IntN(3)
	case r.Status == checks.Failed && m.rand.IntN(3) == 0:
		r.Final, r.Slots = false, 0
	}
	r.Blame = r.Cause.Blame()
	return r
}

func (m *maker) result(i int) checks.Result {
	switch i % 12 {
	case 3:
		return checks.Degrade(checks.CauseSlow, "took 5.4s, objective 5s")
	case 5:
		return checks.Fail(checks.CauseServer, "503 server")
	case 7:
		return checks.Skip(checks.CauseBreakerOpen, "the breaker is open")
	case 8:
		return checks.Undetermined(checks.CauseInternal, "the agent stopped during the run")
	case 11:
		return checks.Result{Status: checks.Error, Cause: checks.CauseConfig, Summary: "no value for the secret"}
	}
	const model = "mistral-small-latest"
	result := checks.Pass("pong after 412ms")
	result.Phases = []checks.Phase{
		{Name: checks.PhaseResolve, Took: 4 * time.Millisecond},
		{Name: checks.PhaseConnect, Took: 11 * time.Millisecond},
		{Name: checks.PhaseTLS, Took: 23 * time.Millisecond},
		{Name: checks.PhaseFirstByte, Took: 310 * time.Millisecond},
		{Name: checks.PhaseFirstToken, Took: 350 * time.Millisecond},
		{Name: checks.PhaseTransfer, Took: 90 * time.Millisecond},
	}
	genAI := map[string]string{
		"gen_ai.provider.name": "mistral_ai", "gen_ai.operation.name": "chat", "gen_ai.request.model": model,
		"gen_ai.response.model": "mistral-small-2603",
	}
	result.Measurements = []checks.Measurement{
		{Name: "probe.http.status_code", Value: 200},
		{Name: "probe.llm.time_to_first_token", Value: 0.35, Unit: "s", Attrs: map[string]string{"model": model}},
		{Name: "gen_ai.client.operation.duration", Value: 0.3 + m.rand.Float64(), Unit: "s", Attrs: genAI},
		{Name: "probe.llm.rate_limit.remaining", Value: float64(m.rand.IntN(500)), Attrs: map[string]string{"resource": "requests", "window": "minute"}},
		{Name: "shop.basket", Value: 3, Unit: "{item}", Attrs: map[string]string{"city": "Nîmes"}},
	}
	result.Evidence = []checks.Step{{Name: "status", OK: true, Detail: "200"}}
	result.Usage = &checks.Usage{Model: model, PromptTokens: 12, CompletionTokens: 2, Cost: 1_900_000, PriceKnown: true, PriceDate: "2026-11-01"}
	result.Facts = map[string]string{"request_id": m.id(i)}
	return result
}

func (m *maker) alert(i int, at time.Time) *checks.Alert {
	states := []checks.AlertState{checks.AlertPending, checks.AlertFiring, checks.AlertResolved, checks.AlertNoData}
	return &checks.Alert{
		Rule: "api-down", Fingerprint: "f00d", State: states[(i/20)%len(states)], Severity: checks.P1, Blame: checks.BlameProvider,
		Since: at.Add(-time.Minute), At: at, Value: 3, Threshold: 3, Labels: map[string]string{"check": "chat-0"}, Runbook: "api-down",
	}
}

func (m *maker) snapshot(at time.Time) *checks.Snapshot {
	return &checks.Snapshot{
		Version: "1.2.3", Location: "par1-vm7", StartedAt: at.Add(-time.Hour), Measurements: []checks.Measurement{
			{Name: "windsock.export.sent", Value: float64(m.rand.IntN(60)), Attrs: map[string]string{"exporter": "otel"}},
			{Name: "windsock.breaker.state", Value: 0, Attrs: map[string]string{"provider": "mistral"}},
			{Name: "windsock.schedule.lateness", Value: 0.004, Unit: "s", Attrs: map[string]string{"q": "0.99"}},
			{Name: "windsock.store.size", Value: 1 << 20, Unit: "By"},
			{Name: "windsock.store.degraded", Value: 0},
		},
	}
}

// Hostile are records that no honest check makes, by what is wrong with them: what a broken plugin or a hostile target
// could get into the store. An exporter sends what can be sent of them and never lets one spoil another record.
func Hostile(at time.Time) map[string]checks.Record {
	of := func(change func(r *checks.Report)) checks.Record {
		r := (&maker{rand: rand.New(rand.NewPCG(1, 1))}).report(0, at) //nolint:gosec // samples
		change(r)
		return checks.OfReport(r)
	}
	measured := func(m ...checks.Measurement) checks.Record {
		return of(func(r *checks.Report) { r.Measurements = m })
	}
	long := strings.Repeat("é\n", 100_000)
	attrs := map[string]string{}
	for i := range 300 {
		attrs[fmt.Sprintf("key %d", i)] = long[:100+i]
	}
	return map[string]checks.Record{
		"nothing in it":      {ID: "01K0EMPTY", At: at},
		"nothing but a type": {ID: "01K0BARE", Report: &checks.Report{}},
		"invalid UTF-8": of(func(r *checks.Report) {
			r.Check, r.Kind, r.Provider, r.Location, r.Summary = "\xff\xfe", "\xc3\x28", "\x00", "a\nb\x1b[31m", "\xed\xa0\x80"
			r.Cause, r.Labels, r.Facts = "\xff", map[string]string{"\xff": "\xff"}, map[string]string{"\xff": "\xff"}
			r.Evidence = []checks.Step{{Name: "\xff", Detail: "\xff\n"}}
		}),
		"no finite number": measured(
			checks.Measurement{Name: "probe.http.status_code", Value: math.NaN()}, checks.Measurement{Name: "shop.x", Value: math.Inf(-1)},
			checks.Measurement{Name: "gen_ai.client.token.usage", Value: math.Inf(1)}, checks.Measurement{Name: "gen_ai.client.token.usage", Value: -1},
		),
		"huge text": of(func(r *checks.Report) {
			r.Check, r.Summary, r.ID = long, long, long
			r.Usage = &checks.Usage{Model: long, Cost: math.MaxInt64}
		}),
		"hundreds of attributes": measured(checks.Measurement{Name: "shop.x", Value: 1, Attrs: attrs}),
		"reserved names": measured(
			checks.Measurement{Name: "probe.success", Value: 1}, checks.Measurement{Name: "windsock.breaker.state", Value: 9},
			checks.Measurement{Name: "probe_success", Value: 1}, checks.Measurement{Name: "probe.runs.total", Value: 1},
			checks.Measurement{Name: "gen_ai.client.token.usage.count", Value: 1}, checks.Measurement{Name: "shop_x", Value: 1},
			checks.Measurement{Name: "shop.x", Value: 1, Attrs: map[string]string{"le": "1", "quantile": "0", "__name__": "y", "check": "z"}},
			checks.Measurement{Name: "shop.x", Value: 1, Attrs: map[string]string{"a.b": "1", "a_b": "2"}},
		),
		"names that are none": measured(
			checks.Measurement{Name: "", Value: 1}, checks.Measurement{Name: "\xff\n", Value: 1}, checks.Measurement{Name: "123", Value: 1},
			checks.Measurement{Name: long, Value: 1, Unit: long}, checks.Measurement{Name: "shop.x", Value: 2, Unit: "\xff"},
		),
		"times that are none": of(func(r *checks.Report) {
			r.StartedAt, r.ScheduledAt = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
			r.Took = math.MinInt64
			r.Phases = []checks.Phase{{Name: "\xff", Took: math.MaxInt64}, {Name: checks.PhaseTLS, Took: -1}}
		}),
		"numbers that are none": of(func(r *checks.Report) {
			r.Status, r.Attempt, r.Slots, r.Timeout = 99, math.MinInt, math.MinInt, -1
			r.Usage = &checks.Usage{PromptTokens: -5, Cost: -5}
		}),
		"an empty alert":  {ID: "01K0ALERT", At: at, Alert: &checks.Alert{}},
		"a hostile alert": {ID: "01K0ALERT2", At: at, Alert: &checks.Alert{Rule: "\xff", State: "\xff", Severity: "\xff", At: at, Value: math.NaN(), Threshold: math.Inf(1), Labels: attrs}},
		"an empty agent":  {ID: "01K0AGENT", At: at, Agent: &checks.Snapshot{}},
		"a hostile agent": {ID: "01K0AGENT2", At: at, Agent: &checks.Snapshot{Version: "\xff", Location: long, Measurements: []checks.Measurement{
			{Name: "windsock.export.sent", Value: -1}, {Name: "windsock.uptime", Value: math.NaN()}, {Name: "\xff", Value: 1},
		}}},
	}
}
