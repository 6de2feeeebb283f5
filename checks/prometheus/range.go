package prometheus

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
)

// Aggregate makes one number of the samples of a series in a range. Steps without a sample are left out of it: they are
// not zero.
type Aggregate string

// The aggregates. Quantiles are by linear interpolation between the closest ranks, as quantile_over_time() has them.
const (
	Last  Aggregate = "last"
	Min   Aggregate = "min"
	Max   Aggregate = "max"
	Avg   Aggregate = "avg"
	Sum   Aggregate = "sum"
	Count Aggregate = "count"
	P50   Aggregate = "p50"
	P90   Aggregate = "p90"
	P95   Aggregate = "p95"
	P99   Aggregate = "p99"
)

func aggregates() []Aggregate {
	return []Aggregate{Last, Min, Max, Avg, Sum, Count, P50, P90, P95, P99}
}

const (
	defaultStep = 30 * time.Second
	longest     = 31 * 24 * time.Hour
	mostSteps   = 1000
	mostSamples = 20_000 // of one answer: what fits into its bound, with room for labels
)

func (q Query) step() time.Duration {
	if q.Step == 0 {
		return defaultStep
	}
	return q.Step
}

// steps is how many samples a series of the range may have.
func (q Query) steps() int { return int(q.Range/q.step()) + 1 }

func (q Query) validateRange(path string) error {
	bad := func(key, format string, args ...any) error {
		return checks.Invalid(path+"."+key, format, args...)
	}
	switch {
	case q.Range < 0 || q.Range > longest:
		return bad("range", "%s, want more than 0s and at most %s", q.Range, longest)
	case q.Range == 0 && q.Step != 0:
		return bad("step", "there is no range that it could be of")
	case q.Range == 0 && q.Aggregate != "":
		return bad("aggregate", "there is no range of samples to make one number of")
	case q.Range == 0:
		return nil
	case !slices.Contains(aggregates(), q.Aggregate):
		return bad("aggregate", "%q, want one of %v", q.Aggregate, aggregates())
	case q.step() < time.Second || q.step() > q.Range:
		return bad("step", "%s, want 1s at least and at most the range of %s", q.step(), q.Range)
	case q.steps() > mostSteps:
		return bad("step", "%d steps of %s in %s, want at most %d", q.steps(), q.step(), q.Range, mostSteps)
	case q.steps()*q.mostSeries() > mostSamples:
		return bad("step", "up to %d samples, want at most %d: fewer steps, or a lower max_series", q.steps()*q.mostSeries(), mostSamples)
	}
	return nil
}

// over asks for the range that ends now by the server's clock, and makes one number of each series.
func (p *Prometheus) over(ctx context.Context, f *finding) (*fetch.Answer, promql.Answer, *promql.Problem) {
	a, clock, trouble := p.server.Instant(ctx, "time()", time.Time{})
	if trouble != nil {
		return a, promql.Answer{}, trouble
	}
	a, got, trouble := p.server.Range(ctx, f.query.Query, promql.Span{End: clock.At, Length: f.query.Range, Step: f.query.step()})
	if trouble != nil {
		return a, promql.Answer{}, trouble
	}
	out := promql.Answer{At: clock.At, Warnings: got.Warnings, Infos: got.Infos}
	seen, odd := 0, 0
	for _, s := range got.Series {
		values := make([]float64, 0, len(s.Points))
		for _, point := range s.Points {
			if math.IsNaN(point.Value) || math.IsInf(point.Value, 0) {
				odd++
				continue
			}
			values = append(values, point.Value)
		}
		seen += len(values)
		out.Samples = append(out.Samples, promql.Sample{Labels: s.Labels, Value: aggregate(f.query.Aggregate, values)})
	}
	text := fmt.Sprintf("%s of %d steps", plural(seen, "sample"), f.query.steps()*len(got.Series))
	if odd > 0 {
		text += fmt.Sprintf(", and %d that are not finite numbers, which are left out", odd)
	}
	f.notes = append(f.notes, checks.Step{Name: "range", OK: true, Detail: f.line(text)})
	return a, out, nil
}

// aggregate is NaN where there are no values.
func aggregate(a Aggregate, values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	switch a {
	case Min:
		return slices.Min(values)
	case Max:
		return slices.Max(values)
	case Avg:
		return sum(values) / float64(len(values))
	case Sum:
		return sum(values)
	case Count:
		return float64(len(values))
	case P50:
		return quantile(0.50, values)
	case P90:
		return quantile(0.90, values)
	case P95:
		return quantile(0.95, values)
	case P99:
		return quantile(0.99, values)
	case Last:
	}
	return values[len(values)-1]
}

// sum keeps what adding small numbers to a big one would lose (Kahan and Babuška).
func sum(values []float64) float64 {
	total, lost := 0.0, 0.0
	for _, v := range values {
		next := total + v
		if math.Abs(total) >= math.Abs(v) {
			lost += (total - next) + v
		} else {
			lost += (v - next) + total
		}
		total = next
	}
	if math.IsInf(total, 0) || math.IsNaN(lost) {
		return total
	}
	return total + lost
}

func quantile(q float64, values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	rank := q * float64(len(sorted)-1)
	low := int(rank)
	high := min(low+1, len(sorted)-1)
	weight := rank - float64(low)
	return sorted[low]*(1-weight) + sorted[high]*weight
}
