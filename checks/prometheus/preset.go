package prometheus

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// Preset is a set of queries that need not be written.
type Preset string

// PresetChecklist asks for what the checklist alerts on.
const PresetChecklist Preset = "checklist"

// manyBeyond is the share of the requests above the highest bucket from which on the p95 is there too.
const manyBeyond = 0.05

func (p Params) validatePreset() error {
	switch p.Preset {
	case "":
		if p.Metrics != traffic.Checklist() && p.Metrics != (traffic.Metrics{}) {
			return checks.Invalid("metrics", "they are for a preset, and there is none")
		}
		return nil
	case PresetChecklist:
	default:
		return checks.Invalid("preset", "%q, want %s", p.Preset, PresetChecklist)
	}
	if err := p.Metrics.Validate("metrics"); err != nil {
		return err
	}
	if !promql.IsMatchers("{" + p.Metrics.Matchers + "}") {
		return checks.Invalid("metrics.matchers", `want what stands in braces, such as job="shop", env="prod"`)
	}
	return nil
}

// all are the queries of the section, and those of the preset whose names are not taken.
func (p Params) all() []Query {
	out := slices.Clone(p.Queries)
	if p.Preset == "" {
		return out
	}
	for _, q := range traffic.Questions(p.Metrics) {
		if slices.ContainsFunc(p.Queries, func(own Query) bool { return own.Name == q.Name }) {
			continue
		}
		missing := PolicyUnknown
		if !q.Missing {
			missing = PolicyIgnore
		}
		out = append(out, Query{Name: q.Name, Query: q.PromQL, Unit: q.Unit, By: q.By, Blame: q.Blame, Missing: missing})
	}
	return out
}

// saturated says what the highest bucket of the durations hides.
func (p *Prometheus) saturated(findings []finding) {
	if p.params.Preset == "" {
		return
	}
	var top, beyond, p95 *finding
	for i := range findings {
		switch findings[i].query.Name {
		case traffic.LatencyTop:
			top = &findings[i]
		case traffic.LatencyBeyond:
			beyond = &findings[i]
		case traffic.LatencyP95:
			p95 = &findings[i]
		}
	}
	if top == nil || beyond == nil || p95 == nil {
		return
	}
	highest, limit := top.only(), p.params.Metrics.LatencyAbove.Seconds()
	if highest < limit {
		top.add(&promql.Problem{
			Status: checks.Degraded, Cause: checks.CauseAssertion, Blame: checks.BlameApplication, Step: "buckets",
			Text: fmt.Sprintf("the highest bucket of %s is %s s: a p95 above %s s cannot be seen, add higher buckets", p.params.Metrics.Duration, seconds(highest), seconds(limit)),
		})
	}
	if share := beyond.only(); share > manyBeyond {
		p95.notes = append(p95.notes, checks.Step{Name: "buckets", OK: true, Detail: p95.line(fmt.Sprintf(
			"at least that: %.0f %% of the requests took longer than the highest bucket of %s s", 100*share, seconds(highest)))})
	}
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'g', 6, 64) }

// only is the one number that was measured; NaN where there is none.
func (f *finding) only() float64 {
	for _, m := range f.measurements {
		if m.Name == f.query.measurement() {
			return m.Value
		}
	}
	return math.NaN()
}
