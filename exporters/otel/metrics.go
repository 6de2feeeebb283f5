package otel

import (
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// metricsBuilder turns batches into the bytes of an ExportMetricsServiceRequest: docs/adr/0012. It keeps nothing between
// batches but room.
type metricsBuilder struct {
	resource []byte // the wire form of the resource
	scope    []byte // and of the scope
	list     metricList
}

func newMetricsBuilder(who identity) (*metricsBuilder, error) {
	resource, err := proto.Marshal(who.wire)
	if err != nil {
		return nil, fmt.Errorf("encoding the resource: %w", err)
	}
	scope, err := proto.Marshal(who.origin)
	if err != nil {
		return nil, fmt.Errorf("encoding the scope: %w", err)
	}
	return &metricsBuilder{resource: resource, scope: scope}, nil
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
func (b *metricsBuilder) build(batch []checks.Record, totals *exporters.Totals) []byte {
	list := &b.list
	list.begin()
	defer list.end()
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
	return b.request()
}

// request puts the metrics into their envelopes; nil where there are none.
func (b *metricsBuilder) request() []byte {
	if len(b.list.metrics) == 0 {
		return nil
	}
	scope := protowire.SizeTag(scopeMetricsScope) + protowire.SizeBytes(len(b.scope))
	for i := range b.list.metrics {
		scope += protowire.SizeTag(scopeMetricsMetrics) + protowire.SizeBytes(b.list.metrics[i].measure())
	}
	resource := protowire.SizeTag(resourceMetricsResource) + protowire.SizeBytes(len(b.resource)) +
		protowire.SizeTag(resourceMetricsScopes) + protowire.SizeBytes(scope)
	out := make([]byte, 0, protowire.SizeTag(requestResourceMetrics)+protowire.SizeBytes(resource))
	out = appendLength(out, requestResourceMetrics, resource)
	out = appendBytes(out, resourceMetricsResource, b.resource)
	out = appendLength(out, resourceMetricsScopes, scope)
	out = appendBytes(out, scopeMetricsScope, b.scope)
	for i := range b.list.metrics {
		out = b.list.metrics[i].append(out)
	}
	return out
}

// metricList is the metrics of a batch, in the order in which it first spoke of each.
type metricList struct {
	metrics []metric
	places  map[string]int
	sizes   map[string]int // of the points of each in the batch before

	attrs      []exporters.Attr // those that were written last
	attrsField protowire.Number
	attrsWire  []byte
	point      []byte // scratch
	exemplar   []byte // scratch
}

// metric is one metric with the wire form of its points.
type metric struct {
	name, description, unit string
	data                    protowire.Number // metricGauge, metricSum or metricHistogram
	points                  []byte
	head                    []byte // all but the points
	size                    int    // of the whole
}

// begin forgets the batch before but for its sizes.
func (l *metricList) begin() {
	if l.places == nil {
		l.places, l.sizes = map[string]int{}, map[string]int{}
	}
	l.attrs = nil
	clear(l.places)
}

// end gives the room of the batch back, which is large, and needed for a moment in a second.
func (l *metricList) end() {
	clear(l.sizes)
	for i := range l.metrics {
		l.sizes[l.metrics[i].name] = len(l.metrics[i].points)
	}
	clear(l.metrics)
	l.metrics = l.metrics[:0]
}

// of is the metric of a name, made where it is new.
func (l *metricList) of(name, unit string, data protowire.Number) *metric {
	if i, ok := l.places[name]; ok {
		return &l.metrics[i]
	}
	l.places[name] = len(l.metrics)
	row, _ := exporters.Lookup(name)
	m := metric{name: name, description: row.Doc, unit: unit, data: data}
	if size := l.sizes[name]; size > 0 {
		m.points = make([]byte, 0, size+size/8)
	}
	l.metrics = append(l.metrics, m)
	return &l.metrics[len(l.metrics)-1]
}

// measure writes the head and returns the size of the whole.
func (m *metric) measure() int {
	m.head = appendText(m.head[:0], metricName, m.name)
	m.head = appendText(m.head, metricDescription, m.description)
	m.head = appendText(m.head, metricUnit, m.unit)
	m.head = appendLength(m.head, m.data, m.body())
	if m.data != metricGauge {
		m.head = appendVarint(m.head, dataTemporality, temporalityCumulative)
	}
	if m.data == metricSum {
		m.head = appendVarint(m.head, dataIsMonotonic, 1)
	}
	m.size = len(m.head) + len(m.points)
	return m.size
}

// body is the size of the points and of what stands before them in their message.
func (m *metric) body() int {
	size := len(m.points)
	if m.data != metricGauge {
		size += protowire.SizeTag(dataTemporality) + protowire.SizeVarint(temporalityCumulative)
	}
	if m.data == metricSum {
		size += protowire.SizeTag(dataIsMonotonic) + protowire.SizeVarint(1)
	}
	return size
}

// append appends the metric that was measured.
func (m *metric) append(out []byte) []byte {
	out = appendLength(out, scopeMetricsMetrics, m.size)
	out = append(out, m.head...)
	return append(out, m.points...)
}

func (l *metricList) gauge(p *exporters.Point) {
	m := l.of(p.Name, p.Unit, metricGauge)
	if m.data != metricGauge {
		return
	}
	l.point = l.appendAttributes(l.point[:0], numberAttributes, p.Attrs)
	l.point = appendTime(l.point, numberTime, p.At)
	l.point = appendDouble(l.point, numberDouble, p.Value)
	m.points = appendBytes(m.points, dataPoints, l.point)
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
	data, write := protowire.Number(metricSum), l.sum
	if is.Histogram != nil {
		data, write = metricHistogram, l.histogram
	}
	m := l.of(is.Name, is.Unit, data)
	if m.data != data { // a name is of one kind
		return
	}
	for i := range run.points {
		write(m, is, &run.points[i])
	}
}

func (l *metricList) sum(m *metric, s *exporters.Series, p *totalPoint) {
	l.point = l.appendAttributes(l.point[:0], numberAttributes, s.Attrs)
	l.point = appendTime(l.point, numberStart, s.Start)
	l.point = appendTime(l.point, numberTime, p.at)
	l.point = appendDouble(l.point, numberDouble, p.value)
	m.points = appendBytes(m.points, dataPoints, l.point)
}

func (l *metricList) histogram(m *metric, s *exporters.Series, p *totalPoint) {
	out := l.appendAttributes(l.point[:0], histogramAttributes, s.Attrs)
	out = appendTime(out, histogramStart, s.Start)
	out = appendTime(out, histogramTime, p.at)
	out = appendFixed(out, histogramCount, p.count)
	out = appendDouble(out, histogramSum, p.value)
	out = protowire.AppendTag(out, histogramBuckets, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(8*len(p.buckets)))
	for _, n := range p.buckets {
		out = protowire.AppendFixed64(out, n)
	}
	out = protowire.AppendTag(out, histogramBounds, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(8*len(s.Histogram.Bounds)))
	for _, bound := range s.Histogram.Bounds {
		out = protowire.AppendFixed64(out, math.Float64bits(bound))
	}
	if e := p.exemplar; e != nil {
		l.exemplar = appendTime(l.exemplar[:0], exemplarTime, e.at)
		l.exemplar = appendDouble(l.exemplar, exemplarDouble, e.value)
		l.exemplar = appendPair(l.exemplar, exemplarAttributes, keyRecordID, validUTF8(e.record))
		out = appendBytes(out, histogramExemplars, l.exemplar)
	}
	out = appendDouble(out, histogramMin, p.min)
	out = appendDouble(out, histogramMax, p.max)
	l.point = out
	m.points = appendBytes(m.points, dataPoints, out)
}

// running walks a series from its total before the batch to the one after it.
type running struct {
	is       *exporters.Series
	sent     time.Time // nothing may grow at or before it
	now      total
	old      total  // as it was sent
	late     bool   // the latest point was older than sent
	exemplar *dated // of the next point of a histogram
	points   []totalPoint
}

// totalPoint is a total at a time.
type totalPoint struct {
	total

	at       time.Time
	exemplar *dated
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
	r := &running{is: is}
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
	r.exemplar = &step
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
	if r.late || len(r.points) == 0 {
		r.point(r.is.Last.Add(time.Millisecond), r.now)
	}
	end := r.is.Value
	if r.is.Histogram != nil {
		end = r.is.Histogram.Sum
	}
	for i := range r.points {
		r.points[i].value = min(r.points[i].value, end)
	}
	r.points[len(r.points)-1].value = end
}

func (r *running) point(at time.Time, t total) {
	t.buckets = slices.Clone(t.buckets)
	r.points = append(r.points, totalPoint{total: t, at: at, exemplar: r.exemplar})
	r.exemplar = nil
}
