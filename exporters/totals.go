package exporters

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// DefaultMaxSeries is a bound on the series of one metric that no honest configuration meets.
const DefaultMaxSeries = 2000

// Totals are cumulative counters and histograms: a pure function of the points added, in order, since the start. They
// belong to one exporter, are kept as bytes with its cursor, and are not safe for concurrent use.
//
// Beyond maxSeries series of one metric, points are added to that metric's series other="true" instead, and counted in
// windsock.export.folded: a label that explodes cannot take the agent or the bill with it, and sums stay right.
type Totals struct {
	start     time.Time
	limit     int
	series    []*Series
	index     map[string]int // series key to its place
	counts    map[string]int // series by metric
	owned     *byte          // series and maps that carry another mark are shared with a clone: copied before they are written
	mapsOwner *byte          // the mark of index and counts
	key       []byte         // scratch
	heads     *heads         // for Encode; shared with clones
	encoded   int            // length of the last encoding
}

// Series is one sum or histogram. It must not be written to.
type Series struct {
	Name      string
	Kind      PointKind // Counter or Histogram
	Unit      string
	Attrs     []Attr // sorted by Key
	Start     time.Time
	Last      time.Time // of the latest point
	Value     float64   // of a Counter
	Histogram *HistogramValue
	owner     *byte
}

// HistogramValue is the cumulative state of a histogram.
type HistogramValue struct {
	Count    uint64
	Sum      float64
	Min, Max float64
	Bounds   []float64 // upper bounds, inclusive, without +Inf. Shared
	Buckets  []uint64  // observations per bucket, not cumulative; one more than Bounds
}

// NewTotals starts at zero. maxSeries bounds the series of one metric; 0 is DefaultMaxSeries.
func NewTotals(start time.Time, maxSeries int) *Totals {
	if maxSeries <= 0 {
		maxSeries = DefaultMaxSeries
	}
	mark := new(byte)
	return &Totals{
		start: start, limit: maxSeries, index: map[string]int{}, counts: map[string]int{}, owned: mark, mapsOwner: mark,
	}
}

// Start is when the totals were zero.
func (t *Totals) Start() time.Time { return t.start }

// Len is the number of series.
func (t *Totals) Len() int { return len(t.series) }

// Series yields every series, in the order in which they first appeared.
func (t *Totals) Series() iter.Seq[*Series] { return slices.Values(t.series) }

// Clone is a copy that can be added to without changing t. It is cheap: what neither changes is shared.
func (t *Totals) Clone() *Totals {
	c := *t
	c.series, c.key = slices.Clone(t.series), nil
	c.owned, t.owned = new(byte), new(byte)
	c.mapsOwner = nil
	t.mapsOwner = nil
	return &c
}

// Add adds a counter's increment or a histogram's observation, and returns its series; nil for a gauge, whose last value
// is no total, and for a histogram without bounds in the catalogue.
func (t *Totals) Add(p Point) *Series {
	var bounds []float64
	switch p.Kind {
	case Gauge:
		return nil
	case Histogram:
		m, ok := Lookup(p.Name)
		if !ok || len(m.Buckets) == 0 {
			return nil
		}
		bounds = m.Buckets
	case Counter:
	}
	s := t.writable(&p, bounds)
	if p.At.After(s.Last) {
		s.Last = p.At
	}
	if s.Histogram == nil {
		s.Value += p.Value
	} else {
		s.Histogram.observe(p.Value)
	}
	return s
}

func (h *HistogramValue) observe(v float64) {
	bucket, _ := slices.BinarySearch(h.Bounds, v)
	h.Buckets[bucket]++
	if h.Count == 0 || v < h.Min {
		h.Min = v
	}
	if h.Count == 0 || v > h.Max {
		h.Max = v
	}
	h.Count++
	h.Sum += v
}

// writable is the series of a point, made where it is new, folded where it would be one too many.
func (t *Totals) writable(p *Point, bounds []float64) *Series {
	t.key = appendKey(t.key[:0], p.Name, p.Attrs)
	if i, ok := t.index[string(t.key)]; ok {
		return t.own(i)
	}
	if t.counts[p.Name] >= t.limit && !isFold(p.Attrs) {
		t.Add(Point{
			Name: metricFolded, Kind: Counter, Value: 1, At: p.At, Attrs: []Attr{{"metric", p.Name}},
		})
		folded := *p
		folded.Attrs = foldAttrs()
		return t.writable(&folded, bounds)
	}
	s := &Series{Name: p.Name, Kind: p.Kind, Unit: p.Unit, Attrs: p.Attrs, Start: t.start}
	if p.Kind == Histogram {
		s.Histogram = &HistogramValue{Bounds: bounds, Buckets: make([]uint64, len(bounds)+1)}
	}
	t.insert(s, string(t.key))
	return s
}

func foldAttrs() []Attr { return []Attr{{"other", "true"}} }

func isFold(attrs []Attr) bool { return slices.Equal(attrs, foldAttrs()) }

// own makes series i this Totals' own and returns it.
func (t *Totals) own(i int) *Series {
	s := t.series[i]
	if s.owner == t.owned {
		return s
	}
	c := *s
	if s.Histogram != nil {
		h := *s.Histogram
		h.Buckets = slices.Clone(h.Buckets)
		c.Histogram = &h
	}
	c.owner = t.owned
	t.series[i] = &c
	return &c
}

func (t *Totals) insert(s *Series, key string) {
	if t.mapsOwner != t.owned {
		t.index, t.counts, t.mapsOwner = maps.Clone(t.index), maps.Clone(t.counts), t.owned
	}
	s.owner = t.owned
	t.index[key] = len(t.series)
	t.counts[s.Name]++
	t.series = append(t.series, s)
}

// appendKey appends an unambiguous key of a series.
func appendKey(key []byte, name string, attrs []Attr) []byte {
	key = append(key, name...)
	for _, a := range attrs {
		key = append(key, 0)
		key = append(key, a.Key...)
		key = append(key, 1)
		key = append(key, a.Value...)
	}
	return key
}
