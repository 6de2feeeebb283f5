package exporters

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
)

// Bounds on what a record may put on the wire. A name or a value beyond them is cut, a point or attribute is dropped.
const (
	MaxPoints    = 512 // of one record
	maxName      = 128 // bytes of a plugin's metric name
	maxUnit      = 63  // bytes, OpenTelemetry's own bound
	maxAttrs     = 16  // of one measurement
	maxAttrKey   = 64  // bytes
	maxAttrValue = 128 // bytes
)

// Unconfirmed is the value of the attribute status of probe.runs for a failure that a second run had yet to confirm.
const Unconfirmed = "unconfirmed"

// The values of windsock.alert.state, ordered so that 2 and above want a person.
const (
	alertResolved = iota
	alertPending
	alertFiring
	alertNoData
)

// Points is the one translation of a record into metric points. It keeps no state and cannot fail; whatever the record
// holds, the points can be sent: valid UTF-8, bounded, finite, sorted, and no gauge twice.
//
// Of a report: gauges come from final records only, because a failure that is being confirmed is not yet one, and
// probe.success and probe.duration only where the target was judged. Counters and observations come from every record:
// probe.runs counts a record that is not final as "unconfirmed", so that the sum of all others is the number of slots.
// A record that stands for several slots counts as many. Measurements cannot replace what this function gives out itself.
//
// Of an alert: windsock.alert.state, and 0 for the severities that it does not have, once it was known before: an alert
// that became more severe must not leave a series behind that says it fires. Of an alert that a drill brought about there is
// nothing: whoever alerts on the metric would be told without the mark. Of the agent's snapshot: each measurement, windsock.build_info and windsock.uptime.
//
// A name outside the catalogue is a gauge. The attribute keys "le" and "quantile" belong to Prometheus and become "bound"
// and "q". A record without a usable time has no points.
func Points(rec checks.Record) []Point {
	switch {
	case rec.Report != nil:
		return reportPoints(rec)
	case rec.Alert != nil:
		return alertPoints(rec)
	case rec.Agent != nil:
		return agentPoints(rec)
	}
	return nil
}

func reportPoints(rec checks.Record) []Point {
	r := rec.Report
	at, ok := usableTime(r.At(), rec.At)
	if !ok {
		return nil
	}
	b := newBuilder(at, len(r.Measurements)+len(r.Phases)+6)
	b.base = common(r)
	b.verdict(r)
	if r.Final {
		b.gauges(r)
	}
	if u := r.Usage; u != nil {
		b.add(Point{Name: metricCost, Kind: Counter, Value: u.Cost.USD(), Attrs: b.with("model", u.Model)})
		if r.Final {
			b.add(Point{Name: metricPriceKnown, Value: zeroOne(u.PriceKnown), Attrs: b.with("model", u.Model)})
		}
	}
	for i := range r.Measurements {
		if m := &r.Measurements[i]; !ownName(m.Name) {
			b.measurement(m, r.Final)
		}
	}
	return b.points
}

// verdict counts the run.
func (b *builder) verdict(r *checks.Report) {
	slots := float64(max(r.Slots, 1))
	if !r.Final {
		b.add(Point{Name: metricRuns, Kind: Counter, Value: 1, Attrs: b.with("status", Unconfirmed)})
		return
	}
	b.add(Point{Name: metricRuns, Kind: Counter, Value: slots, Attrs: b.with("status", r.Status.String())})
	switch {
	case r.Status == checks.Failed:
		b.add(Point{Name: metricFailures, Kind: Counter, Value: slots, Attrs: b.with("cause", orUnknown(r.Cause))})
	case !r.Status.Reached():
		b.add(Point{Name: metricSkips, Kind: Counter, Value: slots, Attrs: b.with("reason", orUnknown(r.Cause))})
	}
}

func orUnknown(c checks.Cause) string {
	if c == checks.CauseNone {
		return "unknown"
	}
	return string(c)
}

// gauges are what a final run says about the present.
func (b *builder) gauges(r *checks.Report) {
	if r.Status.Reached() {
		b.add(Point{Name: metricSuccess, Value: zeroOne(r.Status != checks.Failed), Attrs: b.base})
		b.add(Point{Name: metricDuration, Unit: "s", Value: r.Took.Seconds(), Attrs: b.base})
	}
	if r.Timeout > 0 && r.Status != checks.Skipped {
		b.add(Point{Name: metricTimeout, Unit: "s", Value: r.Timeout.Seconds(), Attrs: b.base})
	}
	for _, p := range r.Phases {
		if name := phaseName(p.Name); name != "" {
			b.add(Point{Name: metricPhase, Unit: "s", Value: p.Took.Seconds(), Attrs: b.with("phase", name)})
		}
	}
}

func zeroOne(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// phaseName is blackbox_exporter's word for a phase; "" where it has none.
func phaseName(p checks.PhaseName) string {
	switch p {
	case checks.PhaseFirstByte:
		return "processing"
	case checks.PhaseResolve, checks.PhaseConnect, checks.PhaseTLS, checks.PhaseTransfer:
		return string(p)
	case checks.PhaseFirstToken:
	}
	return ""
}

// ownName reports whether a check may not measure name, because Points does, or because it is the agent's.
func ownName(name string) bool {
	switch name {
	case metricSuccess, metricDuration, metricTimeout, metricRuns, metricFailures, metricSkips, metricCost, metricPriceKnown, metricLastRun:
		return true
	}
	return strings.HasPrefix(name, selfPrefix)
}

// Reserved reports whether a plugin may not announce a measurement of this name: Points gives it out itself, or it is the
// agent's. It is so in the spelling of Prometheus too, which a backend that translates OTLP would take for ours.
func Reserved(name string) bool {
	flat := flatten(name)
	for _, own := range []string{metricSuccess, metricDuration, metricTimeout, metricRuns, metricFailures, metricSkips, metricCost, metricPriceKnown, metricLastRun} {
		if flat == flatten(own) {
			return true
		}
	}
	return strings.HasPrefix(flat, flatten(selfPrefix))
}

// flatten is a name without what Prometheus changes in it: dots, and the unit or total at its end.
func flatten(name string) string {
	flat := strings.ReplaceAll(name, ".", "_")
	return strings.TrimSuffix(strings.TrimSuffix(flat, "_total"), "_seconds")
}

func alertPoints(rec checks.Record) []Point {
	a := rec.Alert
	at, ok := usableTime(a.At, rec.At)
	if !ok || a.Drill() != "" {
		return nil
	}
	b := newBuilder(at, 1)
	b.alert(AlertValue(a.State), a.Rule, a.Severity, a.Labels)
	if a.Previous == checks.AlertPending || a.Previous.Open() {
		for _, severity := range []checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4} {
			if severity != a.Severity {
				b.alert(alertResolved, a.Rule, severity, a.Labels) // where it was less severe before, that series must not stand still
			}
		}
	}
	return b.points
}

// alert adds the state of an alert: the same series of a transition and of a snapshot.
func (b *builder) alert(state float64, rule string, severity checks.Severity, labels map[string]string) {
	before := b.base
	b.base = appendAttr(appendAttr(nil, "rule", rule), "severity", string(severity))
	b.add(Point{Name: metricAlertState, Value: state, Attrs: b.merge(labels)})
	b.base = before
}

// AlertValue is the value of windsock.alert.state for a state.
func AlertValue(s checks.AlertState) float64 {
	switch s {
	case checks.AlertResolved:
		return alertResolved
	case checks.AlertPending:
		return alertPending
	case checks.AlertFiring:
		return alertFiring
	case checks.AlertNoData:
	}
	return alertNoData
}

func agentPoints(rec checks.Record) []Point {
	s := rec.Agent
	at, ok := usableTime(rec.At, time.Time{})
	if !ok {
		return nil
	}
	b := newBuilder(at, len(s.Measurements)+2)
	b.base = appendAttr(b.base, attrLocation, s.Location)
	b.add(Point{Name: metricBuildInfo, Value: 1, Attrs: b.with("version", s.Version)})
	if up := at.Sub(s.StartedAt); !s.StartedAt.IsZero() && up >= 0 {
		b.add(Point{Name: metricUptime, Unit: "s", Value: up.Seconds(), Attrs: b.base})
	}
	for i := range s.Measurements {
		m := &s.Measurements[i]
		if m.Name == metricAlertState {
			b.alert(m.Value, m.Attrs["rule"], checks.Severity(m.Attrs["severity"]), m.Attrs)
			continue
		}
		b.measurement(m, true)
	}
	return b.points
}

// usableTime is the first of the two that the wire formats can carry: nanoseconds since 1970 in 64 bits.
func usableTime(first, second time.Time) (time.Time, bool) {
	for _, at := range []time.Time{first, second} {
		if at.Unix() > 0 && at.Year() < 2262 {
			return at, true
		}
	}
	return time.Time{}, false
}

// builder collects the points of one record.
type builder struct {
	at     time.Time
	base   []Attr // sorted; shared by the points without attributes of their own
	points []Point
}

func newBuilder(at time.Time, size int) *builder {
	return &builder{at: at, points: make([]Point, 0, min(size, MaxPoints))}
}

func common(r *checks.Report) []Attr {
	base := make([]Attr, 0, 4)
	base = appendAttr(base, attrCheck, r.Check)
	base = appendAttr(base, attrKind, r.Kind)
	base = appendAttr(base, attrLocation, r.Location)
	return appendAttr(base, attrProvider, r.Provider)
}

// add appends a point, unless it cannot be sent or is a gauge that is there already.
func (b *builder) add(p Point) {
	if len(b.points) == MaxPoints || math.IsNaN(p.Value) || math.IsInf(p.Value, 0) || (p.Kind != Gauge && p.Value < 0) {
		return
	}
	if p.Kind == Gauge && slices.ContainsFunc(b.points, func(q Point) bool {
		return q.Name == p.Name && slices.Equal(q.Attrs, p.Attrs)
	}) {
		return
	}
	p.At = b.at
	b.points = append(b.points, p)
}

func (b *builder) measurement(m *checks.Measurement, gauges bool) {
	p := Point{Name: m.Name, Value: m.Value}
	if known, ok := Lookup(m.Name); ok {
		p.Kind, p.Unit = known.Kind, known.Unit
	} else if p.Name, p.Unit = cleanName(m.Name, maxName), cleanUnit(m.Unit); p.Name == "" {
		return
	}
	if p.Kind == Gauge && !gauges {
		return
	}
	p.Attrs = b.merge(m.Attrs)
	b.add(p)
}

// with is the base and one attribute more.
func (b *builder) with(key, value string) []Attr {
	attrs := make([]Attr, len(b.base), len(b.base)+1)
	copy(attrs, b.base)
	attrs = appendAttr(attrs, key, value)
	sortAttrs(attrs)
	return attrs
}

// merge is the base and the attributes of extra whose keys it does not have.
func (b *builder) merge(extra map[string]string) []Attr {
	if len(extra) == 0 {
		sortAttrs(b.base)
		return b.base
	}
	attrs := make([]Attr, 0, len(b.base)+len(extra))
	for key, value := range extra {
		key = cleanKey(key)
		if key != "" && !slices.ContainsFunc(b.base, func(a Attr) bool { return a.Key == key }) {
			attrs = appendAttr(attrs, key, value)
		}
	}
	sortAttrs(attrs)
	attrs = slices.CompactFunc(attrs, func(a, b Attr) bool { return a.Key == b.Key })
	attrs = append(attrs[:min(len(attrs), maxAttrs)], b.base...)
	sortAttrs(attrs)
	return attrs
}

func sortAttrs(attrs []Attr) {
	slices.SortFunc(attrs, func(a, b Attr) int {
		if c := cmp.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return cmp.Compare(a.Value, b.Value)
	})
}

// appendAttr leaves out what has no value: Prometheus cannot tell an empty label from an absent one.
func appendAttr(attrs []Attr, key, value string) []Attr {
	if value = Clean(value, maxAttrValue); value == "" {
		return attrs
	}
	return append(attrs, Attr{key, value})
}

// Clean makes text fit for a label, a tag or an OTLP string: valid UTF-8, one line, no control characters, at most limit
// bytes. It returns s itself where nothing is to be done.
func Clean(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	var out strings.Builder
	for _, r := range s[:min(len(s), 4*limit)] {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		if out.Len()+utf8.RuneLen(r) > limit {
			break
		}
		out.WriteRune(r)
	}
	return strings.TrimSpace(out.String())
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s == "" || (s[0] != ' ' && s[len(s)-1] != ' ')
}

func cleanKey(key string) string {
	switch key = cleanName(key, maxAttrKey); key {
	case "le":
		return "bound"
	case "quantile":
		return "q"
	}
	return key
}

// cleanName keeps letters, digits, dots and underscores, and begins with a letter; everything else becomes an underscore.
func cleanName(s string, limit int) string {
	s = strings.TrimLeftFunc(s[:min(len(s), limit)], func(r rune) bool { return !letter(r) })
	return strings.Map(func(r rune) rune {
		if letter(r) || (r >= '0' && r <= '9') || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, s)
}

func letter(r rune) bool { return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') }

// cleanUnit is the unit, or none where it is not one: UCUM is printable ASCII without spaces.
func cleanUnit(unit string) string {
	if len(unit) > maxUnit || !plain(unit) || strings.Contains(unit, " ") {
		return ""
	}
	return unit
}
