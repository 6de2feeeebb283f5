package otel

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// metricsBuilder turns batches into metricdata. It keeps nothing between batches.
type metricsBuilder struct {
	resource *resource.Resource
	scope    instrumentation.Scope
}

// batchMetrics is one batch in the making.
type batchMetrics struct {
	totals  *exporters.Totals
	order   []string // names, as they first appear
	gauges  map[string]*gauges
	sums    map[string]*sums
	spreads map[string]*spreads
	open    map[*exporters.Series]int // the place of the series' latest data point
	late    map[*exporters.Series]int // the place of the series' first data point that came late
	folded  bool
}

type gauges struct {
	name, unit string
	points     []metricdata.DataPoint[float64]
}

type sums struct {
	name, unit string
	points     []metricdata.DataPoint[float64]
}

type spreads struct {
	name, unit string
	points     []metricdata.HistogramDataPoint[float64]
}

// dated is a point with the record that it is of.
type dated struct {
	exporters.Point
	record string
}

// build adds the batch to totals and returns what is to be sent, nil where there are no points. A gauge is a data point
// at its own time; a counter and a histogram are the running total at the time of each increment, so that no (series,
// timestamp) of the records is missing and the last one is the total.
func (b *metricsBuilder) build(batch []checks.Record, totals *exporters.Totals) *metricdata.ResourceMetrics {
	m := &batchMetrics{
		totals: totals, gauges: map[string]*gauges{}, sums: map[string]*sums{}, spreads: map[string]*spreads{},
		open: map[*exporters.Series]int{}, late: map[*exporters.Series]int{},
	}
	var growing []dated
	for _, rec := range batch {
		for _, p := range exporters.Points(rec) {
			if p.Kind == exporters.Gauge {
				m.gauge(&p)
			} else {
				growing = append(growing, dated{p, rec.ID})
			}
		}
	}
	// Records stand in the order in which they were stored; a total must grow in the order of time.
	slices.SortStableFunc(growing, func(a, b dated) int { return a.At.Compare(b.At) })
	for i := range growing {
		m.grow(&growing[i])
	}
	m.catchUp()
	if len(m.order) == 0 {
		return nil
	}
	return &metricdata.ResourceMetrics{
		Resource:     b.resource,
		ScopeMetrics: []metricdata.ScopeMetrics{{Scope: b.scope, Metrics: m.list()}},
	}
}

func (m *batchMetrics) gauge(p *exporters.Point) {
	g := m.gauges[p.Name]
	if g == nil {
		g = &gauges{name: p.Name, unit: p.Unit}
		m.gauges[p.Name] = g
		m.order = append(m.order, p.Name)
	}
	g.points = append(g.points, metricdata.DataPoint[float64]{Attributes: attributes(p.Attrs), Time: p.At, Value: p.Value})
}

func (m *batchMetrics) grow(p *dated) {
	s := m.totals.Add(p.Point)
	if s == nil { // an observation without buckets: its value is all there is to say
		m.gauge(&p.Point)
		return
	}
	if len(s.Attrs) != len(p.Attrs) {
		m.folded = true
	}
	switch {
	case p.At.Before(s.Last):
		m.belated(s, &p.Point)
	case m.isOpen(s, p.At):
		m.replace(s)
	default:
		m.point(s, p.At, nil)
	}
	if s.Histogram != nil {
		m.exemplar(s, p)
	}
}

// catchUp tells the totals of series whose last increment was older than one that was sent before: the increment's own
// time got the total without it, because a total that falls again looks like a restart. A series that the bound on
// series made grow is told too.
func (m *batchMetrics) catchUp() {
	for s := range m.totals.Series() {
		if _, late := m.late[s]; late || (m.folded && s.Name == foldedName) {
			m.point(s, s.Last.Add(time.Millisecond), nil)
		}
	}
}

// belated tells the time of an increment that is older than one that was sent before, with the total as it was sent then.
func (m *batchMetrics) belated(s *exporters.Series, p *exporters.Point) {
	i, again := m.late[s]
	if !again {
		m.point(s, p.At, p)
		m.late[s] = m.open[s]
		return
	}
	if m.isOpen(s, p.At) {
		return
	}
	if s.Histogram != nil {
		h := m.spread(s)
		copied := h.points[i]
		copied.Time, m.open[s] = p.At, len(h.points)
		h.points = append(h.points, copied)
		return
	}
	c := m.sum(s)
	copied := c.points[i]
	copied.Time, m.open[s] = p.At, len(c.points)
	c.points = append(c.points, copied)
}

const foldedName = "windsock.export.folded"

// point appends the series' total at a time; without the increment less, where it is not nil.
func (m *batchMetrics) point(s *exporters.Series, at time.Time, less *exporters.Point) {
	if s.Histogram != nil {
		h := m.spread(s)
		m.open[s] = len(h.points)
		h.points = append(h.points, histogramPoint(s, at, less))
		return
	}
	value := s.Value
	if less != nil {
		value = max(value-less.Value, 0)
	}
	c := m.sum(s)
	m.open[s] = len(c.points)
	c.points = append(c.points, metricdata.DataPoint[float64]{
		Attributes: attributes(s.Attrs), StartTime: s.Start, Time: at, Value: value,
	})
}

func (m *batchMetrics) isOpen(s *exporters.Series, at time.Time) bool {
	i, ok := m.open[s]
	if !ok {
		return false
	}
	if s.Histogram != nil {
		return m.spread(s).points[i].Time.Equal(at)
	}
	return m.sum(s).points[i].Time.Equal(at)
}

// replace brings the latest data point up to the total: two increments at one time are one point.
func (m *batchMetrics) replace(s *exporters.Series) {
	i := m.open[s]
	if s.Histogram == nil {
		m.sum(s).points[i].Value = s.Value
		return
	}
	points := m.spread(s).points
	exemplars := points[i].Exemplars
	points[i] = histogramPoint(s, points[i].Time, nil)
	points[i].Exemplars = exemplars
}

// exemplar names the record of the latest observation.
func (m *batchMetrics) exemplar(s *exporters.Series, p *dated) {
	point := &m.spread(s).points[m.open[s]]
	point.Exemplars = []metricdata.Exemplar[float64]{{
		FilteredAttributes: []attribute.KeyValue{attribute.String(keyRecordID, validUTF8(p.record))},
		Time:               p.At, Value: p.Value,
	}}
}

func (m *batchMetrics) sum(s *exporters.Series) *sums {
	c := m.sums[s.Name]
	if c == nil {
		c = &sums{name: s.Name, unit: s.Unit}
		m.sums[s.Name] = c
		m.order = append(m.order, s.Name)
	}
	return c
}

func (m *batchMetrics) spread(s *exporters.Series) *spreads {
	h := m.spreads[s.Name]
	if h == nil {
		h = &spreads{name: s.Name, unit: s.Unit}
		m.spreads[s.Name] = h
		m.order = append(m.order, s.Name)
	}
	return h
}

func histogramPoint(s *exporters.Series, at time.Time, less *exporters.Point) metricdata.HistogramDataPoint[float64] {
	h := s.Histogram
	buckets, count, sum := slices.Clone(h.Buckets), h.Count, h.Sum
	if less != nil {
		i, _ := slices.BinarySearch(h.Bounds, less.Value)
		buckets[i]--
		count, sum = count-1, sum-less.Value
	}
	return metricdata.HistogramDataPoint[float64]{
		Attributes: attributes(s.Attrs), StartTime: s.Start, Time: at, Count: count, Sum: sum,
		Bounds: h.Bounds, BucketCounts: buckets, Min: metricdata.NewExtrema(h.Min), Max: metricdata.NewExtrema(h.Max),
	}
}

// list is every metric, in the order in which the batch first spoke of it.
func (m *batchMetrics) list() []metricdata.Metrics {
	all := make([]metricdata.Metrics, 0, len(m.order))
	for _, name := range m.order {
		if g := m.gauges[name]; g != nil {
			all = append(all, metricdata.Metrics{
				Name: name, Description: description(name), Unit: g.unit, Data: metricdata.Gauge[float64]{DataPoints: g.points},
			})
		}
		if c := m.sums[name]; c != nil {
			all = append(all, metricdata.Metrics{
				Name: name, Description: description(name), Unit: c.unit,
				Data: metricdata.Sum[float64]{DataPoints: c.points, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true},
			})
		}
		if h := m.spreads[name]; h != nil {
			all = append(all, metricdata.Metrics{
				Name: name, Description: description(name), Unit: h.unit,
				Data: metricdata.Histogram[float64]{DataPoints: h.points, Temporality: metricdata.CumulativeTemporality},
			})
		}
	}
	return all
}

func description(name string) string {
	row, _ := exporters.Lookup(name)
	return row.Doc
}

func attributes(attrs []exporters.Attr) attribute.Set {
	all := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		all[i] = attribute.String(validUTF8(a.Key), validUTF8(a.Value))
	}
	return attribute.NewSet(all...)
}
