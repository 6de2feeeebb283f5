package render

// The kinds of panel.
const (
	series = "timeseries"
	states = "state-timeline"
	stat   = "stat"
)

// section is a row of the dashboard.
type section struct {
	title  string
	graphs []graph
}

// graph is one panel, before it has a place.
type graph struct {
	kind, title, unit, doc string
	w, h                   int
	metric                 string // of the catalogue, whose threshold is drawn
	share, stacked         bool
	steps                  []step
	mappings               []any
	queries                []asked
}

type asked struct{ expr, legend string }

const chosen = `location=~"$location", check=~"$check"`

func sections() []section {
	return []section{
		overview(), latency(), causes(), limitsAndSpend(), alertPanels(), agentPanels(),
	}
}

func overview() section {
	return section{"Availability", []graph{
		{
			kind: stat, title: "Runs that went well, last hour", unit: "percentunit", w: 6, h: 4, share: true, doc: "Of the runs that judged their target. Skipped, unknown and our own errors are in none of both.",
			steps:   []step{{Color: "red"}, {Color: "orange", Value: new(0.95)}, {Color: "green", Value: new(0.99)}},
			queries: []asked{{`sum(increase(probe_runs_total{status=~"ok|degraded", ` + chosen + `}[1h])) / sum(increase(probe_runs_total{status=~"ok|degraded|failed", ` + chosen + `}[1h]))`, ""}},
		},
		{
			kind: stat, title: "Checks that fail now", w: 6, h: 4, steps: []step{{Color: "green"}, {Color: "red", Value: new(1.0)}},
			queries: []asked{{`count(probe_success{` + chosen + `} == 0) or 0 * count(probe_success{` + chosen + `})`, ""}},
		},
		{
			kind: stat, title: "Checks that are overdue", w: 6, h: 4, steps: []step{{Color: "green"}, {Color: "orange", Value: new(1.0)}},
			queries: []asked{{`sum(windsock_schedule_overdue{location=~"$location"})`, ""}},
		},
		{
			kind: stat, title: "Circuit breaker", w: 6, h: 4, doc: "0 closed, 1 half-open, 2 open.", steps: []step{{Color: "green"}, {Color: "orange", Value: new(1.0)}, {Color: "red", Value: new(2.0)}},
			queries: []asked{{`max by (provider) (windsock_breaker_state{location=~"$location"})`, "{{provider}}"}},
		},
		{
			kind: states, title: "Verdicts", w: 12, h: 8, doc: "1 well, 0 failed. A gap is no verdict.", steps: []step{{Color: "red"}, {Color: "green", Value: new(1.0)}},
			queries: []asked{{`probe_success{` + chosen + `}`, "{{check}}"}},
		},
		{
			kind: series, title: "Slots by what became of them, per minute", w: 12, h: 8, stacked: true,
			queries: []asked{{`sum by (status) (rate(probe_runs_total{` + chosen + `}[10m])) * 60`, "{{status}}"}},
		},
	}}
}

func latency() section {
	return section{"Latency", []graph{
		{
			kind: series, title: "Time of a run", unit: "s", w: 12, h: 8, metric: "probe.duration",
			queries: []asked{{`probe_duration_seconds{` + chosen + `}`, "{{check}}"}},
		},
		{
			kind: series, title: "Phases", unit: "s", w: 12, h: 8, stacked: true, doc: "Mean of the chosen checks. resolve, connect and tls are the network's, processing is the provider's.",
			queries: []asked{{`avg by (phase) (probe_http_duration_seconds{` + chosen + `})`, "{{phase}}"}},
		},
		{
			kind: series, title: "Time to the first token", unit: "s", w: 12, h: 8, metric: "probe.llm.time_to_first_token",
			queries: []asked{{`probe_llm_time_to_first_token_seconds{` + chosen + `}`, "{{check}} {{model}}"}},
		},
		{
			kind: series, title: "Longest silence within a stream", unit: "s", w: 12, h: 8, metric: "probe.llm.inter_chunk",
			queries: []asked{{`probe_llm_inter_chunk_seconds{` + chosen + `}`, "{{check}} {{model}}"}},
		},
	}}
}

func causes() section {
	return section{"Causes", []graph{
		{
			kind: series, title: "Failures by cause, in ten minutes", w: 12, h: 8, stacked: true,
			queries: []asked{{`sum by (cause) (increase(probe_failures_total{` + chosen + `}[10m]))`, "{{cause}}"}},
		},
		{
			kind: series, title: "Slots without a verdict by reason, in ten minutes", w: 12, h: 8, stacked: true,
			queries: []asked{{`sum by (reason) (increase(probe_skips_total{` + chosen + `}[10m]))`, "{{reason}}"}},
		},
	}}
}

func limitsAndSpend() section {
	return section{"Money and limits", []graph{
		{
			kind: series, title: "The application's spend in the last hour", unit: "currencyUSD", w: 8, h: 8, metric: "spend.hour.usd",
			queries: []asked{{`spend_hour_usd{source="", ` + chosen + `}`, "{{check}}"}, {`spend_baseline_usd{stat="median", ` + chosen + `}`, "usual"}},
		},
		{
			kind: series, title: "The application's month", unit: "currencyUSD", w: 8, h: 8,
			queries: []asked{
				{`spend_month_usd{source="", ` + chosen + `}`, "so far"},
				{`spend_projected_month_usd{source="", ` + chosen + `}`, "projected"},
				{`spend_limit_usd{` + chosen + `}`, "limit"},
			},
		},
		{
			kind: series, title: "The agent's budget", unit: "currencyUSD", w: 8, h: 8,
			queries: []asked{{`windsock_budget_spent_usd{location=~"$location"}`, "spent, {{window}}"}, {`windsock_budget_limit_usd{location=~"$location"}`, "limit, {{window}}"}},
		},
		{
			kind: series, title: "Cost of the agent's own runs, in an hour", unit: "currencyUSD", w: 8, h: 8, stacked: true,
			queries: []asked{{`sum by (check) (increase(probe_llm_cost_usd_total{` + chosen + `}[1h]))`, "{{check}}"}},
		},
		{
			kind: series, title: "Headroom", unit: "percentunit", w: 8, h: 8, share: true, metric: "windsock.headroom.share", doc: "What is left of the rate limits.",
			queries: []asked{{`windsock_headroom_share{location=~"$location"}`, "{{model}} {{resource}} {{window}}"}},
		},
		{
			kind: series, title: "Time until nothing is left of a limit", unit: "s", w: 8, h: 8,
			queries: []asked{{`windsock_headroom_exhaustion_seconds{location=~"$location"}`, "{{model}} {{resource}} {{window}}"}},
		},
	}}
}

func alertPanels() section {
	return section{"Alerts", []graph{
		{
			kind: stat, title: "Open alerts", w: 6, h: 8, steps: []step{{Color: "green"}, {Color: "red", Value: new(1.0)}},
			queries: []asked{{`sum by (severity) (windsock_alert_open{location=~"$location"})`, "{{severity}}"}},
		},
		{
			kind: stat, title: "Open incidents, and muted alerts", w: 6, h: 8, steps: []step{{Color: "green"}, {Color: "orange", Value: new(1.0)}},
			queries: []asked{{`sum(windsock_incident_open{location=~"$location"})`, "incidents"}, {`sum(windsock_alert_muted{location=~"$location"})`, "muted"}},
		},
		{
			kind: states, title: "State of the alerts", w: 12, h: 8, doc: "0 resolved, 1 pending, 2 firing, 3 no data.",
			steps:   []step{{Color: "green"}, {Color: "yellow", Value: new(1.0)}, {Color: "red", Value: new(2.0)}, {Color: "purple", Value: new(3.0)}},
			queries: []asked{{`max by (rule, severity) (windsock_alert_state{location=~"$location"})`, "{{severity}} {{rule}}"}},
		},
	}}
}

func agentPanels() section {
	return section{"The agent", []graph{
		{
			kind: series, title: "Age of the oldest record that waits", unit: "s", w: 8, h: 8, metric: "windsock.export.queue.age",
			queries: []asked{{`windsock_export_queue_age_seconds{location=~"$location"}`, "{{exporter}}"}},
		},
		{
			kind: series, title: "How late runs start", unit: "s", w: 8, h: 8,
			queries: []asked{{`windsock_schedule_lateness_seconds{location=~"$location"}`, "{{q}}"}},
		},
		{
			kind: series, title: "Memory", unit: "bytes", w: 8, h: 8,
			queries: []asked{{`windsock_process_memory_usage_bytes{location=~"$location"}`, "{{location}}"}},
		},
	}}
}
