package credentials

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

// maxSummary bounds the summary, in bytes.
const maxSummary = 300

// answer is what the provider said to one key.
type answer struct {
	key    mistral.Key
	call   mistral.Call
	result checks.Result
}

func ask(ctx context.Context, key mistral.Key) *answer {
	a := &answer{key: key}
	_, a.call = key.Models(ctx)
	a.result = calls.Result(ctx, &a.call)
	return a
}

// refused reports whether the provider judged the key, and did not take it.
func (a *answer) refused() bool { return a.call.Status == http.StatusUnauthorized }

// unreadable reports whether there was no key to ask with.
func (a *answer) unreadable() bool { return a.call.Cause == checks.CauseConfig && a.call.Status == 0 }

// weight is how much a finding counts.
type weight uint8

const (
	decisive weight = iota // of the first key, on which all calls depend
	doubtful               // known, and nobody suffers from it yet
	open                   // of the fallback key, of which nobody knows
)

// finding is what is wrong.
type finding struct {
	weight weight
	status checks.Status
	cause  checks.Cause
	text   string
}

// ofPrimary judges the first key, and says of a refused one whether the fallback key would do.
func ofPrimary(primary, fallback *answer) []finding {
	switch {
	case primary.call.OK():
		return nil
	case primary.unreadable():
		return []finding{{decisive, checks.Error, checks.CauseConfig, "the primary key cannot be used: " + primary.call.Summary}}
	case !primary.refused():
		return []finding{{decisive, checks.Unknown, primary.call.Cause, "the primary key could not be judged: " + primary.call.Summary}}
	}
	text := "the primary key is refused (401)"
	switch {
	case fallback == nil:
	case fallback.call.OK():
		text += ", the fallback key is accepted: the key is at fault, not the service"
	case !fallback.refused():
		text += ", and nobody knows of the fallback key"
	}
	return []finding{{decisive, checks.Failed, checks.CauseAuth, text}}
}

func ofFallback(a *answer) []finding {
	switch {
	case a.call.OK():
		return nil
	case a.refused():
		return []finding{{doubtful, checks.Degraded, checks.CauseAuth, "the fallback key is refused (401)"}}
	case a.unreadable():
		return []finding{{doubtful, checks.Degraded, checks.CauseConfig, "the fallback key cannot be used: " + a.call.Summary}}
	}
	return []finding{{open, checks.Unknown, a.call.Cause, "the fallback key could not be judged: " + a.call.Summary}}
}

// step is what was asked with the fallback key. The steps of the first key's call come before it.
func step(a *answer) checks.Step {
	detail := a.call.Summary
	if !a.unreadable() {
		detail = fmt.Sprintf("read from %s: %s", a.key.Where(), detail)
	}
	return checks.Step{Name: "fallback_key", OK: a.call.OK(), Detail: oneline.Of(detail, maxSummary)}
}

// measure says whether a key is accepted, where the provider judged it: no number is better than an invented one.
func measure(r *checks.Result, a *answer) {
	if a.call.OK() || a.refused() {
		r.Measurements = append(r.Measurements, checks.Measurement{
			Name: "probe.key.valid", Value: calls.Truth(a.call.OK()), Attrs: map[string]string{"key": a.key.Name},
		})
	}
}

// settle makes the findings the verdict: the one that counts most gives status and cause, all are told.
func settle(r *checks.Result, found []finding, keys int) {
	r.Status, r.Cause, r.Summary = checks.OK, checks.CauseNone, "the key is accepted"
	if keys > 1 {
		r.Summary = "both keys are accepted"
	}
	if len(found) == 0 {
		return
	}
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.weight, b.weight) })
	texts := make([]string, 0, len(found))
	for _, f := range found {
		texts = append(texts, f.text)
	}
	r.Status, r.Cause, r.Summary = found[0].status, found[0].cause, oneline.Of(strings.Join(texts, "; "), maxSummary)
}
