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

// metricsBuilder turns batches into metricdata: docs/adr/0010. It keeps nothing of a batch but room and attribute sets.
type metricsBuilder struct {
	resource *resource.Resource
	scope    instrumentation.Scope
	list     metricList
	before   []*exporters.Series
	steps    steps
}

// dated is a counter's increment or a histogram's observation, with the record that it is of.
type dated struct {
	at     time.Time
	value  float64
	record string
}

// build adds the batch to totals and returns what is to be sent, nil where there are no points. A gauge is a data point
// at its own time; a counter and a histogram are the running total at the time of each increment, so that no (series,
// timestamp) of the records is missing and the last one is the total. What is returned lives until the next build.
//
// The points are added in the order of the records, whatever their times: that makes the totals a function of the cursor,
// and not of the cut of the batches.
func (b *metricsBuilder) build(batch []checks.Record, totals *exporters.Totals) *metricdata.ResourceMetrics {
	b.begin()
	defer b.end()
	b.before = slices.AppendSeq(b.before, totals.Series()) // Add copies a series before it changes it
	for i := range batch {
		points := exporters.Points(batch[i])
		for j := range points {
			p := &points[j]
			series := totals.Add(*p)
			if series == nil { // a gauge, or an observation without buckets, whose value is all there is to say
				b.list.gauge(p)
				continue
			}
			b.steps.add(series, dated{p.At, p.Value, batch[i].ID})
		}
	}
	place := 0
	for series := range totals.Series() {
		var was *exporters.Series
		if place < len(b.before) {
			was = b.before[place]
		}
		place++
		if series != was {
			b.list.total(was, series, b.steps.of(series))
		}
	}
	metrics := b.list.data()
	if len(metrics) == 0 {
		return nil
	}
	return &metricdata.ResourceMetrics{
		Resource:     b.resource,
		ScopeMetrics: []metricdata.ScopeMetrics{{Scope: b.scope, Metrics: metrics}},
	}
}

// begin takes the room of the batch before.
func (b *metricsBuilder) begin() {
	b.list.metrics = b.list.metrics[:0]
	b.list.buckets.reset()
	b.list.exemplars.reset()
	b.list.pairs.reset()
}

// end lets go of what the batch lent.
func (b *metricsBuilder) end() {
	clear(b.before)
	b.before = b.before[:0]
	b.steps.reset()
	b.list.end()
}

// steps is how each series grew, in the order of the records.
type steps struct {
	all   []step
	ends  map[*exporters.Series]int // where the last step of a series is
	found []dated                   // scratch
}

// step is one of them and the place of the one before it of the same series, less than zero where it is the first.
type step struct {
	dated

	previous int
}

func (s *steps) add(series *exporters.Series, d dated) {
	if s.ends == nil {
		s.ends = map[*exporters.Series]int{}
	}
	previous, ok := s.ends[series]
	if !ok {
		previous = -1
	}
	s.ends[series] = len(s.all)
	s.all = append(s.all, step{d, previous})
}

// of is the steps of a series in the order of time, until the next call.
func (s *steps) of(series *exporters.Series) []dated {
	s.found = s.found[:0]
	if at, ok := s.ends[series]; ok {
		for ; at >= 0; at = s.all[at].previous {
			s.found = append(s.found, s.all[at].dated)
		}
	}
	slices.Reverse(s.found)
	// Where two runs ended in another order than they were stored, the total must still grow in the order of time.
	slices.SortStableFunc(s.found, func(a, b dated) int { return a.at.Compare(b.at) })
	return s.found
}

func (s *steps) reset() {
	clear(s.ends)
	clear(s.all)
	s.all = s.all[:0]
	clear(s.found)
}

// metricList is the metrics of a batch, in the order in which it first spoke of each.
type metricList struct {
	metrics   []metric
	places    map[string]int
	sets      sets
	buckets   slab[uint64]
	exemplars slab[metricdata.Exemplar[float64]]
	pairs     slab[attribute.KeyValue]
	scratch   []uint64
}

// metric is one metric with its points.
type metric struct {
	name, unit string
	kind       exporters.PointKind
	numbers    []metricdata.DataPoint[float64] // of a Gauge and a Counter
	histograms []metricdata.HistogramDataPoint[float64]
}

// of is the metric of a name, made where it is new; nil where it is of another kind: a name is of one kind.
func (l *metricList) of(name, unit string, kind exporters.PointKind) *metric {
	if i, ok := l.places[name]; ok {
		if l.metrics[i].kind != kind {
			return nil
		}
		return &l.metrics[i]
	}
	if l.places == nil {
		l.places = map[string]int{}
	}
	n := len(l.metrics)
	l.places[name] = n
	if n < cap(l.metrics) {
		l.metrics = l.metrics[:n+1] // with the room of an earlier batch
	} else {
		l.metrics = append(l.metrics, metric{})
	}
	m := &l.metrics[n]
	m.name, m.unit, m.kind, m.numbers, m.histograms = name, unit, kind, m.numbers[:0], m.histograms[:0]
	return m
}

// end lets go of what the batch lent, but not of the points, which are yet to be sent.
func (l *metricList) end() {
	clear(l.places)
	l.sets.end()
}

// data is the metrics as the exporter takes them.
func (l *metricList) data() []metricdata.Metrics {
	all := make([]metricdata.Metrics, len(l.metrics))
	for i := range l.metrics {
		m := &l.metrics[i]
		row, _ := exporters.Lookup(m.name)
		all[i] = metricdata.Metrics{Name: m.name, Description: row.Doc, Unit: m.unit}
		switch m.kind {
		case exporters.Gauge:
			all[i].Data = metricdata.Gauge[float64]{DataPoints: m.numbers}
		case exporters.Counter:
			all[i].Data = metricdata.Sum[float64]{
				DataPoints: m.numbers, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
			}
		case exporters.Histogram:
			all[i].Data = metricdata.Histogram[float64]{DataPoints: m.histograms, Temporality: metricdata.CumulativeTemporality}
		}
	}
	return all
}

func (l *metricList) gauge(p *exporters.Point) {
	if m := l.of(p.Name, p.Unit, exporters.Gauge); m != nil {
		m.numbers = append(m.numbers, metricdata.DataPoint[float64]{
			Attributes: l.sets.of(p.Attrs), Time: p.At, Value: p.Value,
		})
	}
}

// total tells how a series grew from was, nil where it is new, by steps. Without steps it grew by itself, because others
// were folded into it.
func (l *metricList) total(was, is *exporters.Series, steps []dated) {
	m := l.of(is.Name, is.Unit, is.Kind)
	if m == nil {
		return
	}
	run := l.running(m, was, is)
	for i := range steps {
		run.add(&steps[i])
		if i+1 < len(steps) && steps[i+1].at.Equal(steps[i].at) {
			continue // two increments at one time are one point
		}
		run.tell(steps[i].at)
	}
	run.finish()
	l.scratch = run.now.buckets
}

// running walks a series from its total before the batch to the one after it.
type running struct {
	list     *metricList
	metric   *metric
	is       *exporters.Series
	attrs    attribute.Set
	first    int       // where its points begin
	sent     time.Time // nothing may grow at or before it
	now      total
	old      total  // as it was sent
	late     bool   // the latest point was older than sent
	exemplar *dated // of the next point of a histogram
}

// total is the value of a counter, or all of a histogram.
type total struct {
	value   float64 // the sum, of a histogram
	count   uint64
	buckets []uint64
	min     float64
	max     float64
}

func (l *metricList) running(m *metric, was, is *exporters.Series) running {
	r := running{list: l, metric: m, is: is, attrs: l.sets.of(is.Attrs), first: len(m.numbers) + len(m.histograms)}
	r.now.buckets = l.scratch[:0]
	switch {
	case was != nil:
		r.sent, r.old = was.Last, totalOf(was)
		buckets := append(r.now.buckets, r.old.buckets...)
		r.now = r.old
		r.now.buckets = buckets
	case is.Histogram != nil:
		r.now.buckets = append(r.now.buckets, is.Histogram.Buckets...)
		clear(r.now.buckets)
	}
	return r
}

// totalOf is the total of a series, which shares its buckets.
func totalOf(s *exporters.Series) total {
	h := s.Histogram
	if h == nil {
		return total{value: s.Value}
	}
	return total{value: h.Sum, count: h.Count, buckets: h.Buckets, min: h.Min, max: h.Max}
}

func (r *running) add(step *dated) {
	r.now.value += step.value
	h := r.is.Histogram
	if h == nil {
		return
	}
	bucket, _ := slices.BinarySearch(h.Bounds, step.value)
	r.now.buckets[bucket]++
	if r.now.count == 0 || step.value < r.now.min {
		r.now.min = step.value
	}
	if r.now.count == 0 || step.value > r.now.max {
		r.now.max = step.value
	}
	r.now.count++
	r.exemplar = step
}

// tell makes the data point of a time. One that is older than what was sent gets the total as it was sent, because a total
// that falls again later looks like a restart.
func (r *running) tell(at time.Time) {
	r.late = !at.After(r.sent)
	switch {
	case !r.late:
		r.point(at, &r.now)
	case at.Before(r.sent):
		r.point(at, &r.old)
	}
}

// finish makes the last data point the total to the last bit, where the same numbers were added in another order, and
// tells the total where no point has done so.
func (r *running) finish() {
	if r.late || len(r.metric.numbers)+len(r.metric.histograms) == r.first {
		r.point(r.is.Last.Add(time.Millisecond), &r.now)
	}
	if r.is.Histogram == nil {
		points := r.metric.numbers[r.first:]
		for i := range points {
			points[i].Value = min(points[i].Value, r.is.Value)
		}
		points[len(points)-1].Value = r.is.Value
		return
	}
	points := r.metric.histograms[r.first:]
	for i := range points {
		points[i].Sum = min(points[i].Sum, r.is.Histogram.Sum)
	}
	points[len(points)-1].Sum = r.is.Histogram.Sum
}

func (r *running) point(at time.Time, t *total) {
	if r.is.Histogram == nil {
		r.metric.numbers = append(r.metric.numbers, metricdata.DataPoint[float64]{
			Attributes: r.attrs, StartTime: r.is.Start, Time: at, Value: t.value,
		})
		return
	}
	p := metricdata.HistogramDataPoint[float64]{
		Attributes: r.attrs, StartTime: r.is.Start, Time: at, Count: t.count, Sum: t.value, Bounds: r.is.Histogram.Bounds,
		BucketCounts: r.list.buckets.clone(t.buckets...), Min: metricdata.NewExtrema(t.min), Max: metricdata.NewExtrema(t.max),
	}
	if e := r.exemplar; e != nil {
		p.Exemplars = r.list.exemplars.clone(metricdata.Exemplar[float64]{
			FilteredAttributes: r.list.pairs.clone(attribute.String(keyRecordID, validUTF8(e.record))), Time: e.at, Value: e.value,
		})
		r.exemplar = nil
	}
	r.metric.histograms = append(r.metric.histograms, p)
}
