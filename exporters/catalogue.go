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
	return slices.Concat(probeMetrics(), llmMetrics(), askedMetrics(), execMetrics(), scheduleMetrics(), agentMetrics(), exportMetrics())
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
		{Name: "probe.llm.model.retirement_time", Unit: "s", Attrs: []string{"model"}, Doc: "Unix time at which the provider retires the model"},
		{Name: "probe.llm.model.alias_info", Attrs: []string{"alias", "model"}, Doc: "1 for the model that an alias stands for"},
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
		{Name: metricAlertState, Self: true, Attrs: []string{"rule", "severity"}, Doc: "state of an alert: 0 resolved, 1 pending, 2 firing, 3 no data; carries the alert's own labels too"},
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
