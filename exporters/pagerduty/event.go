package pagerduty

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

// PagerDuty's bounds, in characters; we count bytes, which are never fewer. An event may have 512 kB: with these it has a
// tenth of that. (developer.pagerduty.com/docs/send-alert-event, read November 2026)
const (
	maxKey     = 255
	maxSummary = 1024
	maxWord    = 255 // source, component, group, class
	maxDetail  = 2000
	maxLabels  = 32
	maxOthers  = 50
)

type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	DedupKey   string   `json:"dedup_key"`
	Payload    *payload `json:"payload,omitempty"`
	Links      []link   `json:"links,omitempty"`
	Client     string   `json:"client,omitempty"`
}

type payload struct {
	Summary   string  `json:"summary"`
	Source    string  `json:"source"`
	Severity  string  `json:"severity"`
	Timestamp string  `json:"timestamp,omitempty"`
	Component string  `json:"component,omitempty"`
	Group     string  `json:"group,omitempty"`
	Class     string  `json:"class,omitempty"`
	Details   details `json:"custom_details"`
}

// details is what a responder sees of the alert, in PagerDuty's table.
type details struct {
	Rule       string   `json:"rule"`
	Severity   string   `json:"severity"`
	State      string   `json:"state"`
	Changed    string   `json:"changed,omitempty"` // "severity P2 to P1"
	Reminder   bool     `json:"reminder,omitempty"`
	Summary    string   `json:"summary,omitempty"`
	Diagnosis  string   `json:"diagnosis,omitempty"`
	Impact     string   `json:"impact,omitempty"`
	Action     string   `json:"action,omitempty"`
	Value      float64  `json:"value"`
	Threshold  float64  `json:"threshold"`
	Blame      string   `json:"blame,omitempty"`
	Since      string   `json:"since,omitempty"`
	NextUpdate string   `json:"next_update,omitempty"`
	Commander  string   `json:"incident_commander,omitempty"`
	Incident   string   `json:"incident,omitempty"`
	Runbook    string   `json:"runbook,omitempty"`
	Labels     []string `json:"labels,omitempty"`
	AlsoOpen   []string `json:"also_open,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// event is what a message becomes: a resolve when nothing of the group is open any more, an acknowledge for the reminder of
// what somebody has taken on, else a trigger, which for a known key is an update.
func (p *pager) event(m *notify.Message) event {
	e := event{Action: "trigger", DedupKey: p.dedupKey(m.Group), Client: "Windsock"}
	if len(m.Open) == 0 {
		e.Action = "resolve"
		return e
	}
	lead := &m.Open[0]
	if m.Kind == notify.Reminder && lead.Commander != "" {
		e.Action = "acknowledge"
	}
	e.Payload = p.payload(m, lead)
	if href := wording.Runbook(lead, p.params.RunbookURL); href != "" && len(href) <= maxDetail {
		e.Links = []link{{href, "Runbook " + word(wording.Rule(lead))}}
	}
	return e
}

func (p *pager) payload(m *notify.Message, lead *checks.Alert) *payload {
	summary := exporters.Clean(wording.Line(lead), maxSummary-32)
	if more := len(m.Open) - 1; more > 0 {
		summary += fmt.Sprintf(" (and %d more)", more)
	}
	return &payload{
		Summary:   summary,
		Source:    cmp.Or(word(lead.Labels["location"]), word(p.env.Location), word(p.env.Instance), "windsock"),
		Severity:  p.severity(lead.Severity),
		Timestamp: rfc3339(lead.At),
		Component: p.component(lead),
		Group:     word(m.Group),
		Class:     word(wording.Rule(lead)),
		Details:   describe(m, lead),
	}
}

func describe(m *notify.Message, a *checks.Alert) details {
	d := details{
		Rule: word(wording.Rule(a)), Severity: word(string(a.Severity)), State: word(string(a.State)), Changed: changed(m),
		Reminder: m.Kind == notify.Reminder, Summary: detail(a.Summary), Diagnosis: detail(a.Diagnosis), Impact: detail(a.Impact),
		Action: detail(a.Action), Value: a.Value, Threshold: a.Threshold, Blame: word(string(a.Blame)), Since: rfc3339(a.Since),
		Commander: cmp.Or(word(a.Commander), "not yet named"), Incident: word(a.Incident), Runbook: detail(a.Runbook),
	}
	by, words := wording.NextUpdate(a)
	d.NextUpdate = cmp.Or(rfc3339(by), words)
	d.Labels = wording.Labels(a, maxLabels)
	for i := 1; i < len(m.Open) && i <= maxOthers; i++ {
		d.AlsoOpen = append(d.AlsoOpen, exporters.Clean(wording.Line(&m.Open[i]), maxDetail/4))
	}
	return d
}

// changed says what is new in an update.
func changed(m *notify.Message) string {
	for i := range min(len(m.Alerts), len(m.Before)) {
		if was, now := m.Before[i].Severity, m.Alerts[i].Severity; m.Kind == notify.Changed && was != now && was != "" {
			return "severity of " + word(wording.Rule(&m.Alerts[i])) + " from " + word(string(was)) + " to " + word(string(now))
		}
	}
	return ""
}

func (p *pager) severity(s checks.Severity) string {
	if word, ok := p.params.Severity[s]; ok {
		return word
	}
	switch s {
	case checks.P1:
		return "critical"
	case checks.P2:
		return "error"
	case checks.P4:
		return "info"
	case checks.P3:
	}
	return "warning"
}

func (p *pager) component(a *checks.Alert) string {
	if p.params.Component != "" {
		return word(a.Labels[p.params.Component])
	}
	return cmp.Or(word(a.Labels["check"]), word(a.Labels["provider"]))
}

// dedupKey is the same for a group's whole life, and of this agent alone: the end that one agent sees is none that another
// has told.
func (p *pager) dedupKey(group string) string {
	key := "windsock/" + exporters.Clean(p.env.Instance, 64) + "/" + group
	if clean := exporters.Clean(key, maxKey); clean == key {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "windsock/" + hex.EncodeToString(sum[:])
}

func word(s string) string   { return exporters.Clean(s, maxWord) }
func detail(s string) string { return exporters.Clean(s, maxDetail) }

func rfc3339(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
