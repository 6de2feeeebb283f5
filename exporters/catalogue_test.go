package exporters_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/otlptranslator"

	"github.com/windsock-monitor/windsock/exporters"
)

// translated is the name that the standard OTel-to-Prometheus translation gives, by the code of the Prometheus project.
func translated(t *testing.T, m exporters.Metric) string {
	t.Helper()
	kinds := map[exporters.PointKind]otlptranslator.MetricType{
		exporters.Gauge:     otlptranslator.MetricTypeGauge,
		exporters.Counter:   otlptranslator.MetricTypeMonotonicCounter,
		exporters.Histogram: otlptranslator.MetricTypeHistogram,
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kinds[m.Kind]})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheCatalogueStandsStill(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, m := range exporters.Catalogue() {
		about := exporters.CommonAttrs()
		if m.Self {
			about = []string{"location"}
		}
		fmt.Fprintf(&got, "%s -> %s -> %s | %s %q | %s | %s\n", m.Name, translated(t, m), exporters.DatadogName(m.Name),
			m.Kind, m.Unit, strings.Join(about, " "), strings.Join(m.Attrs, " "))
	}
	want, err := os.ReadFile("testdata/catalogue.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("names on the wire changed, which breaks every dashboard built on them (-want +got):\n%s", diff)
	}
}

func TestTheCatalogueIsSound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range exporters.Catalogue() {
		if seen[m.Name] || seen[translated(t, m)] {
			t.Errorf("%s is in the catalogue twice, perhaps by its name in Prometheus", m.Name)
		}
		seen[m.Name], seen[translated(t, m)] = true, true
		if m.Doc == "" || strings.HasSuffix(m.Doc, ".") {
			t.Errorf("%s: doc is %q, want one line without a full stop", m.Name, m.Doc)
		}
		if !slices.IsSorted(m.Attrs) {
			t.Errorf("%s: attributes %v are not sorted", m.Name, m.Attrs)
		}
		if (m.Kind == exporters.Histogram) != (len(m.Buckets) > 0) || !slices.IsSorted(m.Buckets) {
			t.Errorf("%s: a %s with the bounds %v", m.Name, m.Kind, m.Buckets)
		}
		if m.Unit == "1" {
			t.Errorf(`%s: unit "1" adds _ratio to its name in Prometheus`, m.Name)
		}
		if m.Self != strings.HasPrefix(m.Name, "windsock.") {
			t.Errorf("%s: self is %v, want it for names below windsock. only", m.Name, m.Self)
		}
	}
}

func TestEveryNameCanBeLookedUp(t *testing.T) {
	t.Parallel()
	for _, want := range exporters.Catalogue() {
		got, ok := exporters.Lookup(want.Name)
		if !ok {
			t.Errorf("%s is not found", want.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
	if m, ok := exporters.Lookup("shop.basket"); ok {
		t.Errorf("a name outside the catalogue is found: %+v", m)
	}
}

func TestKindsOfPointHaveNames(t *testing.T) {
	t.Parallel()
	for kind, want := range map[exporters.PointKind]string{
		exporters.Gauge: "gauge", exporters.Counter: "counter", exporters.Histogram: "histogram", 9: "kind(9)",
	} {
		if got := kind.String(); got != want {
			t.Errorf("kind %d is called %q, want %q", uint8(kind), got, want)
		}
	}
}
