// Package calls turns one call of a provider's API into a Result, in one place for all kinds that make such calls: the
// verdict, the measurements under their names of the catalogue, and the bill. It makes no calls itself.
package calls

import (
	"context"
	"fmt"
	"slices"
	"strings"

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

// Lent is the provider that a check was lent, as the interface that its kind needs; does says what that is, for the error of one
// that is something else. Nothing lent is the zero value: a configuration is being validated, and runs are errors.
func Lent[P any](env checks.Env, does string) (P, error) {
	var provider P
	if env.Provider == nil {
		return provider, nil
	}
	provider, ok := env.Provider.(P)
	if !ok {
		return provider, fmt.Errorf("the provider is a %T, which cannot %s", env.Provider, does)
	}
	return provider, nil
}

// Result is the verdict on call: OK, Failed by its cause, Error where the cause is ours, and Unknown where ctx was
// cancelled, because then nobody knows what would have become of it.
func Result(ctx context.Context, call *mistral.Call) checks.Result {
	r := checks.Result{
		Cause: call.Cause, Summary: oneline.Of(call.Summary, maxLine), Phases: call.Phases,
		Evidence: evidence(call.Evidence), Measurements: measurements(call), Facts: map[string]string{},
	}
	Fact(&r, "request_id", call.RequestID)
	if call.KeyUsed == mistral.KeyFallback {
		Fact(&r, "key_used", call.KeyUsed)
	}
	fetch.Settle(ctx, &r)
	return r
}

// IsModel reports whether a text of the configuration can be a model's id or alias: one line of at most 100 bytes, and no more.
func IsModel(id string) bool {
	const most = 100
	return id != "" && len(id) <= most && id == oneline.Of(strings.TrimSpace(id), most)
}

// Truth is the value of a measurement that is a yes or a no.
func Truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Forgetful tells that a check's memory fails: what it knew may be lost or cannot be kept, so that a run that is well is not.
func Forgetful(r *checks.Result, trouble string) {
	trouble = oneline.Of(trouble, maxLine)
	r.Evidence = append(r.Evidence, checks.Step{Name: "memory", Detail: trouble})
	if r.Status == checks.OK {
		r.Status, r.Cause, r.Summary = checks.Degraded, checks.CauseInternal, trouble
	}
}

// Fact adds what a server said to the facts of r, fit to be kept; "" adds nothing.
func Fact(r *checks.Result, key, value string) {
	if value = oneline.Of(value, maxFact); value == "" {
		return
	}
	if r.Facts == nil {
		r.Facts = map[string]string{}
	}
	r.Facts[key] = value
}

func evidence(steps []checks.Step) []checks.Step {
	out := make([]checks.Step, 0, len(steps))
	for _, s := range steps {
		out = append(out, checks.Step{Name: s.Name, OK: s.OK, Detail: oneline.Of(s.Detail, maxLine)})
	}
	return out
}

func measurements(call *mistral.Call) []checks.Measurement {
	all := make([]checks.Measurement, 0, 1+3*min(len(call.Limits), maxLimits)+8)
	if call.Status != 0 {
		all = append(all, checks.Measurement{Name: "probe.http.status_code", Value: float64(call.Status)})
	}
	type pair struct{ resource, window string }
	seen := make(map[pair]bool, len(call.Limits))
	for _, limit := range call.Limits {
		p := pair{word(limit.Resource), word(limit.Window)}
		if seen[p] || len(seen) == maxLimits {
			continue
		}
		seen[p] = true
		attrs := make(map[string]string, 2)
		if p.resource != "" {
			attrs["resource"] = p.resource
		}
		if p.window != "" {
			attrs["window"] = p.window
		}
		all = append(all, pairOf(limit, attrs)...)
	}
	return all
}

// pairOf measures one rate limit, as far as the headers said.
func pairOf(limit mistral.RateLimit, attrs map[string]string) []checks.Measurement {
	var all []checks.Measurement
	add := func(name string, value float64) {
		all = append(all, checks.Measurement{Name: "probe.llm.rate_limit." + name, Value: value, Attrs: attrs})
	}
	if limit.Limit >= 0 {
		add("limit", float64(limit.Limit))
	}
	if limit.Remaining >= 0 {
		add("remaining", float64(limit.Remaining))
	}
	if limit.Limit > 0 && limit.Remaining >= 0 && limit.Remaining <= limit.Limit {
		add("share", float64(limit.Remaining)/float64(limit.Limit))
	}
	return all
}

// CheckQueryCost compares what the rate limiter counted with the usage that the answer told: they are two words of the same
// provider on the same call, and the application's limits are used up by the first.
func CheckQueryCost(r *checks.Result, call *mistral.Call, told *mistral.Usage) {
	if call.QueryCost <= 0 || told == nil {
		return
	}
	total := max(told.PromptTokens, 0) + max(told.CompletionTokens, 0)
	difference := call.QueryCost - total
	r.Measurements = append(r.Measurements,
		checks.Measurement{Name: "probe.llm.query_cost", Value: float64(call.QueryCost), Unit: "{token}"},
		checks.Measurement{Name: "probe.llm.query_cost.difference", Value: float64(difference), Unit: "{token}"},
	)
	const tokens, share = 8, 10 // that may differ: a template's marks are counted by one and not by the other
	if off := max(difference, -difference); off > tokens && off > total/share {
		r.Evidence = append(r.Evidence, checks.Step{
			Name: "query_cost", Detail: fmt.Sprintf("the rate limiter counted %d tokens, and the usage tells %d", call.QueryCost, total),
		})
	}
}

const (
	lower    = "abcdefghijklmnopqrstuvwxyz"
	alphanum = lower + "0123456789"
)

// word is a header's word fit to be an attribute: servers invent words, and each is a new series.
func word(s string) string {
	if s == "" || isName(s, 32, alphanum, alphanum+"_-") {
		return s
	}
	return "other"
}

// isName reports whether s has at most so many characters, all of rest, and the first of begin.
func isName(s string, most int, begin, rest string) bool {
	return s != "" && len(s) <= most && strings.IndexByte(begin, s[0]) >= 0 && strings.Trim(s, rest) == ""
}

// Measures are the names of what Result measures of a call, and those that are given beside, sorted: for checks.Measuring.
func Measures(beside ...string) []string {
	names := append(fetch.Measures(),
		"probe.llm.rate_limit.limit", "probe.llm.rate_limit.remaining", "probe.llm.rate_limit.share")
	names = append(names, beside...)
	slices.Sort(names)
	return names
}

// Generates are the names of what a Generation and CheckQueryCost measure. Only a stream tells when its parts came.
func Generates(streamed bool) []string {
	names := []string{"gen_ai.client.operation.duration", "gen_ai.client.token.usage", "probe.llm.query_cost", "probe.llm.query_cost.difference"}
	if streamed {
		names = append(names, "gen_ai.client.operation.time_to_first_chunk", "probe.llm.inter_chunk", "probe.llm.time_to_first_token")
	}
	return names
}
