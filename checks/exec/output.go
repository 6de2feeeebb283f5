package exec

import (
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// The bounds of what a run reports of the plugin's output.
const (
	maxMetrics  = 100  // values of performance data; more are counted
	maxLabel    = 100  // bytes
	maxExamined = 1000 // values whose labels are looked at
	maxLine     = 300  // of the summary and of evidence
	maxLong     = 500  // of the long text
	maxSpans    = 16   // thresholds told as facts
	maxBeyond   = 10   // values beyond a threshold told as evidence
)

// output is what a plugin printed, by the rules of the Nagios plugin API, version 3: a line of text, then lines of long
// text; performance data follows the first |, and from the second | on all is performance data.
type output struct {
	text string // the first line, clean
	long string // the other lines, clean
	perf string
}

func parseOutput(raw string) output {
	first, rest, _ := strings.Cut(strings.TrimLeft(raw, "\r\n"), "\n")
	text, perf, _ := strings.Cut(first, "|")
	long, more, _ := strings.Cut(rest, "|")
	return output{
		text: outbound.Sanitize(text, maxLine), long: outbound.Sanitize(long, maxLong),
		perf: perf + "\n" + more,
	}
}

// whole drops an end that may be the half of a number, where the output was cut.
func whole(raw string, cut bool) string {
	if !cut {
		return raw
	}
	return raw[:max(strings.LastIndexAny(raw, " \t\r\n"), 0)]
}

// metrics is what a run measured.
type metrics struct {
	list      []checks.Measurement
	facts     map[string]string
	beyond    []checks.Step // values that their own thresholds refuse
	unknown   int           // the plugin said U
	malformed int
	repeated  int // a label that was there already
	dropped   int // beyond maxMetrics
}

// nameOf is the name of a family in the catalogue (docs/metrics.md) and its unit. A plugin's own names become values of
// the attribute label, so that they can collide with nothing.
func nameOf(f family) (name, unit string) {
	switch f {
	case seconds:
		return "probe.exec.time", "s"
	case byteCount:
		return "probe.exec.size", "By"
	case percent:
		return "probe.exec.percent", "%"
	case running:
		return "probe.exec.counter", ""
	case plain:
	}
	return "probe.exec.value", ""
}

func measure(perf string) metrics {
	m := metrics{facts: map[string]string{}}
	seen := map[string]bool{}
	examined := 0
	malformed := eachDatum(perf, func(d datum) {
		if examined++; !d.known {
			m.unknown++
			return
		}
		if len(m.list) == maxMetrics || examined > maxExamined {
			m.dropped++
			return
		}
		label := outbound.Sanitize(d.label, maxLabel)
		switch {
		case label == "":
			m.malformed++
		case seen[label]:
			m.repeated++
		default:
			seen[label] = true
			m.add(label, d)
		}
	})
	m.malformed += malformed
	return m
}

func (m *metrics) add(label string, d datum) {
	name, unit := nameOf(d.family)
	attrs := map[string]string{"label": label}
	if d.unit = outbound.Sanitize(d.unit, 16); d.unit != "" {
		attrs["unit"] = d.unit
	}
	m.list = append(m.list, checks.Measurement{Name: name, Value: d.value, Unit: unit, Attrs: attrs})
	if text := thresholds(d); text != "" && len(m.facts) < maxSpans {
		m.facts["threshold "+label] = text
	}
	for _, t := range []struct {
		name string
		span *span
	}{{"critical", d.crit}, {"warning", d.warn}} {
		if t.span.alerts(d.value) && len(m.beyond) < maxBeyond {
			m.beyond = append(m.beyond, checks.Step{Name: t.name, Detail: outbound.Sanitize(label+" is beyond "+t.span.text, maxLine)})
			return
		}
	}
}

// thresholds tells the ranges as the plugin wrote them.
func thresholds(d datum) string {
	var parts []string
	if d.warn != nil {
		parts = append(parts, "warning "+d.warn.text)
	}
	if d.crit != nil {
		parts = append(parts, "critical "+d.crit.text)
	}
	return outbound.Sanitize(strings.Join(parts, ", "), maxLine)
}
