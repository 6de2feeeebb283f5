package alerting

import (
	"maps"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// mostShown is how many alerts a snapshot tells one by one: the most severe. All are counted.
const mostShown = 200

// Gauges are what a snapshot says of alerts and incidents. The state of each alert that is pending or open is said again, for
// backends that forget a gauge that is not repeated.
func (k *Keeper) Gauges() []checks.Measurement {
	k.mu.Lock()
	defer k.mu.Unlock()
	open, muted := map[checks.Severity]float64{}, 0.0
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
		if i < mostShown {
			out = append(out, stateOf(a))
		}
	}
	incidents := k.o.Book.Count()
	for _, severity := range []checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4} {
		attrs := map[string]string{"severity": string(severity)}
		out = append(out,
			checks.Measurement{Name: "windsock.alert.open", Value: open[severity], Attrs: attrs},
			checks.Measurement{Name: "windsock.incident.open", Value: float64(incidents[severity]), Attrs: attrs})
	}
	return append(out, checks.Measurement{Name: "windsock.alert.muted", Value: muted})
}

// stateOf is the series that the alert's transitions give out too.
func stateOf(a *checks.Alert) checks.Measurement {
	attrs := maps.Clone(a.Labels)
	if attrs == nil {
		attrs = map[string]string{}
	}
	attrs["rule"], attrs["severity"] = a.Rule, string(a.Severity)
	return checks.Measurement{Name: "windsock.alert.state", Value: exporters.AlertValue(a.State), Attrs: attrs}
}
