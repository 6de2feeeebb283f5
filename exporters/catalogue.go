package exporters

import (
	"slices"
	"strings"
	"sync"
)

//go:generate go run ./internal/metricsdoc/write

// Metric is one row of the catalogue: what a name means, everywhere.
type Metric struct {
	Name    string    // OpenTelemetry's spelling: "probe.duration"
	Kind    PointKind // how its values add up
	Unit    string    // UCUM: "s", "By", "{token}"; "" for 0/1, info and state gauges, for Unix times and for money
	Attrs   []string  // sorted; beyond those of CommonAttrs
	Doc     string    // one line, without a full stop
	Buckets []float64 // upper bounds of a histogram, ascending, without +Inf
	Self    bool      // about the agent, not about a check
	Page    bool      // on the Prometheus page only, which gives it out itself: its values carry no time
}

// CommonAttrs are the attributes of every metric of a check, sorted. The agent's own metrics carry the location only.
// One without a value (a check without a provider) is left out.
func CommonAttrs() []string { return []string{attrCheck, attrKind, attrLocation, attrProvider} }

// Names that this package gives out itself; everything else comes from checks and from the agent's snapshots.
const (
	metricSuccess    = "probe.success"
	metricDuration   = "probe.duration"
	metricTimeout    = "probe.timeout"
	metricPhase      = "probe.http.duration"
	metricLastRun    = "probe.last_run_timestamp"
	metricRuns       = "probe.runs"
	metricFailures   = "probe.failures"
	metricSkips      = "probe.skips"
	metricCost       = "probe.llm.cost.usd"
	metricPriceKnown = "probe.llm.price.known"
	metricBuildInfo  = "windsock.build_info"
	metricUptime     = "windsock.uptime"
	metricAlertState = "windsock.alert.state"
	metricFolded     = "windsock.export.folded"

	selfPrefix = "windsock."

	attrCheck    = "check"
	attrKind     = "kind"
	attrProvider = "provider"
	attrLocation = "location"
)

// Catalogue is every metric that Windsock emits, in the order of the documentation. Plugins may add names of their own,
// which are gauges.
//
// Units are chosen so that the standard translation to Prometheus gives the names that blackbox_exporter has made common:
// a unit of "1" would add "_ratio" to a 0/1 gauge, so those have none.
func Catalogue() []Metric {
	return slices.Concat(
		probeMetrics(), llmMetrics(), modelMetrics(), spendMetrics(), keyMetrics(), askedMetrics(), execMetrics(), scheduleMetrics(), moneyMetrics(),
		agentMetrics(), pluginMetrics(), exportMetrics(),
	)
}

// Lookup is the row of a name, and false for a name that is not in the catalogue. It allocates nothing; the row's slices
// are shared and must not be written to.
func Lookup(name string) (Metric, bool) {
	m, ok := catalogueIndex()[name]
	return m, ok
}

//nolint:gochecknoglobals // immutable, built once: Points is asked for every measurement of every record
var catalogueIndex = sync.OnceValue(func() map[string]Metric {
	index := make(map[string]Metric)
	for _, m := range Catalogue() {
		index[m.Name] = m
	}
	return index
})

// DatadogName is the name under which Datadog gets a metric: below "windsock.", because Datadog has one namespace for all.
func DatadogName(name string) string {
	if strings.HasPrefix(name, selfPrefix) {
		return name
	}
	return selfPrefix + name
}

func probeMetrics() []Metric {
	return []Metric{
		{Name: metricSuccess, Doc: "1 where the last run was ok or degraded, 0 where it failed; no point where the target could not be judged"},
		{Name: metricDuration, Unit: "s", Doc: "time the run took; only where the target was judged"},
		{Name: metricTimeout, Unit: "s", Doc: "bound that was set on the run"},
		{Name: metricPhase, Unit: "s", Attrs: []string{"host", "phase"}, Doc: "time by phase of the request: resolve, connect, tls, processing, transfer"},
		{Name: metricLastRun, Unit: "s", Page: true, Doc: "Unix time at which the last run ended that judged the target"},
		{Name: "probe.http.status_code", Attrs: []string{"host"}, Doc: "HTTP status of the answer"},
		{Name: "probe.dns.lookup_time", Unit: "s", Attrs: []string{"host"}, Doc: "time to resolve the host name"},
		{Name: "probe.dns.answers", Attrs: []string{"host"}, Doc: "addresses in the DNS answer"},
		{Name: "probe.ssl.earliest_cert_expiry", Attrs: []string{"host"}, Doc: "Unix time at which the first certificate of the chain expires"},
		{Name: "probe.egress.reachable", Attrs: []string{"host"}, Doc: "1 where the host could be reached, 0 where it could not"},
		{Name: "probe.app.reported_latency", Unit: "s", Attrs: []string{"service"}, Doc: "latency of a service as the application's health route tells it"},
		{Name: "probe.app.answer_age", Unit: "s", Doc: "age of the answer of the application's health route, by its own timestamp"},
		{Name: "probe.app.chat.duration", Unit: "s", Doc: "time of the request to the application's chat route"},
		{Name: "probe.app.chat.status_code", Doc: "HTTP status of the answer of the application's chat route"},
		{Name: metricRuns, Kind: Counter, Attrs: []string{"status"}, Doc: "schedule slots by what became of them: ok, degraded, failed, unknown, error, skipped; unconfirmed for a failure that a second run had yet to confirm"},
		{Name: metricFailures, Kind: Counter, Attrs: []string{"cause"}, Doc: "failed runs by cause; a failure that was not confirmed is not one"},
		{Name: metricSkips, Kind: Counter, Attrs: []string{"reason"}, Doc: "slots without a verdict on the target, by reason: not run on purpose, not run by our own fault, or undetermined"},
	}
}

func llmMetrics() []Metric {
	genAI := []string{"error.type", "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"}
	tokens := append(slices.Clone(genAI), "gen_ai.token.type")
	return []Metric{
		{Name: "gen_ai.client.operation.duration", Kind: Histogram, Unit: "s", Attrs: genAI, Buckets: genAISeconds(), Doc: "time of a call to the model"},
		{Name: "gen_ai.client.operation.time_to_first_chunk", Kind: Histogram, Unit: "s", Attrs: genAI, Buckets: genAISeconds(), Doc: "time from the request to the first chunk of a streamed answer"},
		{Name: "gen_ai.client.token.usage", Kind: Histogram, Unit: "{token}", Attrs: tokens, Buckets: genAITokens(), Doc: "tokens of a call, input and output"},
		{Name: "probe.llm.time_to_first_token", Unit: "s", Attrs: []string{"model"}, Doc: "time from the request to the first content of a streamed answer"},
		{Name: "probe.llm.inter_chunk", Unit: "s", Attrs: []string{"model"}, Doc: "longest silence between two chunks of content"},
		{Name: "probe.llm.embedding.dimensions", Attrs: []string{"model"}, Doc: "how wide the vectors of an embedding are"},
		{Name: "probe.llm.embedding.norm", Attrs: []string{"model"}, Doc: "length of a vector, of several the one that is furthest from 1"},
		{Name: "probe.llm.models", Doc: "models in the provider's list"},
		{Name: metricCost, Kind: Counter, Attrs: []string{"model"}, Doc: "US dollars that runs cost; the dearest known price where the model's is unknown"},
		{Name: "probe.llm.rate_limit.limit", Attrs: []string{"resource", "window"}, Doc: "rate limit as the provider's headers say"},
		{Name: "probe.llm.rate_limit.remaining", Attrs: []string{"resource", "window"}, Doc: "what is left of the rate limit"},
		{Name: "probe.llm.rate_limit.share", Attrs: []string{"resource", "window"}, Doc: "what is left of the rate limit, 0 to 1"},
		{Name: "probe.llm.query_cost", Unit: "{token}", Doc: "tokens that the provider's rate limiter counted for a call"},
		{Name: "probe.llm.query_cost.difference", Unit: "{token}", Doc: "tokens that the rate limiter counted, less those that the answer's usage told"},
		{Name: metricPriceKnown, Attrs: []string{"model"}, Doc: "1 where the price of the model that a run paid for is known, 0 where the dearest one was counted"},
	}
}

// modelMetrics are of checks that look after models: listed, usable, moved, retired.
func modelMetrics() []Metric {
	model := []string{"model"}
	return []Metric{
		{Name: "probe.llm.model.retirement_time", Unit: "s", Attrs: model, Doc: "Unix time at which the provider retires the model"},
		{Name: "probe.llm.model.alias_info", Attrs: []string{"alias", "model"}, Doc: "1 for the model that an alias stands for"},
		{Name: "probe.llm.model.listed", Attrs: model, Doc: "1 where the provider lists the model, 0 where it does not"},
		{Name: "probe.llm.model.usable", Attrs: model, Doc: "1 where the model answered when it was last asked, 0 where it refused"},
		{Name: "probe.llm.model.floating", Attrs: model, Doc: "1 where the id is an alias that can move although the policy is pinned, else 0"},
		{Name: "probe.llm.model.moves", Kind: Counter, Attrs: []string{"alias"}, Doc: "times that an alias came to stand for another model"},
		{Name: "probe.llm.model.changes", Kind: Counter, Attrs: []string{"change"}, Doc: "changes of models' cards, which the record names: context_length, default_temperature, capability_lost, moved, price, retirement"},
		{Name: "probe.llm.model.context_length", Unit: "{token}", Attrs: model, Doc: "tokens that fit into the model's context"},
		{Name: "probe.llm.model.price.usd", Attrs: []string{"direction", "model"}, Doc: "US dollars for a million tokens: input, cached, output; no point where the price is not known"},
	}
}

// spendMetrics are what the application spends. A series without a source is the application's spend by the source that was
// believed; those with one are what each source says.
func spendMetrics() []Metric {
	source := []string{"source"}
	return []Metric{
		{Name: "spend.hour.usd", Attrs: source, Doc: "US dollars spent in the last 60 minutes"},
		{Name: "spend.today.usd", Attrs: source, Doc: "US dollars spent since midnight"},
		{Name: "spend.month.usd", Attrs: source, Doc: "US dollars spent since the month began"},
		{Name: "spend.rate.usd", Attrs: source, Doc: "US dollars per hour at the present pace"},
		{Name: "spend.projected_month.usd", Attrs: source, Doc: "US dollars that the month will have cost at the present pace"},
		{Name: "spend.limit.usd", Attrs: source, Doc: "US dollars that the provider lets the account spend in the month"},
		{Name: "spend.tokens", Unit: "{token}", Attrs: []string{"direction", "model"}, Doc: "tokens in the last 60 minutes: input, cached, output"},
		{Name: "spend.requests", Unit: "{request}", Doc: "requests in the last 60 minutes"},
		{Name: "spend.request.cost.usd", Doc: "US dollars per request, mean of the last 60 minutes"},
		{Name: "spend.cached.share", Doc: "share of the input tokens of the last 60 minutes that came from the cache, 0 to 1; no point where none did, or nobody tells"},
		{Name: "spend.spike_factor", Doc: "spend of the last 60 minutes by what is usual at this hour of the day; no point before there is enough history"},
		{Name: "spend.baseline.usd", Attrs: []string{"stat"}, Doc: "US dollars that are usual in an hour at this time of the day: median, mad"},
		{Name: "spend.disagreement", Attrs: []string{"source", "window"}, Doc: "how far a source is from the one that was believed: 0.1 is a tenth more, -0.1 a tenth less"},
		{Name: "spend.unpriced.models", Attrs: source, Doc: "models in the spend whose price is not known, whose cost is missing in it"},
		{Name: "spend.source.age", Unit: "s", Attrs: source, Doc: "age of what a source says"},
		{Name: "spend.source.usable", Attrs: source, Doc: "1 where a source gave a number that is fresh, else 0"},
	}
}

// keyMetrics are of the credentials check.
func keyMetrics() []Metric {
	key := []string{"key"}
	return []Metric{
		{Name: "probe.key.valid", Attrs: key, Doc: "1 where the provider accepts the key, 0 where it refuses it: primary, fallback"},
		{Name: "probe.key.age", Unit: "s", Attrs: key, Doc: "time since the source of the key was last changed, where that is known"},
		{Name: "probe.key.same", Doc: "1 where the fallback key is the primary one, else 0"},
	}
}

// moneyMetrics are what the agent knows of money and of rate limits, beside its budget.
func moneyMetrics() []Metric {
	window := []string{"model", "provider", "resource", "window"}
	return []Metric{
		{Name: "windsock.prices.age", Self: true, Unit: "s", Doc: "time since the built-in prices were checked"},
		{Name: "windsock.prices.unknown", Self: true, Attrs: []string{"provider"}, Doc: "models of paid checks whose price is not known"},
		{Name: "windsock.headroom.share", Self: true, Attrs: window, Doc: "what is left of a rate limit, 0 to 1, as an answer of the model said last"},
		{Name: "windsock.headroom.exhaustion", Self: true, Unit: "s", Attrs: window, Doc: "time until nothing is left of a rate limit at the present trend; no point where it does not shrink"},
		{Name: "windsock.headroom.paused", Self: true, Attrs: []string{"provider"}, Doc: "1 while paid checks leave what is left to the application"},
	}
}

// askedMetrics are of checks that ask somebody who knows: a Prometheus server, a status page.
func askedMetrics() []Metric {
	return []Metric{
		{Name: "probe.prometheus.series", Attrs: []string{"query"}, Doc: "series in the answer to a query, also where their numbers were withheld"},
		{Name: "probe.prometheus.sample_age", Unit: "s", Attrs: []string{"query"}, Doc: "age of the oldest sample behind an answer, by the server's clock"},
		{Name: "probe.status_page.indicator", Doc: "what the provider's status page says: 0 none, 1 maintenance, 2 minor, 3 major, 4 critical; no point where it cannot be read"},
		{Name: "probe.status_page.incidents", Doc: "open incidents on the provider's status page"},
	}
}

// execMetrics are what plugins of the exec kind measure: one name for each sort of unit, the plugin's own name as label.
func execMetrics() []Metric {
	label := []string{"label"}
	return []Metric{
		{Name: "probe.exec.time", Unit: "s", Attrs: label, Doc: "time that a plugin reports (s, ms, us)"},
		{Name: "probe.exec.size", Unit: "By", Attrs: label, Doc: "size that a plugin reports (B, KB, MB, GB, TB, in powers of 1024)"},
		{Name: "probe.exec.percent", Unit: "%", Attrs: label, Doc: "percentage that a plugin reports, 0 to 100"},
		{Name: "probe.exec.counter", Attrs: label, Doc: "total that a plugin reports and that only grows (c), as it stands: a gauge, of which a rate can be taken"},
		{Name: "probe.exec.value", Attrs: []string{"label", "unit"}, Doc: "any other number that a plugin reports, with its unit where it has one"},
	}
}

func scheduleMetrics() []Metric {
	return []Metric{
		{Name: metricBuildInfo, Self: true, Attrs: []string{"version"}, Doc: "1, with the agent's version"},
		{Name: metricUptime, Self: true, Unit: "s", Doc: "time since the agent started"},
		{Name: "windsock.schedule.lateness", Self: true, Unit: "s", Attrs: []string{"q"}, Doc: "how late runs started in the last minute, by quantile: 0.5, 0.99, 1"},
		{Name: "windsock.schedule.slots", Self: true, Kind: Counter, Attrs: []string{"outcome"}, Doc: "schedule slots: scheduled = done + skipped + missed"},
		{Name: "windsock.schedule.clock_steps", Self: true, Kind: Counter, Doc: "steps of the wall clock of more than two seconds"},
		{Name: "windsock.schedule.overdue", Self: true, Doc: "checks that should have reported and have not"},
		{Name: "windsock.run.abandoned", Self: true, Doc: "runs that ignored their deadline and have not come back"},
		{Name: "windsock.run.measurements_dropped", Self: true, Kind: Counter, Doc: "measurements that were left out of results: not finite, without a name, or beyond 200 of one run"},
		{Name: "windsock.breaker.state", Self: true, Attrs: []string{"provider"}, Doc: "the provider's circuit breaker: 0 closed, 1 half-open, 2 open"},
		{Name: "windsock.budget.spent.usd", Self: true, Attrs: []string{"window"}, Doc: "US dollars spent and reserved in the window"},
		{Name: "windsock.budget.limit.usd", Self: true, Attrs: []string{"window"}, Doc: "US dollars that may be spent in the window"},
	}
}

func agentMetrics() []Metric {
	return []Metric{
		{Name: "windsock.process.cpu.time", Self: true, Kind: Counter, Unit: "s", Doc: "processor time of the agent, user and system"},
		{Name: "windsock.process.memory.usage", Self: true, Unit: "By", Doc: "resident memory of the agent"},
		{Name: "windsock.process.open_file_descriptors", Self: true, Doc: "file descriptors that the agent has open"},
		{Name: "windsock.process.goroutines", Self: true, Doc: "goroutines of the agent"},
		{Name: "windsock.store.records", Self: true, Doc: "records in the store"},
		{Name: "windsock.store.size", Self: true, Unit: "By", Doc: "size of the store's files"},
		{Name: "windsock.store.ring", Self: true, Doc: "records kept in memory because the store cannot be written"},
		{Name: "windsock.store.degraded", Self: true, Doc: "1 while the store cannot be written"},
		{Name: "windsock.store.corrupt", Self: true, Kind: Counter, Doc: "times that a corrupt store was moved aside"},
		{Name: "windsock.store.dropped", Self: true, Kind: Counter, Doc: "records that never came to the disk: the memory that stands in for it was full, or the store refused them"},
		{Name: "windsock.config.reload_success", Self: true, Doc: "1 where the last reload was taken, 0 where it was refused"},
		{Name: "windsock.config.reload_time", Self: true, Unit: "s", Doc: "Unix time of the last reload that was taken"},
		{Name: metricAlertState, Self: true, Attrs: []string{"rule", "severity"}, Doc: "state of an alert: 0 resolved, 1 pending, 2 firing, 3 no data; carries the alert's own labels too; nothing of a drill's"},
		{Name: "windsock.alert.open", Self: true, Attrs: []string{"severity"}, Doc: "alerts that are firing or have no data"},
		{Name: "windsock.alert.muted", Self: true, Doc: "open alerts that nobody is told of: silenced, in a maintenance window, or explained by another"},
		{Name: "windsock.incident.open", Self: true, Attrs: []string{"severity"}, Doc: "incidents that are open"},
		{Name: "windsock.heartbeat.sent", Self: true, Kind: Counter, Doc: "heartbeats that were taken"},
		{Name: "windsock.heartbeat.failed", Self: true, Kind: Counter, Doc: "heartbeats that were due and not taken"},
		{Name: "windsock.heartbeat.withheld", Self: true, Kind: Counter, Attrs: []string{"reason"}, Doc: "heartbeats that were not sent because the agent is not well: scheduler, store, export"},
	}
}

// pluginMetrics are of the processes of plugins.
func pluginMetrics() []Metric {
	plugin := []string{"plugin"}
	return []Metric{
		{Name: "windsock.plugin.up", Self: true, Attrs: plugin, Doc: "1 while the plugin is ready, else 0"},
		{Name: "windsock.plugin.quarantined", Self: true, Attrs: plugin, Doc: "1 while the plugin is not started any more, because it crashes or is not the one that was locked"},
		{Name: "windsock.plugin.restarts", Self: true, Kind: Counter, Attrs: []string{"plugin", "reason"}, Doc: "times that the plugin's process had to be started again, by reason: crash, health, disk, abandoned, secret, asked; start for one that did not become ready"},
		{Name: "windsock.plugin.calls", Self: true, Kind: Counter, Attrs: []string{"code", "method", "plugin"}, Doc: "calls of the plugin by method and gRPC code"},
		{Name: "windsock.plugin.memory.usage", Self: true, Unit: "By", Attrs: plugin, Doc: "resident memory of the plugin's process"},
		{Name: "windsock.plugin.abandoned", Self: true, Attrs: plugin, Doc: "runs in the plugin that ignored their deadline and have not come back"},
		{Name: "windsock.plugin.faults", Self: true, Kind: Counter, Attrs: plugin, Doc: "answers of the plugin that broke the protocol, and were not used"},
		{Name: "windsock.plugin.log.dropped", Self: true, Kind: Counter, Attrs: plugin, Doc: "lines of the plugin's log that were left out: there were too many"},
	}
}

func exportMetrics() []Metric {
	return []Metric{
		{Name: "windsock.export.sent", Self: true, Kind: Counter, Attrs: []string{"exporter"}, Doc: "records that the backend took"},
		{Name: "windsock.export.rejected", Self: true, Kind: Counter, Attrs: []string{"exporter", "reason"}, Doc: "records that the backend refused for good"},
		{Name: "windsock.export.expired", Self: true, Kind: Counter, Attrs: []string{"exporter", "reason"}, Doc: "records that were given up before they could be sent: max_age, store_full, store_unreadable"},
		{Name: "windsock.export.queue", Self: true, Attrs: []string{"exporter"}, Doc: "records that wait"},
		{Name: "windsock.export.queue.age", Self: true, Unit: "s", Attrs: []string{"exporter"}, Doc: "age of the oldest record that waits"},
		{Name: "windsock.export.held", Self: true, Attrs: []string{"exporter"}, Doc: "1 while the exporter waits for an operator"},
		{Name: "windsock.export.hidden", Self: true, Page: true, Attrs: []string{"metric"}, Doc: "gauges that are not shown: beyond the bound on series, or a second one of the same name and labels"},
		{Name: metricFolded, Self: true, Kind: Counter, Attrs: []string{"metric"}, Doc: "points beyond the bound on series, counted in the series other=\"true\" of their metric"},
	}
}

// genAISeconds are the bounds that the OpenTelemetry GenAI conventions advise for the client's durations
// (open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md, read November 2026).
func genAISeconds() []float64 {
	return []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
}

// genAITokens are the bounds of the same page for gen_ai.client.token.usage.
func genAITokens() []float64 {
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}
