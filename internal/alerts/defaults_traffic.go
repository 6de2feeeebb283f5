package alerts

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// trafficRules look at the application's own metrics, which see ten errors a minute where a probe sees one run. They read
// what the preset checklist of the prometheus check measures.
func trafficRules() []Rule {
	above := func(metric string, threshold float64) Condition {
		return Condition{Metric: metric, Aggregate: Max, Op: Above, Threshold: threshold}
	}
	rules := []Rule{
		{
			Name: "traffic-api-down", Severity: checks.P1,
			Doc:     "Checklist: API down, more than ten 5xx a minute.",
			When:    above("query.errors_5xx", 10),
			Summary: "the application sees {{number .Value}} errors (5xx) a minute, want at most {{number .Threshold}}",
			Impact:  "requests of the application fail",
			Action:  "see whether api-down fires too; then the provider's status page; switch to the fallback if there is one",
		},
		{
			Name: "traffic-auth-failure", Severity: checks.P1,
			Doc:     "Checklist: authentication failure, any 401.",
			When:    above("query.errors_401", 0),
			Summary: "the application's key is refused: {{number .Value}} answers (401) a minute",
			Impact:  "requests with this key fail",
			Action:  "do not retry; see whether auth-failure fires too, and which key the application has",
		},
		{
			Name: "traffic-high-latency", Severity: checks.P2, For: 5 * time.Minute,
			Doc:     "Checklist: high latency, p95 above 5000 ms for 5 minutes.",
			When:    above("query.latency_p95", 5),
			Summary: "the application's requests take {{seconds .Value}} (p95), want at most {{seconds .Threshold}}",
			Impact:  "people wait for answers",
			Action:  "compare with the probes: if they are quick, look at the application's own prompts and queues",
		},
		{
			Name: "traffic-rate-limited", Severity: checks.P2,
			Doc:     "Checklist: rate limited, more than five 429 a minute.",
			When:    above("query.errors_429", 5),
			Summary: "the application gets {{number .Value}} refusals (429) a minute, want at most {{number .Threshold}}",
			Impact:  "requests of the application wait or fail",
			Action:  "slow down what asks most, or ask for a higher limit",
		},
		{
			Name: "traffic-circuit-open", Severity: checks.P2,
			Doc:     "Checklist: circuit breaker open, the application's own.",
			When:    Condition{Metric: "query.circuit_state", Aggregate: Max, Op: Equals, Threshold: 2},
			Summary: "the application's circuit breaker is open",
			Impact:  "the application does not ask the provider, and answers from its fallback or not at all",
			Action:  "see why its calls failed; it closes by itself when a try goes well",
		},
		{
			Name: "traffic-cost-spike", Severity: checks.P3,
			Doc:     "Checklist: cost spike, above 10 US dollars an hour.",
			When:    above("query.cost_hour", 10),
			Summary: "the application spent {{usd .Value}} in the last hour, want at most {{usd .Threshold}}",
			Impact:  "money",
			Action:  "see which model and which path asks more than usual",
		},
	}
	for i := range rules {
		rules[i].Layer, rules[i].GroupBy = LayerTraffic, []string{byCheck}
	}
	return rules
}

// agentRules look at the agent itself: what watches must be watched.
func agentRules() []Rule {
	rules := []Rule{
		{
			Name: "export-held", Severity: checks.P3, GroupBy: []string{"exporter"},
			Doc:     "Added: an exporter that waits for an operator delivers nothing until one comes.",
			When:    Condition{Metric: "windsock.export.held", Op: Equals, Threshold: 1},
			Summary: "the exporter {{.Labels.exporter}} is held: its backend refuses it",
			Impact:  "results wait in the store, and are given up after max_age",
			Action:  "see `windsock status` for what the backend said: most often a key or an address",
		},
		{
			Name: "export-behind", Severity: checks.P3, For: 5 * time.Minute, GroupBy: []string{"exporter"},
			Doc:     "Added: records that wait for five minutes are dashboards that lie.",
			When:    Condition{Metric: "windsock.export.queue.age", Op: Above, Threshold: 300},
			Summary: "the exporter {{.Labels.exporter}} is {{seconds .Value}} behind",
			Impact:  "the backend does not show what is now",
			Action:  "see `windsock status`: is the backend down, slow, or does it refuse?",
		},
		{
			Name: "store-degraded", Severity: checks.P2, GroupBy: []string{},
			Doc:     "Added: while the store cannot be written, a restart loses results, and paid checks do not run.",
			When:    Condition{Metric: "windsock.store.degraded", Op: Equals, Threshold: 1},
			Summary: "the agent's store cannot be written",
			Impact:  "results are kept in memory only",
			Action:  "look at the disk of state_dir: is it full, read-only or gone?",
		},
		{
			Name: "reload-refused", Severity: checks.P4, GroupBy: []string{},
			Doc:     "Added: the agent goes on with the configuration before, and nobody sees it.",
			When:    Condition{Metric: "windsock.config.reload_success", Op: Equals, Threshold: 0},
			Summary: "the last reload was refused",
			Impact:  "the agent runs with the configuration before",
			Action:  "run `windsock validate` and reload again",
		},
		{
			Name: "heartbeat-failed", Severity: checks.P3, GroupBy: []string{},
			Doc:     "Added: a dead man's switch that is not pinged raises a false alarm, and hides a true one.",
			When:    Condition{Metric: "windsock.heartbeat.failed", Aggregate: Sum, Window: Window{Time: 10 * time.Minute}, Op: Above, Threshold: 2},
			Summary: "{{number .Value}} heartbeats in ten minutes were not taken",
			Impact:  "the other side believes that the agent is dead",
			Action:  "see the agent's log for what the address answered",
		},
	}
	for i := range rules {
		rules[i].Layer = LayerAgent
	}
	return rules
}
