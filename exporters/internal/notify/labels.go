package notify

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

// Labels are the alert's labels as Alertmanager and those who read its messages know them: alertname is the rule, severity
// is P1 to P4, and names hold nothing but letters, digits and _. Empty ones are left out.
func Labels(a *checks.Alert) map[string]string {
	labels := make(map[string]string, len(a.Labels)+2)
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(a.Labels))) { // of names that become alike the first stays
		if name, value := labelName(key), a.Labels[key]; name != "" && value != "" {
			labels[name] = value
		}
	}
	labels["alertname"] = a.Rule
	if a.Rule == "" {
		labels["alertname"] = "unnamed"
	}
	if a.Severity != "" {
		labels["severity"] = string(a.Severity)
	}
	return labels
}

// Annotations are what the alert says to people, as Alertmanager's annotations. Empty ones are left out. The runbook's page is below
// runbooks, or where it ships.
func Annotations(a *checks.Alert, runbooks string) map[string]string {
	all := map[string]string{
		"summary": a.Summary, "diagnosis": a.Diagnosis, "impact": a.Impact, "action": a.Action, "blame": string(a.Blame),
		"incident": a.Incident, "commander": a.Commander, "runbook": a.Runbook, "value": number(a.Value), "threshold": number(a.Threshold),
	}
	if a.State != checks.AlertFiring && a.State != checks.AlertResolved {
		all["state"] = string(a.State)
	}
	if all["runbook_url"] = wording.Runbook(a, runbooks); strings.Contains(a.Runbook, "://") {
		all["runbook"] = ""
	}
	if !a.RespondBy.IsZero() && a.State.Open() {
		all["respond_by"] = a.RespondBy.UTC().Format(time.RFC3339)
	}
	for name, text := range all {
		if text == "" {
			delete(all, name)
		}
	}
	return all
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// labelName is the name with _ for what Prometheus does not take in one.
func labelName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, name)
	if name != "" && '0' <= name[0] && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
