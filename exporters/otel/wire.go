package otel

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/windsock-monitor/windsock/exporters"
)

// The numbers of the fields that are written, from opentelemetry/proto/metrics/v1/metrics.proto and its neighbours of OTLP
// 1.x, which never change their meaning.
const (
	requestResourceMetrics = 1

	resourceMetricsResource = 1
	resourceMetricsScopes   = 2

	scopeMetricsScope   = 1
	scopeMetricsMetrics = 2

	metricName        = 1
	metricDescription = 2
	metricUnit        = 3
	metricGauge       = 5
	metricSum         = 7
	metricHistogram   = 9

	dataPoints      = 1 // of Gauge, Sum and Histogram
	dataTemporality = 2 // of Sum and Histogram
	dataIsMonotonic = 3 // of Sum

	temporalityCumulative = 2

	numberStart      = 2
	numberTime       = 3
	numberDouble     = 4
	numberAttributes = 7

	histogramStart      = 2
	histogramTime       = 3
	histogramCount      = 4
	histogramSum        = 5
	histogramBuckets    = 6
	histogramBounds     = 7
	histogramExemplars  = 8
	histogramAttributes = 9
	histogramMin        = 11
	histogramMax        = 12

	exemplarTime       = 2
	exemplarDouble     = 3
	exemplarAttributes = 7

	pairKey     = 1
	pairValue   = 2
	valueString = 1
)

func appendFixed(out []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(out, field, protowire.Fixed64Type), v)
}

func appendDouble(out []byte, field protowire.Number, v float64) []byte {
	return appendFixed(out, field, math.Float64bits(v))
}

func appendTime(out []byte, field protowire.Number, at time.Time) []byte {
	return appendFixed(out, field, unixNano(at))
}

func appendText(out []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return out
	}
	return protowire.AppendString(protowire.AppendTag(out, field, protowire.BytesType), text)
}

func appendBytes(out []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, field, protowire.BytesType), message)
}

// appendLength begins a message of that size.
func appendLength(out []byte, field protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(out, field, protowire.BytesType), uint64(size))
}

func appendVarint(out []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(out, field, protowire.VarintType), v)
}

// appendPair appends an attribute whose value is a string.
func appendPair(out []byte, field protowire.Number, key, value string) []byte {
	inner := protowire.SizeTag(valueString) + protowire.SizeBytes(len(value))
	size := protowire.SizeTag(pairKey) + protowire.SizeBytes(len(key)) + protowire.SizeTag(pairValue) + protowire.SizeBytes(inner)
	out = protowire.AppendTag(out, field, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(size))
	out = appendText(out, pairKey, key)
	out = protowire.AppendTag(out, pairValue, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(inner))
	return protowire.AppendString(protowire.AppendTag(out, valueString, protowire.BytesType), value)
}

// appendAttributes appends a point's attributes. The same ones often come twice in a row: they are kept.
func (l *metricList) appendAttributes(out []byte, field protowire.Number, attrs []exporters.Attr) []byte {
	same := len(attrs) == len(l.attrs) && field == l.attrsField && (len(attrs) == 0 || &attrs[0] == &l.attrs[0])
	if !same {
		l.attrs, l.attrsField, l.attrsWire = attrs, field, l.attrsWire[:0]
		for _, a := range attrs {
			l.attrsWire = appendPair(l.attrsWire, field, validUTF8(a.Key), validUTF8(a.Value))
		}
	}
	return append(out, l.attrsWire...)
}
