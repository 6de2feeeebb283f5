package webhook

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
)

// payload is version 4 of Alertmanager's webhook JSON
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config). The alerts are those that the message is about.
type payload struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"` // firing or resolved
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []alert           `json:"alerts"`
}

type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // zero while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

const (
	statusFiring   = "firing"
	statusResolved = "resolved"
)

func (h *hook) payload(m notify.Message) payload {
	p := payload{
		Version: "4", GroupKey: m.Group, Status: statusFiring, Receiver: h.receiver, GroupLabels: map[string]string{},
		ExternalURL: h.params.ExternalURL, Alerts: make([]alert, 0, len(m.Alerts)),
	}
	if m.Kind == notify.Resolved {
		p.Status = statusResolved
	}
	for i := range m.Alerts {
		if h.params.MaxAlerts > 0 && i >= h.params.MaxAlerts {
			p.TruncatedAlerts = len(m.Alerts) - i
			break
		}
		p.Alerts = append(p.Alerts, h.alert(m.Kind, &m.Alerts[i]))
	}
	for i, a := range p.Alerts {
		if i == 0 {
			p.CommonLabels, p.CommonAnnotations = a.Labels, a.Annotations
		}
		p.CommonLabels, p.CommonAnnotations = common(p.CommonLabels, a.Labels), common(p.CommonAnnotations, a.Annotations)
	}
	for _, name := range h.params.GroupBy {
		if value, ok := p.CommonLabels[name]; ok {
			p.GroupLabels[name] = value
		}
	}
	return p
}

func (h *hook) alert(kind notify.Kind, a *checks.Alert) alert {
	made := alert{
		Status: statusFiring, Labels: notify.Labels(a), Annotations: notify.Annotations(a, h.runbooks), StartsAt: a.Since.UTC(),
		GeneratorURL: h.params.ExternalURL, Fingerprint: a.Fingerprint,
	}
	switch kind {
	case notify.Resolved:
		made.Status, made.EndsAt = statusResolved, a.At.UTC()
	case notify.Reminder:
		made.Annotations["reminder"] = "true"
	case notify.Opened, notify.Changed:
	}
	return made
}

// common is what two sets have alike.
func common(a, b map[string]string) map[string]string {
	both := map[string]string{}
	for name, value := range a {
		if other, ok := b[name]; ok && other == value {
			both[name] = value
		}
	}
	return both
}
