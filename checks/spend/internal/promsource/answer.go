package promsource

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// mostCounted is more than anybody uses, in tokens and in dollars: beyond it a number is a mistake.
const (
	mostTokens  = 1e15
	mostDollars = 1e6
)

// counted is what an answer says of one window.
type counted struct {
	bucket

	oldest time.Time // of the newest samples; zero where there are none
	down   int
}

// ask makes one query about some windows, and reads what it says of each.
func (s *Source) ask(ctx context.Context, query string, at time.Time, windows int) ([]counted, *source.Problem) {
	if s.server.Out == nil {
		return nil, source.Problemf(checks.CauseInternal, "there is no network to ask through")
	}
	exchange, got, trouble := s.server.Instant(ctx, query, at)
	if trouble != nil {
		return nil, &source.Problem{Cause: trouble.Cause, Blame: trouble.Blame, Text: trouble.Text}
	}
	if len(got.Warnings) > 0 {
		return nil, ours(checks.CauseAssertion, "perhaps a part of the truth, the server warns: "+exchange.Line(got.Warnings[0]))
	}
	if !got.At.IsZero() && got.At.Unix() != at.Unix() {
		return nil, ours(checks.CauseMalformed, "an answer for another time than the one that was asked for")
	}
	out := make([]counted, windows)
	for _, sample := range got.Samples {
		if trouble := s.take(out, sample, exchange); trouble != nil {
			return nil, trouble
		}
	}
	for i := range out {
		out[i].bounded()
	}
	return out, nil
}

// ours is a Problem that is our own: the server is, and neither the provider nor its account has anything to do with it.
func ours(cause checks.Cause, text string) *source.Problem {
	return &source.Problem{Cause: cause, Blame: checks.BlameOurs, Text: text}
}

// take adds one row of an answer to its window.
func (s *Source) take(out []counted, sample promql.Sample, exchange *fetch.Answer) *source.Problem {
	index := 0
	if text, ok := sample.Labels[windowLabel]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= len(out) {
			return ours(checks.CauseMalformed, "a row of a window that was not asked for")
		}
		index = n
	}
	c, value := &out[index], sample.Value
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return ours(checks.CauseAssertion, fmt.Sprintf("%v is not a finite number", value))
	}
	if value < 0 {
		return ours(checks.CauseMalformed, "a count below zero")
	}
	switch sample.Labels[partLabel] {
	case partGrown, partFirst:
		return s.add(c, sample, exchange)
	case partSeen, partUp:
		c.Whole = c.Whole || value > 0
	case partLate:
		c.Late += int64(min(value, mostTokens))
	case partDown:
		c.down += int(min(value, mostTokens))
	case partOldest:
		c.oldest = time.UnixMilli(int64(min(value, mostTokens) * 1000))
	default:
		return ours(checks.CauseMalformed, "a row that was not asked for: is this a Prometheus?")
	}
	return nil
}

// add counts a row of tokens or dollars.
func (s *Source) add(c *counted, sample promql.Sample, exchange *fetch.Answer) *source.Problem {
	c.Known = true
	if !s.family.priced() {
		if sample.Value > mostDollars {
			return ours(checks.CauseAssertion, "more dollars than can be: is the counter one of dollars?")
		}
		c.Cost = c.Cost.Plus(checks.PicoUSD(math.Round(sample.Value * float64(checks.Dollar))))
		return nil
	}
	if sample.Value > mostTokens {
		return ours(checks.CauseAssertion, "more tokens than can be: is the counter one of tokens?")
	}
	model := source.UnknownModel
	switch text := sample.Labels[s.family.model]; {
	case text == "":
	case source.FitModel(text) && !exchange.Echoes(text):
		model = text
	default:
		model = source.OtherModel
	}
	if c.Models == nil {
		c.Models = map[string]tokens{}
	}
	t, n, direction := c.Models[model], sample.Value, sample.Labels[s.family.direction]
	known := false
	for _, side := range []struct {
		values []string
		n      *float64
	}{{s.family.input, &t.Input}, {s.family.cached, &t.Cached}, {s.family.output, &t.Output}} {
		if slices.Contains(side.values, direction) {
			*side.n += n
			known = true
		}
	}
	if !known {
		t.Astray += n
	}
	c.Models[model] = t
	return nil
}
