// Package metricsdoc makes docs/metrics.md of the catalogue.
package metricsdoc

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
)

const head = "# Metrics\n\n" +
	"<!-- made by `go generate ./exporters` from exporters/catalogue.go; do not edit -->\n\n" +
	"Every metric that Windsock emits, under the name that each backend gets. The Prometheus names are those of the standard\n" +
	"translation from OpenTelemetry, and those that blackbox_exporter has made common. A test holds all of them still.\n\n" +
	"Times are seconds, sizes bytes, money US dollars. A point carries the time at which its run ended, not the time at which\n" +
	"it was sent. Counters are increments in Datadog, and totals since a persisted start in OTLP and on the Prometheus page.\n" +
	"What has a Prometheus name only is made by that page, whose values carry no time.\n\n"

const rules = `## What a run emits

| the run | gauges | counters |
|---|---|---|
| ok, degraded | ` + "`probe.success` 1, `probe.duration`, what the check measured" + ` | ` + "`probe.runs`" + ` |
| failed | ` + "`probe.success` 0, `probe.duration`, what the check measured" + ` | ` + "`probe.runs`, `probe.failures` by cause" + ` |
| failed, and a second run is to confirm it | none | ` + "`probe.runs` with status unconfirmed" + ` |
| unknown, error | what the check measured, **no** ` + "`probe.success`" + ` | ` + "`probe.runs`, `probe.skips` by reason" + ` |
| skipped | **no** ` + "`probe.success`" + ` | ` + "`probe.runs`, `probe.skips` by reason; a record that stands for several missed slots counts as many" + ` |

Our own fault never looks like the target's outage, and a run that was not made never looks like one that went well: alert
on ` + "`probe.success`" + ` being 0 **and** on it being absent.

What a run cost, and what it observed for histograms, counts whether or not it is confirmed: the money is spent.

## Names of plugins and queries

The prometheus check measures what its queries give as ` + "`query.NAME`" + `, which no name of this page begins with. A plugin's measurement keeps its name, is a gauge in the unit that the plugin gives, and cannot take a name of this page.
A plugin that announces one of those that the agent gives out itself is refused: ` + "`probe.success`, `.duration`, `.timeout`, `.last_run_timestamp`, `.runs`, `.failures`, `.skips`, `probe.llm.cost.usd`, `probe.llm.price.known`, and all of `windsock.`" + `, also with
underscores for the dots. They would stand where ours are left out on purpose: a check that is ` + "`error`" + ` would look green.
Names, attribute keys and values are cleaned and bounded (128, 64 and 128 bytes, 16 attributes). The keys ` + "`le` and `quantile`" + `
belong to Prometheus and become ` + "`bound` and `q`" + `. A value that is not finite is dropped.
`

// Page is docs/metrics.md.
func Page() string {
	var page strings.Builder
	page.WriteString(head)
	fmt.Fprintf(&page, "Metrics of a check carry %s. The agent's own carry `location`. One without a value is left out.\n\n",
		quoted(exporters.CommonAttrs()))
	page.WriteString("## Of a check\n\n")
	table(&page, false)
	page.WriteString("\n## Of the agent itself\n\nOnce a minute, to every exporter.\n\n")
	table(&page, true)
	page.WriteString("\n## Buckets of the histograms\n\n")
	for _, m := range exporters.Catalogue() {
		if m.Kind == exporters.Histogram {
			fmt.Fprintf(&page, "* `%s`: %s\n", m.Name, bounds(m.Buckets))
		}
	}
	page.WriteString("\n" + rules)
	return page.String()
}

func table(page *strings.Builder, self bool) {
	page.WriteString("| OpenTelemetry | Prometheus | Datadog | kind, unit | attributes | meaning |\n|---|---|---|---|---|---|\n")
	for _, m := range exporters.Catalogue() {
		if m.Self != self {
			continue
		}
		otel, datadog := quoted([]string{m.Name}), quoted([]string{exporters.DatadogName(m.Name)})
		if m.Page {
			otel, datadog = "", ""
		}
		fmt.Fprintf(page, "| %s | `%s` | %s | %s | %s | %s |\n", otel, prometheus.Name(m), datadog,
			strings.TrimSpace(m.Kind.String()+" "+m.Unit), quoted(m.Attrs), m.Doc)
	}
}

func quoted(words []string) string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		out = append(out, "`"+w+"`")
	}
	return strings.Join(out, ", ")
}

func bounds(values []float64) string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, strconv.FormatFloat(v, 'f', -1, 64))
	}
	return strings.Join(out, ", ")
}
