package lint_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/alerts/lint"
)

// world is a chat that runs each minute, one that runs each ten minutes, a list of models each five minutes and the
// application's own metrics each minute.
func world() []alerts.Check {
	chat := []string{"gen_ai.client.operation.duration", "probe.http.duration", "probe.http.status_code", "probe.llm.rate_limit.share"}
	return []alerts.Check{
		{
			Name: "chat", Kind: "chat", Provider: "mistral", Paid: true, Interval: time.Minute, Timeout: 10 * time.Second, Metrics: chat,
			Labels: map[string]string{"tier": "gold"},
		},
		{Name: "seldom", Kind: "chat", Provider: "mistral", Paid: true, Interval: 10 * time.Minute, Timeout: 30 * time.Second, Metrics: chat},
		{
			Name: "models", Kind: "models", Provider: "mistral", Interval: 5 * time.Minute, Timeout: 30 * time.Second,
			Metrics: []string{"probe.http.duration", "probe.llm.model.listed", "probe.llm.model.retirement_time"},
		},
		{
			Name: "traffic", Kind: "prometheus", Interval: time.Minute, Timeout: 10 * time.Second,
			Metrics: []string{"probe.prometheus.sample_age", "query.errors_5xx", "query.latency_p95"},
		},
		{Name: "plugin", Kind: "exec", Interval: time.Minute, Timeout: 10 * time.Second, Metrics: []string{"probe.exec.percent", "probe.exec.value", "spend.cached.share"}},
	}
}

func is(attr string, values ...string) alerts.Matcher { return alerts.Matcher{Attr: attr, In: values} }

func not(attr string, values ...string) alerts.Matcher {
	return alerts.Matcher{Attr: attr, In: values, Not: true}
}

func like(attr, pattern string) alerts.Matcher {
	return alerts.Matcher{Attr: attr, Regexp: regexp.MustCompile("^(?:" + pattern + ")$")}
}

func within(d time.Duration) alerts.Window { return alerts.Window{Time: d} }

func last(n int) alerts.Window { return alerts.Window{Runs: n} }

func cond(metric string, op alerts.Op, threshold float64, match ...alerts.Matcher) alerts.Condition {
	return alerts.Condition{Metric: metric, Op: op, Threshold: threshold, Match: match}
}

func with(c alerts.Condition, change func(*alerts.Condition)) alerts.Condition {
	change(&c)
	return c
}

func over(w alerts.Window, aggregate alerts.Aggregate, least int, c alerts.Condition) alerts.Condition {
	c.Window, c.Aggregate, c.MinSamples = w, aggregate, least
	return c
}

func all(inner ...alerts.Condition) alerts.Condition { return alerts.Condition{All: inner} }

func either(inner ...alerts.Condition) alerts.Condition { return alerts.Condition{Any: inner} }

func own(when alerts.Condition) alerts.Rule {
	return alerts.Rule{Name: "own", Severity: checks.P2, Runbook: "high-latency", When: when}
}

func said(found []lint.Finding) []string {
	var out []string
	for _, f := range found {
		text := fmt.Sprintf("%s %s %s: %s", f.Severity, f.Kind, f.Field, f.Text)
		if f.Hint != "" {
			text += "; " + f.Hint
		}
		out = append(out, text)
	}
	return out
}

func slowly(rule alerts.Rule, d time.Duration) alerts.Rule {
	rule.For = d
	return rule
}

func absent(rule alerts.Rule, w alerts.Window) alerts.Rule {
	rule.AbsentAfter = w
	return rule
}

func grouped(rule alerts.Rule, by ...string) alerts.Rule {
	rule.GroupBy = append([]string{}, by...)
	return rule
}

func TestEachFinding(t *testing.T) {
	t.Parallel()
	duration, failures := "probe.duration", "probe.failures"
	slow := cond(duration, alerts.Above, 5)
	for name, tc := range map[string]struct {
		rule alerts.Rule
		want []string // the beginning of each finding, in order; none: nothing is said
	}{
		"a rule that works": {rule: slowly(own(over(last(5), alerts.P95, 3, cond(duration, alerts.Above, 5, is("kind", "chat")))), 5*time.Minute)},

		"a metric that is not there":           {own(cond("probe.duratoin", alerts.Above, 1)), []string{`error nobody_emits when.metric: no check measures "probe.duratoin"; did you mean "probe.duration"?`}},
		"a dotted name that nobody knows":      {own(cond("shop.basket", alerts.Above, 1)), []string{`error nobody_emits when.metric: no check measures "shop.basket"; docs/metrics.md lists them`}},
		"a query that is not made":             {own(cond("query.errors_5x", alerts.Above, 1)), []string{`error nobody_emits when.metric: no check measures "query.errors_5x"; did you mean "query.errors_5xx"?`}},
		"a query of another name":              {own(cond("query.baskets", alerts.Above, 1)), []string{`error nobody_emits when.metric: no check measures "query.baskets"; a check of the kind prometheus`}},
		"a query that is made":                 {rule: own(cond("query.errors_5xx", alerts.Above, 1))},
		"a metric that these checks have not":  {own(cond("probe.key.valid", alerts.Equals, 0)), []string{`error nobody_emits when.metric: no check measures "probe.key.valid"; a check of the kind credentials does`}},
		"time to first token without a stream": {own(cond("probe.llm.time_to_first_token", alerts.Above, 1)), []string{"error nobody_emits when.metric: no check measures \"probe.llm.time_to_first_token\"; a check of the kind chat with `stream: true` does"}},
		"a metric of other checks":             {own(cond("probe.llm.model.listed", alerts.Equals, 0, is("kind", "chat"))), []string{"error nobody_emits when.metric: no check that `match:` selects measures probe.llm.model.listed; those are chat and seldom; models does"}},
		"costs of a check that is free":        {own(cond("probe.llm.cost.usd", alerts.Above, 1, is("check", "models"))), []string{"error nobody_emits when.metric: no check that `match:` selects"}},
		"what the agent does not measure here": {own(cond("windsock.heartbeat.failed", alerts.Above, 1)), []string{"error nobody_emits when.metric: the agent does not measure windsock.heartbeat.failed here: there is no heartbeat"}},
		"what the agent measures":              {rule: own(cond("windsock.store.degraded", alerts.Equals, 1))},
		"one of several that nobody measures":  {own(either(slow, cond("probe.key.valid", alerts.Equals, 0))), []string{"warning nobody_emits when.any.1.metric: no check measures"}},
		"one of several with a slip":           {own(either(slow, cond("probe.sucess", alerts.Equals, 0))), []string{`error nobody_emits when.any.1.metric: no check measures "probe.sucess"; did you mean "probe.success"?`}},
		"both must hold, and one cannot":       {own(all(slow, cond("probe.key.valid", alerts.Equals, 0))), []string{"error nobody_emits when.all.1.metric:"}},
		"neither can hold":                     {own(either(cond("probe.success", alerts.Equals, 2), cond("probe.key.valid", alerts.Equals, 0))), []string{"error cannot_fire when.any.0.equals:", "error nobody_emits when.any.1.metric:"}},

		"a check that is not there":             {own(cond(duration, alerts.Above, 5, is("check", "chatt"))), []string{`error no_match when.match.check: no check is called chatt; did you mean "chat"?`}},
		"a kind that is not there":              {own(cond(duration, alerts.Above, 5, is("kind", "spend"))), []string{"error no_match when.match.kind: no check has kind: spend; checks have chat, exec, models and 1 more"}},
		"a pattern that selects none":           {own(cond(duration, alerts.Above, 5, like("check", "app.*"))), []string{"error no_match when.match.check: no check is called ~"}},
		"a label that no check has":             {own(cond(duration, alerts.Above, 5, is("tier", "silver"))), []string{"error no_match when.match.tier: no check has tier: silver; checks have gold"}},
		"a label that one has":                  {rule: own(cond(duration, alerts.Above, 5, is("tier", "gold")))},
		"two that no check has together":        {own(cond(duration, alerts.Above, 5, is("kind", "models"), is("tier", "gold"))), []string{"error no_match when.match: no check is selected"}},
		"one of a list of checks":               {own(cond(duration, alerts.Above, 5, is("check", "chat", "modles"))), []string{`warning no_match when.match.check: no check is called "modles"; did you mean "models"?`}},
		"a status that is none":                 {own(cond(duration, alerts.Above, 5, is("status", "fail"))), []string{`error no_match when.match.status: no status is called "fail"; did you mean "failed"?`}},
		"a cause with a slip":                   {own(cond(failures, alerts.Above, 0, is("cause", "ratelimited"))), []string{`error no_match when.match.cause: no cause is called "ratelimited"; did you mean "rate_limited"?`}},
		"all but a cause that is none":          {own(cond(failures, alerts.Above, 0, not("cause", "sow"))), []string{`error no_match when.match.cause: no cause is called "sow"; did you mean "slow"?`}},
		"a cause that is one":                   {rule: own(cond(failures, alerts.Above, 0, is("cause", "rate_limited", "quota")))},
		"a status that the metric never has":    {own(cond(duration, alerts.Above, 5, is("status", "skipped", "unknown"))), []string{"error no_match when.match.status: no sample of probe.duration has status: skipped, unknown; slots that were skipped are no runs"}},
		"a counter that selects nothing":        {own(cond(failures, alerts.Above, 0, is("status", "ok"))), []string{"error cannot_fire when.match: probe.failures never counts what `match:` selects, so it is always 0, and above 0 never holds; want one of failed"}},
		"skips counted by runs":                 {own(over(last(5), alerts.Sum, 0, cond("probe.skips", alerts.Above, 0, is("reason", "budget")))), []string{"error cannot_fire when.match: probe.skips never counts what `match:` selects, so it is always 0, and above 0 never holds; slots that were skipped are no runs: give `window:` as a time"}},
		"skips counted by time":                 {rule: own(over(within(15*time.Minute), alerts.Sum, 0, cond("probe.skips", alerts.Above, 0, is("reason", "budget"), is("check", "chat"))))},
		"the agent's own of a check":            {own(cond("windsock.store.degraded", alerts.Equals, 1, is("check", "chat"))), []string{"error no_match when.match.check: windsock.store.degraded is the agent's own, and has no check; leave it out"}},
		"the agent's own by its own attribute":  {rule: own(cond("windsock.breaker.state", alerts.Equals, 2, is("provider", "mistral")))},
		"a label of a series called status":     {rule: own(cond("query.errors_5xx", alerts.Above, 1, is("status", "500")))},
		"a phase that is none":                  {own(cond("probe.http.duration", alerts.Above, 1, is("phase", "first_byte"))), []string{`error no_match when.match.phase: no phase is called "first_byte"; want one of resolve`}},
		"runs by hand, at no cadence":           {rule: own(over(within(time.Minute), alerts.Avg, 3, cond(duration, alerts.Above, 5, is("trigger", "manual"))))},
		"a trigger of the agent's own":          {own(cond("windsock.store.degraded", alerts.Equals, 1, is("trigger", "schedule"))), []string{"error no_match when.match.trigger: windsock.store.degraded is the agent's own"}},
		"three samples of a run in ten minutes": {own(over(within(5*time.Minute), alerts.Avg, 3, cond(duration, alerts.Above, 5, is("check", "seldom")))), []string{"error cannot_fire when.min_samples: found 3, and a window of 5m never holds more than 1: seldom runs every 10m; make the window longer, or say `window: 3 runs`"}},
		"three samples of several checks":       {rule: own(over(within(15*time.Minute), alerts.Avg, 3, cond(duration, alerts.Above, 5, is("check", "chat"))))},
		"more samples than runs":                {own(over(last(3), alerts.Avg, 5, slow)), []string{"error cannot_fire when.min_samples: found 5, and a window of 3 runs never holds more than 3"}},
		"two samples of the last run":           {own(over(alerts.Window{}, alerts.Avg, 2, slow)), []string{"error cannot_fire when.min_samples: found 2, and a window of one run never holds more than 1"}},
		"more samples than runs, of each phase": {rule: grouped(own(over(last(2), alerts.Avg, 5, cond("probe.http.duration", alerts.Above, 2))), "check")},
		"a rate of one run":                     {own(over(last(1), alerts.Rate, 0, cond("probe.llm.rate_limit.share", alerts.Below, 0))), []string{"error cannot_fire when.window: a rate is between two runs"}},
		"a rate of two runs":                    {rule: own(over(last(2), alerts.Rate, 0, cond("probe.llm.rate_limit.share", alerts.Below, 0)))},

		"a share above one":                    {own(cond("probe.llm.rate_limit.share", alerts.Above, 50)), []string{"error cannot_fire when.above: above 50 can never be: probe.llm.rate_limit.share is 0 to 1; 50% is 0.5"}},
		"a share below ten":                    {own(cond("probe.llm.rate_limit.share", alerts.Below, 10)), []string{"warning units when.below: found 10, and probe.llm.rate_limit.share is 0 to 1: it always holds; 10% is 0.1"}},
		"a share below a tenth":                {rule: own(cond("probe.llm.rate_limit.share", alerts.Below, 0.1))},
		"a value that is never taken":          {own(cond("probe.success", alerts.Equals, 2)), []string{"error cannot_fire when.equals: equals 2 can never be: probe.success is one of 0, 1"}},
		"half a success":                       {own(cond("probe.success", alerts.Equals, 0.5)), []string{"error cannot_fire when.equals:"}},
		"half a success on average":            {rule: own(over(last(4), alerts.Avg, 0, cond("probe.success", alerts.Equals, 0.5)))},
		"a counter below zero":                 {own(cond("probe.runs", alerts.Below, 0)), []string{"error cannot_fire when.below: below 0 can never be: probe.runs is never below 0"}},
		"more failures than runs":              {own(over(last(3), alerts.Sum, 0, cond(failures, alerts.Above, 3))), []string{"error cannot_fire when.above: above 3 can never be: the sum of probe.failures is 0 to 3"}},
		"all runs fail":                        {rule: own(over(last(3), alerts.Sum, 0, cond(failures, alerts.Above, 2)))},
		"more failures than fit into a window": {own(over(within(10*time.Minute), alerts.Sum, 0, cond(failures, alerts.Above, 10, is("check", "models")))), []string{"error cannot_fire when.above: above 10 can never be: the sum of probe.failures is 0 to 3 in 10m, as models runs every 5m"}},
		"failures a second":                    {own(over(within(10*time.Minute), alerts.Rate, 0, cond(failures, alerts.Above, 1, is("check", "chat")))), []string{"error cannot_fire when.above: above 1 can never be: the rate of probe.failures is 0 to 0.0183333 in 10m, as chat runs every 1m; a rate is per second: 1 a minute is 0.0166667"}},
		"no samples counted":                   {own(over(within(10*time.Minute), alerts.Count, 0, cond(duration, alerts.Below, 1, is("check", "chat")))), []string{"error cannot_fire when.below: below 1 can never be: the count of probe.duration is 1 to 11"}},
		"any sample at all":                    {rule: own(over(within(10*time.Minute), alerts.Count, 0, cond(duration, alerts.Above, 0, is("check", "chat"), is("status", "failed"))))},
		"absence alone":                        {rule: absent(own(cond("probe.success", alerts.Below, 0)), alerts.Window{Intervals: 3})},
		"absence of what nobody measures":      {absent(own(cond("probe.key.valid", alerts.Below, 0)), alerts.Window{Intervals: 3}), []string{"error nobody_emits when.metric:"}},
		"absence between any two runs":         {absent(own(cond("probe.success", alerts.Equals, 0, is("check", "seldom"))), within(time.Minute)), []string{"warning short_window absent_after: found 1m, and seldom runs every 10m: it tells of no data between any two runs; say `3 intervals`"}},
		"absence after three runs":             {rule: absent(own(cond("probe.success", alerts.Equals, 0, is("check", "chat"))), within(3*time.Minute))},

		"conditions on two checks":           {own(all(cond("probe.success", alerts.Equals, 0, is("check", "chat")), cond("probe.success", alerts.Equals, 0, is("check", "models")))), []string{"error cannot_fire when.all.1: the conditions are never about the same check: one is about chat, the other about models, and there is one alert for each check; `group_by: []` takes all together"}},
		"conditions on two checks, together": {rule: grouped(own(all(cond("probe.success", alerts.Equals, 0, is("check", "chat")), cond("probe.success", alerts.Equals, 0, is("check", "models")))))},
		"conditions on two checks of one":    {rule: grouped(own(all(cond("probe.success", alerts.Equals, 0, is("check", "chat")), cond("probe.success", alerts.Equals, 0, is("check", "models")))), "provider")},
		"a check beside the agent, each":     {grouped(own(all(slow, cond("windsock.store.degraded", alerts.Equals, 1))), "check"), []string{"error cannot_fire when.all.1: the conditions are never about the same check: one is about chat, models, plugin and 2 more, the other about nothing"}},
		"a check beside the breaker":         {rule: grouped(own(all(cond(duration, alerts.Above, 5, is("kind", "chat")), cond("windsock.breaker.state", alerts.Equals, 2))), "provider")},
		"one of several beside another":      {rule: own(all(cond("probe.success", alerts.Equals, 0, is("kind", "chat")), either(cond(duration, alerts.Above, 5, is("check", "chat")), cond(duration, alerts.Above, 5, is("check", "models")))))},
		"an escalation about another check": {func() alerts.Rule {
			r := own(cond(duration, alerts.Above, 5, is("check", "chat")))
			r.Escalations = []alerts.Escalation{{Severity: checks.P1, When: cond(duration, alerts.Above, 5, is("check", "models"))}}
			return r
		}(), []string{"warning cannot_fire escalate.0.when: the conditions are never about the same check"}},
		"an escalation that works": {rule: func() alerts.Rule {
			r := own(cond(duration, alerts.Above, 5, is("check", "chat")))
			r.Escalations = []alerts.Escalation{{Severity: checks.P1, When: cond(duration, alerts.Above, 9, is("check", "chat"))}}
			return r
		}()},
		"an escalation that cannot be": {func() alerts.Rule {
			r := own(slow)
			r.Escalations = []alerts.Escalation{{Severity: checks.P1, When: cond("probe.success", alerts.Equals, 3)}}
			return r
		}(), []string{"warning cannot_fire escalate.0.when.equals:"}},
		"a window that is empty before for":          {slowly(own(over(within(5*time.Minute), alerts.Max, 0, cond(duration, alerts.Above, 5, is("check", "seldom")))), 5*time.Minute), []string{"error cannot_fire for: the condition must hold for 5m, and at the cadence of its checks it holds for less than 5m: then its window is empty until the next run", "warning short_window when.window:"}},
		"a window that outlives for":                 {slowly(own(over(within(5*time.Minute), alerts.Max, 0, cond(duration, alerts.Above, 5, is("check", "seldom")))), 4*time.Minute), []string{"warning short_window when.window:"}},
		"for, in a window without a gap":             {rule: slowly(own(over(within(25*time.Minute), alerts.Max, 0, cond(duration, alerts.Above, 5, is("check", "seldom")))), time.Hour)},
		"a window of less than two intervals":        {own(over(within(90*time.Second), alerts.Avg, 0, cond(duration, alerts.Above, 5, is("check", "chat")))), []string{"warning short_window when.window: found 1m30s, which is less than two intervals: chat runs every 1m; say `window: 3 runs`, or make it longer"}},
		"a window of two intervals":                  {rule: own(over(within(2*time.Minute), alerts.Avg, 0, cond(duration, alerts.Above, 5, is("check", "chat"))))},
		"the last run, unless it is old":             {rule: own(over(within(90*time.Second), alerts.Last, 0, cond(duration, alerts.Above, 5, is("check", "chat"))))},
		"a window for one check and not for another": {own(over(within(10*time.Minute), alerts.Avg, 0, cond(duration, alerts.Above, 5, is("kind", "chat")))), []string{"warning short_window when.window: found 10m, which is less than two intervals: seldom runs every 10m"}},
		"a window that several checks fill":          {rule: grouped(own(over(within(10*time.Minute), alerts.Avg, 0, cond(duration, alerts.Above, 5, is("kind", "chat")))), "provider")},
		"a window of the agent's own":                {own(over(within(time.Minute), alerts.Sum, 0, cond("windsock.export.rejected", alerts.Above, 5))), []string{"warning short_window when.window: found 1m, which is less than two intervals: the agent tells of itself once a minute"}},

		"milliseconds of a run":           {own(cond(duration, alerts.Above, 5000, is("check", "chat"))), []string{"warning units when.above: found 5000, which is 1h23m20s, but a run of chat ends after 10s; 5000 ms are 5s"}},
		"a time that no run takes":        {own(cond(duration, alerts.Above, 60)), []string{"warning units when.above: found 60, which is 1m, but a run ends after 30s; want less, or a longer"}},
		"milliseconds of the application": {own(cond("query.latency_p95", alerts.Above, 5000)), []string{"warning units when.above: found 5000, which is 1h23m20s: query.latency_p95 is in seconds; 5000 ms are 5s"}},
		"seconds of the application":      {rule: own(cond("query.latency_p95", alerts.Above, 8))},
		"days until a moment, as seconds": {own(with(cond("probe.llm.model.retirement_time", alerts.Below, 30), func(c *alerts.Condition) { c.Until = true })), []string{"warning units when.below: found 30, which is 30s; 30 days are 30d"}},
		"a moment compared with a time":   {own(cond("probe.llm.model.retirement_time", alerts.Below, 2592000)), []string{"warning units when.below: found 2.592e+06, but probe.llm.model.retirement_time is a Unix time in seconds; say `until: true`"}},
		"a month until a moment":          {rule: own(with(cond("probe.llm.model.retirement_time", alerts.Below, 2592000), func(c *alerts.Condition) { c.Until = true }))},
		"a percentage as a share":         {own(cond("probe.exec.percent", alerts.Above, 0.9)), []string{"warning units when.above: found 0.9, but probe.exec.percent is 0 to 100; 90% is 90"}},
		"a percentage":                    {rule: own(cond("probe.exec.percent", alerts.Above, 90))},
		"a share of the cache":            {own(cond("spend.cached.share", alerts.Below, 40)), []string{"warning units when.below: found 40, but spend.cached.share is 0 to 1; 40% is 0.4"}},
		"megabytes as bytes":              {own(cond("windsock.process.memory.usage", alerts.Above, 512)), []string{"warning units when.above: found 512, but windsock.process.memory.usage is in bytes; 512 MiB are 536870912"}},
		"a day late":                      {own(cond("windsock.export.queue.age", alerts.Above, 300000)), []string{"warning units when.above: found 300000, which is 83h20m; 300000 ms are 5m"}},
		"always true":                     {own(cond("probe.success", alerts.Below, 2)), []string{"warning units when.below: found 2, and probe.success is one of 0, 1: it always holds"}},
		"without a runbook":               {func() alerts.Rule { r := own(slow); r.Runbook = ""; return r }(), []string{"warning runbook name: the rule own has no runbook"}},
		"a runbook that is not there":     {func() alerts.Rule { r := own(slow); r.Runbook = "high-latncy"; return r }(), []string{`warning runbook runbook: no built-in text is called "high-latncy"; did you mean "high-latency"?`}},
		"a runbook somewhere":             {rule: func() alerts.Rule { r := own(slow); r.Runbook = "https://wiki.example/slow"; return r }()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := said(lint.Lint(lint.Input{
				Rules: []alerts.Rule{tc.rule}, Checks: world(), Absent: map[string]string{"windsock.heartbeat.failed": "there is no heartbeat"},
			}))
			ok := len(got) == len(tc.want)
			for i := range min(len(got), len(tc.want)) {
				ok = ok && strings.HasPrefix(got[i], tc.want[i])
			}
			if !ok {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if _, err := alerts.New([]alerts.Rule{tc.rule}, world(), time.Unix(1e9, 0)); err != nil {
				t.Errorf("the engine does not take the rule, so nobody could write it: %v", err)
			}
		})
	}
}

// A check that does not say what it measures may measure anything.
func TestWhatNobodyKnowsIsNotFound(t *testing.T) {
	unknown := append(world(), alerts.Check{Name: "own-kind", Kind: "ours", Interval: time.Minute})
	for _, metric := range []string{"shop.basket", "probe.key.valid", "query.baskets"} {
		if got := lint.Lint(lint.Input{Rules: []alerts.Rule{own(cond(metric, alerts.Above, 0.5))}, Checks: unknown}); len(got) > 0 {
			t.Errorf("%s: got %q", metric, said(got))
		}
	}
}

// Rules that the agent ships say nothing of themselves but that they have nothing to look at.
func TestBuiltinRules(t *testing.T) {
	for _, f := range lint.Lint(lint.Input{Rules: alerts.Builtin(), Checks: world()}) {
		if f.Severity != lint.Note || f.Field != "name" || f.Kind != lint.Nobody && f.Kind != lint.NoMatch {
			t.Errorf("got %s", said([]lint.Finding{f}))
		}
		if f.Rule == "api-down" || f.Rule == "high-latency" || f.Rule == "blind" || f.Rule == "traffic-api-down" || f.Rule == "model-retiring" {
			t.Errorf("%s can fire here, and got %q", f.Rule, f.Text)
		}
	}
	everything := []alerts.Check{{Name: "any", Kind: "chat", Provider: "mistral", Paid: true, Interval: time.Minute}, {Name: "app", Kind: "app", Interval: time.Minute}}
	if got := lint.Lint(lint.Input{Rules: alerts.Builtin(), Checks: everything}); len(got) > 0 {
		t.Errorf("beside checks that measure everything: got %q", said(got))
	}
}

// overlaid is a built-in rule with a threshold of the file's own.
func overlaid(name string, threshold float64) (alerts.Rule, func(rule, field string) bool) {
	rules := alerts.Builtin()
	r := rules[slices.IndexFunc(rules, func(r alerts.Rule) bool { return r.Name == name })]
	r.When.Threshold = threshold
	return r, func(rule, field string) bool {
		return rule == name && (field == "name" || field == string(r.When.Op))
	}
}

func TestABuiltinRuleThatTheFileChanges(t *testing.T) {
	for name, tc := range map[string]struct {
		rule      string
		threshold float64
		want      string
	}{
		"milliseconds":        {"high-latency", 5000, "warning units above: found 5000, which is 1h23m20s"},
		"of the application":  {"traffic-high-latency", 5000, "warning units above: found 5000"},
		"what can never be":   {"circuit-open", 4, "error cannot_fire equals: equals 4 can never be"},
		"another threshold":   {"high-latency", 8, ""},
		"what nobody has":     {"cost-spike", 25, "note nobody_emits name: no check measures"},
		"days until a moment": {"model-retiring", 30, "warning units below: found 30, which is 30s; 30 days are 30d"},
		"always in the share": {"headroom-low", 10, "warning units below: found 10, and windsock.headroom.share is 0 to 1: it always holds; 10% is 0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			rule, given := overlaid(tc.rule, tc.threshold)
			got := said(lint.Lint(lint.Input{Rules: []alerts.Rule{rule}, Checks: world(), Given: given}))
			if text := strings.Join(got, "\n"); !strings.HasPrefix(text, tc.want) || tc.want == "" && text != "" || len(got) > 1 {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A number that is written with its unit was meant.
func TestAUnitIsBelieved(t *testing.T) {
	rule := own(cond("query.latency_p95", alerts.Above, 5000))
	if got := lint.Lint(lint.Input{Rules: []alerts.Rule{rule}, Checks: world(), Bare: func(string, string) bool { return false }}); len(got) > 0 {
		t.Errorf("got %q", said(got))
	}
}
