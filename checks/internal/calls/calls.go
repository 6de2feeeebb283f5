// Package calls turns one call of a provider's API into a Result, in one place for all kinds that make such calls: the
// verdict, the measurements under their names of the catalogue, and the bill. It makes no calls itself.
package calls

import (
	"context"
	"regexp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

const (
	maxLine   = 300 // bytes of a summary and of a step's detail
	maxFact   = 256
	maxLimits = 16 // pairs of rate limit that are measured
)

// Result is the verdict on call: OK, Failed by its cause, Error where the cause is ours, and Unknown where ctx was
// cancelled, because then nobody knows what would have become of it.
func Result(ctx context.Context, call *mistral.Call) checks.Result {
	r := checks.Result{
		Cause: call.Cause, Summary: oneline.Of(call.Summary, maxLine), Phases: call.Phases,
		Evidence: evidence(call.Evidence), Measurements: measurements(call), Facts: map[string]string{},
	}
	Fact(&r, "request_id", call.RequestID)
	fetch.Settle(ctx, &r)
	return r
}

// Fact adds what a server said to the facts of r, fit to be kept; "" adds nothing.
func Fact(r *checks.Result, key, value string) {
	if value = oneline.Of(value, maxFact); value != "" {
		r.Facts[key] = value
	}
}

func evidence(steps []checks.Step) []checks.Step {
	out := make([]checks.Step, 0, len(steps))
	for _, s := range steps {
		out = append(out, checks.Step{Name: s.Name, OK: s.OK, Detail: oneline.Of(s.Detail, maxLine)})
	}
	return out
}

func measurements(call *mistral.Call) []checks.Measurement {
	var all []checks.Measurement
	if call.Status != 0 {
		all = append(all, checks.Measurement{Name: "probe.http.status_code", Value: float64(call.Status)})
	}
	type pair struct{ resource, window string }
	seen := map[pair]bool{}
	for _, limit := range call.Limits {
		p := pair{word(limit.Resource), word(limit.Window)}
		if seen[p] || len(seen) == maxLimits {
			continue
		}
		seen[p] = true
		attrs := map[string]string{}
		for key, value := range map[string]string{"resource": p.resource, "window": p.window} {
			if value != "" {
				attrs[key] = value
			}
		}
		for name, value := range map[string]int64{"limit": limit.Limit, "remaining": limit.Remaining} {
			if value >= 0 {
				all = append(all, checks.Measurement{Name: "probe.llm.rate_limit." + name, Value: float64(value), Attrs: attrs})
			}
		}
	}
	return all
}

// word is a header's word fit to be an attribute: servers invent words, and each is a new series.
func word(s string) string {
	if s == "" || regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`).MatchString(s) {
		return s
	}
	return "other"
}
