package webhook

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

// errUnmarked keeps a message to itself that would send people running for a drill.
var errUnmarked = errors.New("the template says neither the rule nor the summary of an alert, so that nobody could tell a drill from an outage: nothing is sent")

// isDrill reports whether a message tells of a drill. What is told of an outage is never told together with that.
func isDrill(m notify.Message) bool {
	return slices.ContainsFunc(m.Alerts, func(a checks.Alert) bool { return a.Drill() != "" })
}

// marked reports whether a body says that it tells of a drill. Keys and labels of machines, which hold the word as well, are
// not what people read.
func marked(body []byte, m notify.Message) bool {
	if bytes.Contains(body, []byte(strings.TrimSpace(wording.Drill))) {
		return true
	}
	lower := bytes.ToLower(body)
	return slices.ContainsFunc(m.Alerts, func(a checks.Alert) bool {
		return a.Rule != "" && bytes.Contains(lower, []byte(strings.ToLower(wording.Drill+a.Rule)))
	})
}

// asDrill makes the body with the mark before the names of the rules, for templates that leave the summary out.
func (h *hook) asDrill(m notify.Message) ([]byte, error) {
	m.Alerts, m.Before, m.Open = named(m.Alerts), named(m.Before), named(m.Open)
	return execute(h.template, dataOf(m, h.payload(m)))
}

func named(all []checks.Alert) []checks.Alert {
	all = slices.Clone(all)
	for i := range all {
		if a := &all[i]; a.Rule != "" {
			a.Rule = wording.Drill + a.Rule
		}
	}
	return all
}
