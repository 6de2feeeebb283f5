package render_test

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/alerts/render"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// sample is one of each sort of rule, over checks of different intervals.
func sample() render.Input {
	return render.Input{Rules: rules(), Checks: targets(), Location: "par1", Heartbeat: time.Minute, Traffic: questions}
}

func targets() []alerts.Check {
	return []alerts.Check{
		{Name: "app", Kind: "app", Interval: time.Minute},
		{Name: "chat-large", Kind: "chat", Provider: "mistral", Paid: true, Interval: 5 * time.Minute, Labels: map[string]string{"tier": "gold"}},
		{Name: "chat-small", Kind: "chat", Provider: "mistral", Paid: true, Interval: time.Minute},
		{Name: "embeddings", Kind: "embeddings", Provider: "mistral", Paid: true, Interval: time.Minute},
		{Name: "keys", Kind: "credentials", Provider: "mistral", Interval: time.Minute},
		{Name: "models", Kind: "models", Provider: "mistral", Interval: time.Minute},
		{Name: "spend", Kind: "spend", Interval: 5 * time.Minute},
		{Name: "traffic", Kind: "prometheus", Interval: time.Minute, Metrics: []string{"query.errors_5xx", "query.circuit_state"}},
	}
}

func questions(name string) (promql string, labels []string, ok bool) {
	switch name {
	case "errors_5xx":
		return `sum(increase(mistral_errors_total{status_code=~"5.."}[1m]))`, nil, true
	case "circuit_state":
		return "max by (instance) (mistral_circuit_state)", []string{"instance"}, true
	}
	return "", nil, false
}

func match(attr string, values ...string) alerts.Matcher {
	return alerts.Matcher{Attr: attr, In: values}
}

func rules() []alerts.Rule {
	provider := []string{"provider"}
	failures := alerts.Condition{
		Metric: "probe.failures", Match: []alerts.Matcher{match("paid", "true"), match("blame", "provider", "network")},
		Aggregate: alerts.Sum, Window: alerts.Window{Runs: 3}, Op: alerts.Above, Threshold: 2.5, Share: &alerts.Share{Of: []string{"check"}},
	}
	all := failures
	all.Share = &alerts.Share{Of: []string{"check"}, AtLeast: 1}
	return []alerts.Rule{
		{
			Name: "api-down", Layer: alerts.LayerProbe, Severity: checks.P2, When: failures, GroupBy: provider, Doc: "The checklist's first alert.",
			Escalations: []alerts.Escalation{{Severity: checks.P1, When: all}}, Runbook: "api-down",
			Summary: `{{.Labels.provider}} fails {{number .Value}} checks`, Impact: "Users see errors.",
			Inhibits: &alerts.Inhibition{Rules: []string{"high-latency", "rate-limited"}, Equal: provider, Severity: checks.P1},
		},
		{
			Name: "auth-failure", Layer: alerts.LayerProbe, Severity: checks.P1,
			When: alerts.Condition{Metric: "probe.failures", Match: []alerts.Matcher{match("cause", "auth")}, Aggregate: alerts.Sum, Window: alerts.Window{Runs: 1}, Op: alerts.Above},
		},
		{
			Name: "high-latency", Layer: alerts.LayerProbe, Severity: checks.P2, For: 2 * time.Minute, KeepFiringFor: time.Minute, Runbook: "https://runbooks.example/latency",
			When: alerts.Condition{
				Metric: "probe.duration", Match: []alerts.Matcher{match("kind", "chat")}, Aggregate: alerts.P95, Window: alerts.Window{Runs: 5},
				Op: alerts.Above, Threshold: 5, MinSamples: 3,
			},
			Summary: `p95 of {{.Labels.check}} is {{seconds .Value}}, want {{seconds .Threshold}}`,
		},
		{
			Name: "slow-always", Layer: alerts.LayerProbe, Severity: checks.P3,
			When: alerts.Condition{
				Metric: "probe.duration", Match: []alerts.Matcher{match("tier", "gold")}, Aggregate: alerts.Min, Window: alerts.Window{Runs: 3}, Op: alerts.Above, Threshold: 2,
			},
		},
		{
			Name: "rate-limited", Layer: alerts.LayerProbe, Severity: checks.P2,
			When: alerts.Condition{
				Metric: "probe.failures", Match: []alerts.Matcher{match("cause", "rate_limited", "no_allowance")}, Aggregate: alerts.Sum, Window: alerts.Window{Runs: 3},
				Op: alerts.Above, Threshold: 1, MinSamples: 2,
			},
		},
		{
			Name: "cost-spike", Layer: alerts.LayerProbe, Severity: checks.P3, AbsentAfter: alerts.Window{Time: 30 * time.Minute},
			When: alerts.Condition{Metric: "spend.hour.usd", Match: []alerts.Matcher{match("source", "")}, Op: alerts.Above, Threshold: 10},
		},
		{
			Name: "model-retiring", Layer: alerts.LayerProbe, Severity: checks.P3,
			When: alerts.Condition{Metric: "probe.llm.model.retirement_time", Op: alerts.Below, Threshold: 30 * 86400, Until: true},
		},
		{
			Name: "blind", Layer: alerts.LayerProbe, Severity: checks.P4, AbsentAfter: alerts.Window{Intervals: 3},
			When: alerts.Condition{Metric: "probe.success", Op: alerts.Below},
		},
		{
			Name: "by-hand", Layer: alerts.LayerProbe, Severity: checks.P4,
			When: alerts.Condition{Metric: "probe.duration", Match: []alerts.Matcher{match("trigger", "manual")}, Op: alerts.Above, Threshold: 1},
		},
		{
			Name: "traffic-api-down", Layer: alerts.LayerTraffic, Severity: checks.P1, AbsentAfter: alerts.Window{Time: 10 * time.Minute},
			When: alerts.Condition{Metric: "query.errors_5xx", Op: alerts.Above, Threshold: 10},
		},
		{
			Name: "traffic-circuit-open", Layer: alerts.LayerTraffic, Severity: checks.P2, Labels: map[string]string{"team": "shop"},
			When: alerts.Condition{Metric: "query.circuit_state", Aggregate: alerts.Min, Window: alerts.Window{Time: 3 * time.Minute}, Op: alerts.Equals, Threshold: 2},
		},
		{
			Name: "circuit-open", Layer: alerts.LayerAgent, Severity: checks.P2,
			When: alerts.Condition{All: []alerts.Condition{
				{Metric: "windsock.breaker.state", Op: alerts.Equals, Threshold: 2},
				{Metric: "windsock.headroom.paused", Op: alerts.Below, Threshold: 1},
			}},
		},
		{
			Name: "heartbeat-failed", Layer: alerts.LayerAgent, Severity: checks.P3,
			When: alerts.Condition{Metric: "windsock.heartbeat.failed", Aggregate: alerts.Sum, Window: alerts.Window{Time: 5 * time.Minute}, Op: alerts.Above, Threshold: 2},
		},
	}
}

// builtin is the built-in rules over checks as they ship, with those that are optional.
func builtin() render.Input {
	minute, five := time.Minute, 5*time.Minute
	return render.Input{Rules: alerts.Builtin(), Location: "par1", Heartbeat: minute, Traffic: checklist, Checks: []alerts.Check{
		{Name: "app", Kind: "app", Interval: minute},
		{Name: "chat-small", Kind: "chat", Provider: "mistral", Paid: true, Interval: minute},
		{Name: "egress", Kind: "egress", Interval: five},
		{Name: "embeddings", Kind: "embeddings", Provider: "mistral", Paid: true, Interval: five},
		{Name: "keys", Kind: "credentials", Provider: "mistral", Interval: five},
		{Name: "models", Kind: "models", Provider: "mistral", Interval: minute},
		{Name: "spend", Kind: "spend", Interval: five},
		{Name: "status-page", Kind: "status_page", Interval: five},
		{Name: "traffic", Kind: "prometheus", Interval: minute},
		{Name: "usable", Kind: "usable", Provider: "mistral", Paid: true, Interval: 3 * time.Hour},
	}}
}

func checklist(name string) (promql string, labels []string, ok bool) {
	q, ok := traffic.Find(traffic.Checklist(), name)
	return q.PromQL, q.By, ok
}
