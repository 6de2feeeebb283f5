package datadog_test

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/line"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
)

// TestAnotherProjectReadsOurLines has statsd_exporter's parser read what was sent: every point of the batch is there with
// its name, tags and value. Service checks and events are DogStatsD's own and stand byte by byte in TestLinesAreByteExact.
func TestAnotherProjectReadsOurLines(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	sink := listenUnix(t, path)
	batch := exportertest.RecordsFrom(recently(), 40, 7)
	want := map[string]bool{}
	for _, record := range batch {
		for _, p := range exporters.Points(record) {
			if p.Kind == exporters.Gauge {
				want[exporters.DatadogName(p.Name)] = true
			}
		}
	}
	export(t, build(t, "address: unix://"+path, exporters.Env{Labels: map[string]string{"env": "test"}}), batch...)
	lines := sink.until(t, func(lines []string) bool { return len(unseen(want, lines)) == 0 })
	parser := line.NewParser()
	parser.EnableDogstatsdParsing()
	faults := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faults"}, []string{"reason"})
	count := func(name string) prometheus.Counter { return prometheus.NewCounter(prometheus.CounterOpts{Name: name}) }
	log := slog.New(slog.DiscardHandler)
	for _, text := range lines {
		if strings.HasPrefix(text, "_sc|") || strings.HasPrefix(text, "_e{") {
			continue
		}
		events := parser.LineToEvents(text, *faults, count("samples"), count("tag_errors"), count("tags"), log)
		if len(events) != 1 {
			t.Errorf("the parser reads %d events in %q, want 1", len(events), text)
			continue
		}
		name, _, _ := strings.Cut(text, ":")
		if got := events[0].MetricName(); got != name {
			t.Errorf("got the name %q in %q", got, text)
		}
		if labels := events[0].Labels(); labels["env"] != "test" {
			t.Errorf("got the tags %v in %q", labels, text)
		}
	}
}

// unseen are the names of which there is no line yet, in their order.
func unseen(want map[string]bool, lines []string) []string {
	left := maps.Clone(want)
	for _, text := range lines {
		name, _, _ := strings.Cut(text, ":")
		delete(left, name)
	}
	return slices.Sorted(maps.Keys(left))
}
