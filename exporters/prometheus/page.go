package prometheus

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/windsock-monitor/windsock/exporters"
)

// Name is the name of a metric in Prometheus: the standard translation from OpenTelemetry, by the Prometheus project's
// own code. "" where the name has nothing in it that Prometheus could use.
func Name(m exporters.Metric) string {
	var kind otlptranslator.MetricType = otlptranslator.MetricTypeGauge
	switch m.Kind {
	case exporters.Counter:
		kind = otlptranslator.MetricTypeMonotonicCounter
	case exporters.Histogram:
		kind = otlptranslator.MetricTypeHistogram
	case exporters.Gauge:
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kind})
	if err != nil {
		return ""
	}
	return name
}

// names gives every metric its family. It is never changed after newNames.
type names struct {
	known    map[string]string // of the catalogue
	reserved map[string]bool   // names that the catalogue's families use on the page
}

func newNames() *names {
	n := &names{known: map[string]string{}, reserved: map[string]bool{}}
	for _, m := range exporters.Catalogue() {
		name := Name(m)
		n.known[m.Name] = name
		n.reserved[name] = true
		switch m.Kind {
		case exporters.Counter:
			n.reserved[strings.TrimSuffix(name, "_total")] = true // the family's name in OpenMetrics
		case exporters.Histogram:
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				n.reserved[name+suffix] = true
			}
		case exporters.Gauge:
		}
	}
	return n
}

// family is the name of a metric's family. A plugin's name that reads like one of the catalogue gets a prefix: it can
// neither replace nor break what is ours.
func (n *names) family(metric, unit string) string {
	if name, ok := n.known[metric]; ok {
		return name
	}
	name := Name(exporters.Metric{Name: metric, Unit: unit})
	if n.reserved[name] {
		return "exported_" + name
	}
	return name
}

// constant are the labels of every series: the file's, and the location.
func constant(env exporters.Env) []exporters.Attr {
	labels := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(env.Labels)) {
		if name := labelName(key); name != "" {
			labels[name] = exporters.Clean(env.Labels[key], maxLabelValue)
		}
	}
	if env.Location != "" {
		labels["location"] = exporters.Clean(env.Location, maxLabelValue)
	}
	var out []exporters.Attr
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if labels[name] != "" {
			out = append(out, exporters.Attr{Key: name, Value: labels[name]})
		}
	}
	return out
}

const maxLabelValue = 128 // bytes

// labelName is the label of an attribute; "" for what Prometheus keeps for itself or cannot use.
func labelName(key string) string {
	namer := otlptranslator.LabelNamer{}
	name, err := namer.Build(key)
	if err != nil || strings.HasPrefix(name, "__") || name == "le" || name == "quantile" {
		return ""
	}
	return name
}

// page collects the families of one scrape.
type page struct {
	e        *Exporter
	families map[string]*family
	hidden   map[string]int // gauge series beyond the bound, by metric
}

type family struct {
	*dto.MetricFamily
	metric string // of the first series
	seen   map[string]bool
}

// Gather makes the page. It implements prometheus.Gatherer and never fails.
func (e *Exporter) Gather() ([]*dto.MetricFamily, error) {
	now := time.Now()
	p := &page{e: e, families: map[string]*family{}, hidden: map[string]int{}}
	e.mu.Lock()
	for _, key := range slices.Sorted(maps.Keys(e.sources)) {
		if s := e.sources[key]; !e.stale(s, now) {
			p.source(s)
		}
	}
	if e.tally != nil {
		for s := range e.tally.Now().Series() {
			p.total(s)
		}
	}
	e.mu.Unlock()
	for _, metric := range slices.Sorted(maps.Keys(p.hidden)) {
		p.gauge(exporters.Point{
			Name: metricHidden, Value: float64(p.hidden[metric]), Attrs: []exporters.Attr{{Key: "metric", Value: metric}},
		})
	}
	return p.sorted(), nil
}

func (p *page) source(s *source) {
	for _, g := range s.gauges {
		p.gauge(g)
	}
	if s.check && !s.lastRun.IsZero() {
		p.gauge(exporters.Point{
			Name: metricLastRun, Unit: "s", Value: float64(s.lastRun.UnixMilli()) / 1000, Attrs: s.about,
		})
	}
}

func (p *page) gauge(g exporters.Point) {
	f := p.family(g.Name, g.Unit, dto.MetricType_GAUGE)
	if f == nil || len(f.Metric) >= p.e.params.MaxSeries ||
		!f.add(&dto.Metric{Label: p.labels(g.Attrs), Gauge: &dto.Gauge{Value: new(g.Value)}}) {
		p.hidden[g.Name]++
	}
}

func (p *page) total(s *exporters.Series) {
	since := timestamppb.New(s.Start)
	if h := s.Histogram; h != nil {
		if f := p.family(s.Name, s.Unit, dto.MetricType_HISTOGRAM); f != nil {
			f.add(&dto.Metric{Label: p.labels(s.Attrs), Histogram: histogram(h, since)})
		}
		return
	}
	if f := p.family(s.Name, s.Unit, dto.MetricType_COUNTER); f != nil {
		f.add(&dto.Metric{
			Label: p.labels(s.Attrs), Counter: &dto.Counter{Value: new(s.Value), CreatedTimestamp: since},
		})
	}
}

func histogram(h *exporters.HistogramValue, since *timestamppb.Timestamp) *dto.Histogram {
	out := &dto.Histogram{
		SampleCount: new(h.Count), SampleSum: new(h.Sum), CreatedTimestamp: since,
	}
	var sum uint64
	for i, bound := range h.Bounds {
		sum += h.Buckets[i]
		out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: new(sum), UpperBound: new(bound)})
	}
	return out
}

// family is where the series of a metric go; nil where the page cannot carry it.
func (p *page) family(metric, unit string, kind dto.MetricType) *family {
	name := p.e.names.family(metric, unit)
	if name == "" {
		return nil
	}
	f, ok := p.families[name]
	if !ok {
		f = &family{
			MetricFamily: &dto.MetricFamily{Name: new(name), Help: new(help(metric)), Type: kind.Enum()},
			metric:       metric, seen: map[string]bool{},
		}
		p.families[name] = f
	}
	if f.GetType() != kind {
		return nil
	}
	return f
}

func help(metric string) string {
	if m, ok := exporters.Lookup(metric); ok {
		return m.Doc + "."
	}
	return "Measurement of a check, by a name of its own."
}

// add leaves out a series that is there already, because two names of measurements can become one, and reports whether it
// was added.
func (f *family) add(m *dto.Metric) bool {
	var key strings.Builder
	for _, l := range m.Label {
		key.WriteString(l.GetName() + "\x00" + l.GetValue() + "\x00")
	}
	if f.seen[key.String()] {
		return false
	}
	f.seen[key.String()] = true
	f.Metric = append(f.Metric, m)
	return true
}

// labels are the attributes as labels, sorted, with the constant ones where a series has none of that name. Attributes
// whose names become one label are joined, as the translation says.
func (p *page) labels(attrs []exporters.Attr) []*dto.LabelPair {
	out := make([]*dto.LabelPair, 0, len(attrs)+len(p.e.labels))
	find := func(name string) *dto.LabelPair {
		if i := slices.IndexFunc(out, func(l *dto.LabelPair) bool { return l.GetName() == name }); i >= 0 {
			return out[i]
		}
		return nil
	}
	for _, a := range attrs {
		name := labelName(a.Key)
		if name == "" {
			continue
		}
		if l := find(name); l != nil {
			l.Value = new(l.GetValue() + ";" + a.Value)
			continue
		}
		out = append(out, &dto.LabelPair{Name: new(name), Value: new(a.Value)})
	}
	for _, a := range p.e.labels {
		if find(a.Key) == nil {
			out = append(out, &dto.LabelPair{Name: new(a.Key), Value: new(a.Value)})
		}
	}
	slices.SortFunc(out, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out
}

func (p *page) sorted() []*dto.MetricFamily {
	out := make([]*dto.MetricFamily, 0, len(p.families))
	for _, name := range slices.Sorted(maps.Keys(p.families)) {
		f := p.families[name]
		if len(f.Metric) == 0 {
			continue
		}
		slices.SortFunc(f.Metric, func(a, b *dto.Metric) int {
			return slices.CompareFunc(a.Label, b.Label, func(x, y *dto.LabelPair) int {
				return cmp.Or(cmp.Compare(x.GetName(), y.GetName()), cmp.Compare(x.GetValue(), y.GetValue()))
			})
		})
		out = append(out, f.MetricFamily)
	}
	return out
}
