package alerting

import (
	"maps"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// mostShown is how many alerts a snapshot tells one by one: the most severe. All are counted.
const mostShown = 200

// seriesOf is the name of an alert's series, and the series.
func seriesOf(a *checks.Alert) (string, checks.Measurement) {
	attrs := maps.Clone(a.Labels)
	if attrs == nil {
		attrs = map[string]string{}
	}
	attrs["rule"], attrs["severity"] = a.Rule, string(a.Severity)
	parts := make([]string, 0, 2*len(attrs))
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		parts = append(parts, key, attrs[key])
	}
	return strings.Join(parts, "\x00"), checks.Measurement{Name: "windsock.alert.state", Value: exporters.AlertValue(a.State), Attrs: attrs}
}

// show notes that exporters have the state of a transition.
func (k *Keeper) show(a *checks.Alert) {
	key, series := seriesOf(a)
	if series.Value == 0 {
		delete(k.shown, key)
		return
	}
	k.shown[key] = series
}

// Gauges are what a snapshot says of the alerts: each that is pending or open, so that a backend that keeps gauges for a few
// minutes keeps it, and 0 for each series of which it may believe something else, as that of an alert before it became more
// severe.
func (k *Keeper) Gauges() []checks.Measurement {
	k.mu.Lock()
	defer k.mu.Unlock()
	open := map[checks.Severity]float64{checks.P1: 0, checks.P2: 0, checks.P3: 0, checks.P4: 0}
	muted := 0.0
	now := map[string]checks.Measurement{}
	var out []checks.Measurement
	all := k.setup.Engine.Alerts()
	for i := range all {
		a := &all[i]
		if a.State.Open() {
			open[a.Severity]++
			if a.Muted != "" {
				muted++
			}
		}
		key, series := seriesOf(a)
		now[key] = series
		if len(out) < mostShown {
			out = append(out, series)
		}
	}
	for key, series := range k.shown {
		if _, still := now[key]; !still {
			series.Value = 0
			out = append(out, series)
		}
	}
	k.shown = now
	incidents := k.o.Book.Count()
	for _, severity := range slices.Sorted(maps.Keys(open)) {
		attrs := map[string]string{"severity": string(severity)}
		out = append(out,
			checks.Measurement{Name: "windsock.alert.open", Value: open[severity], Attrs: attrs},
			checks.Measurement{Name: "windsock.incident.open", Value: float64(incidents[severity]), Attrs: attrs})
	}
	return append(out, checks.Measurement{Name: "windsock.alert.muted", Value: muted})
}
