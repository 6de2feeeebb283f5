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

// dated is a counter's increment or a histogram's observation, with the record that it is of.
type dated struct {
	at     time.Time
	value  float64
	record string
}

// build adds the batch to totals and returns what is to be sent, nil where there are no points. A gauge is a data point
// at its own time; a counter and a histogram are the running total at the time of each increment, so that no (series,
// timestamp) of the records is missing and the last one is the total.
//
// The points are added in the order of the records, whatever their times: that makes the totals a function of the cursor,
// and not of the cut of the batches.
func (b *metricsBuilder) build(batch []checks.Record, totals *exporters.Totals) *metricdata.ResourceMetrics {
	var list metricList
	before := slices.Collect(totals.Series()) // Add copies a series before it changes it
	grown := map[*exporters.Series][]dated{}
	for _, rec := range batch {
		for _, p := range exporters.Points(rec) {
			series := totals.Add(p)
			if series == nil { // a gauge, or an observation without buckets, whose value is all there is to say
				list.gauge(&p)
				continue
			}
			grown[series] = append(grown[series], dated{p.At, p.Value, rec.ID})
		}
	}
	place := 0
	for series := range totals.Series() {
		var was *exporters.Series
		if place < len(before) {
			was = before[place]
		}
		place++
		if series != was {
			list.total(was, series, grown[series])
		}
	}
	if len(list.metrics) == 0 {
		return nil
	}
	return &metricdata.ResourceMetrics{
		Resource:     b.resource,
		ScopeMetrics: []metricdata.ScopeMetrics{{Scope: b.scope, Metrics: list.metrics}},
	}
}

// metricList is the metrics of a batch, in the order in which it first spoke of each.
type metricList struct {
	metrics []metricdata.Metrics
	places  map[string]int
}

// of is the metric of a name, made where it is new.
func (l *metricList) of(name, unit string, empty metricdata.Aggregation) *metricdata.Metrics {
	if i, ok := l.places[name]; ok {
		return &l.metrics[i]
	}
	if l.places == nil {
		l.places = map[string]int{}
	}
	l.places[name] = len(l.metrics)
	row, _ := exporters.Lookup(name)
	l.metrics = append(l.metrics, metricdata.Metrics{Name: name, Description: row.Doc, Unit: unit, Data: empty})
	return &l.metrics[len(l.metrics)-1]
}

func (l *metricList) gauge(p *exporters.Point) {
	m := l.of(p.Name, p.Unit, metricdata.Gauge[float64]{})
	if g, ok := m.Data.(metricdata.Gauge[float64]); ok {
		g.DataPoints = append(g.DataPoints, metricdata.DataPoint[float64]{
			Attributes: attributes(p.Attrs), Time: p.At, Value: p.Value,
		})
		m.Data = g
	}
}

// total tells how a series grew from was, nil where it is new, by steps. Without steps it grew by itself, because others
// were folded into it.
func (l *metricList) total(was, is *exporters.Series, steps []dated) {
	run := newRunning(was, is)
	// Where two runs ended in another order than they were stored, the total must still grow in the order of time.
	slices.SortStableFunc(steps, func(a, b dated) int { return a.at.Compare(b.at) })
	for i, step := range steps {
		run.add(step)
		if i+1 < len(steps) && steps[i+1].at.Equal(step.at) {
			continue // two increments at one time are one point
		}
		run.tell(step.at)
	}
	run.finish()
	if is.Histogram != nil {
		m := l.of(is.Name, is.Unit, metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality})
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
			h.DataPoints = append(h.DataPoints, run.histograms...)
			m.Data = h
		}
		return
	}
	m := l.of(is.Name, is.Unit, metricdata.Sum[float64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true})
	if s, ok := m.Data.(metricdata.Sum[float64]); ok {
		s.DataPoints = append(s.DataPoints, run.sums...)
		m.Data = s
	}
}

// running walks a series from its total before the batch to the one after it.
type running struct {
	is         *exporters.Series
	attrs      attribute.Set
	sent       time.Time // nothing may grow at or before it
	now        total
	old        total // as it was sent
	late       bool  // the latest point was older than sent
	exemplars  []metricdata.Exemplar[float64]
	sums       []metricdata.DataPoint[float64]
	histograms []metricdata.HistogramDataPoint[float64]
}

// total is the value of a counter, or all of a histogram.
type total struct {
	value   float64 // the sum, of a histogram
	count   uint64
	buckets []uint64
	min     float64
	max     float64
}

func newRunning(was, is *exporters.Series) *running {
	r := &running{is: is, attrs: attributes(is.Attrs)}
	if was != nil {
		r.sent, r.now = was.Last, totalOf(was)
	} else if is.Histogram != nil {
		r.now.buckets = make([]uint64, len(is.Histogram.Buckets))
	}
	r.old = r.now
	r.old.buckets = slices.Clone(r.now.buckets)
	return r
}

func totalOf(s *exporters.Series) total {
	h := s.Histogram
	if h == nil {
		return total{value: s.Value}
	}
	return total{value: h.Sum, count: h.Count, buckets: slices.Clone(h.Buckets), min: h.Min, max: h.Max}
}

func (r *running) add(step dated) {
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
	r.exemplars = []metricdata.Exemplar[float64]{{
		FilteredAttributes: []attribute.KeyValue{attribute.String(keyRecordID, validUTF8(step.record))},
		Time:               step.at, Value: step.value,
	}}
}

// tell makes the data point of a time. One that is older than what was sent gets the total as it was sent, because a total
// that falls again later looks like a restart.
func (r *running) tell(at time.Time) {
	r.late = !at.After(r.sent)
	switch {
	case !r.late:
		r.point(at, r.now)
	case at.Before(r.sent):
		r.point(at, r.old)
	}
}

// finish makes the last data point the total to the last bit, where the same numbers were added in another order, and
// tells the total where no point has done so.
func (r *running) finish() {
	if r.late || len(r.sums)+len(r.histograms) == 0 {
		r.point(r.is.Last.Add(time.Millisecond), r.now)
	}
	if n := len(r.sums); n > 0 {
		for i := range r.sums {
			r.sums[i].Value = min(r.sums[i].Value, r.is.Value)
		}
		r.sums[n-1].Value = r.is.Value
	}
	if n := len(r.histograms); n > 0 {
		for i := range r.histograms {
			r.histograms[i].Sum = min(r.histograms[i].Sum, r.is.Histogram.Sum)
		}
		r.histograms[n-1].Sum = r.is.Histogram.Sum
	}
}

func (r *running) point(at time.Time, t total) {
	h := r.is.Histogram
	if h == nil {
		r.sums = append(r.sums, metricdata.DataPoint[float64]{Attributes: r.attrs, StartTime: r.is.Start, Time: at, Value: t.value})
		return
	}
	r.histograms = append(r.histograms, metricdata.HistogramDataPoint[float64]{
		Attributes: r.attrs, StartTime: r.is.Start, Time: at, Count: t.count, Sum: t.value, Bounds: h.Bounds,
		BucketCounts: slices.Clone(t.buckets), Min: metricdata.NewExtrema(t.min), Max: metricdata.NewExtrema(t.max),
		Exemplars: r.exemplars,
	})
	r.exemplars = nil
}

func attributes(attrs []exporters.Attr) attribute.Set {
	all := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		all[i] = attribute.String(validUTF8(a.Key), validUTF8(a.Value))
	}
	return attribute.NewSet(all...)
}
