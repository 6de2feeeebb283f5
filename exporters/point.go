package exporters

import (
	"fmt"
	"time"
)

// PointKind is how the values of a metric add up.
type PointKind uint8

// The kinds of point.
const (
	Gauge     PointKind = iota // the value at a time
	Counter                    // Value is an increment, never negative
	Histogram                  // Value is one observation, never negative
)

// String is the lower-case name: "gauge".
func (k PointKind) String() string {
	switch k {
	case Gauge:
		return "gauge"
	case Counter:
		return "counter"
	case Histogram:
		return "histogram"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Point is one value of one metric at the run's own time. Exporters that need totals add increments and observations up
// with Totals.
type Point struct {
	Name  string // of the catalogue: "probe.duration"
	Kind  PointKind
	Unit  string // UCUM: "s", "" for 0/1 and info gauges
	Value float64
	At    time.Time
	Attrs []Attr // sorted by Key, keys unique; bounded values. Shared between points: never write to it
}

// Attr is one attribute of a point.
type Attr struct{ Key, Value string }
