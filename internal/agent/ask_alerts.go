package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// AlertsAnswer is what GET /v1/alerts answers.
type AlertsAnswer struct {
	Alerts []checks.Alert `json:"alerts"` // pending or open, the most severe first
	Rules  []RuleAnswer   `json:"rules"`
	Mutes  []MuteAnswer   `json:"mutes"` // that count now
}

// RuleAnswer is how a rule stands.
type RuleAnswer struct {
	Name     string          `json:"name"`
	Severity checks.Severity `json:"severity"`
	Layer    string          `json:"layer,omitempty"`
	State    string          `json:"state"`            // inactive, or that of the worst of its alerts
	Reason   string          `json:"reason,omitempty"` // what that one says
	Alerts   int             `json:"alerts,omitempty"` // that are pending or open
}

// MuteAnswer is what keeps people from being told.
type MuteAnswer struct {
	ID     string    `json:"id"`
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	Match  []string  `json:"match,omitempty"` // none: everything
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
}

// SilenceRequest is what POST /v1/silences is told. Exactly one of Until and For is set.
type SilenceRequest struct {
	Match  map[string]Values `json:"match"` // as alerting.Silence has it
	Until  time.Time         `json:"until,omitzero"`
	For    string            `json:"for,omitempty"` // "2h30m"
	Reason string            `json:"reason"`
	By     string            `json:"by,omitempty"` // "": the peer's user id
}

// AckRequest is what POST /v1/alerts/ack is told.
type AckRequest struct {
	Target string `json:"target"` // the id of an incident, a rule, or the fingerprint of an alert
	By     string `json:"by,omitempty"`
	Note   string `json:"note,omitempty"`
}

// Values are one text or several.
type Values []string

// UnmarshalJSON reads both forms.
func (v *Values) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*v = Values{one}
		return nil
	}
	var several []string
	if err := json.Unmarshal(data, &several); err != nil {
		return errors.New("want a text or a list of texts")
	}
	*v = several
	return nil
}

func (a *Agent) listAlerts(w http.ResponseWriter, _ *http.Request) {
	view := a.alerts.View()
	out := AlertsAnswer{Alerts: slices.Concat(view.Alerts, view.Drill), Rules: []RuleAnswer{}, Mutes: []MuteAnswer{}}
	if out.Alerts == nil {
		out.Alerts = []checks.Alert{}
	}
	a.mu.Lock()
	runbooks := a.gen.cfg.Runbook.URL
	a.mu.Unlock()
	for i := range out.Alerts {
		out.Alerts[i].Runbook = exporters.RunbookURL(out.Alerts[i].Runbook, runbooks)
	}
	for i := range view.Rules {
		out.Rules = append(out.Rules, ruleAnswer(&view.Rules[i], view.Alerts))
	}
	for i := range view.Mutes {
		m := &view.Mutes[i]
		shown := MuteAnswer{ID: m.ID, Reason: m.Reason, By: m.By, From: m.From, Until: m.Until}
		for _, matcher := range m.Match {
			shown.Match = append(shown.Match, matcherText(matcher))
		}
		out.Mutes = append(out.Mutes, shown)
	}
	answer(w, http.StatusOK, out)
}

// ruleAnswer takes a rule's state from its alerts.
func ruleAnswer(rule *alerts.Rule, all []checks.Alert) RuleAnswer {
	out := RuleAnswer{Name: rule.Name, Severity: rule.Severity, Layer: string(rule.Layer), State: "inactive"}
	order := []checks.AlertState{checks.AlertPending, checks.AlertNoData, checks.AlertFiring}
	worst := -1
	for i := range all {
		a := &all[i]
		if a.Rule != rule.Name {
			continue
		}
		out.Alerts++
		if at := slices.Index(order, a.State); at > worst {
			worst, out.State, out.Reason = at, string(a.State), a.Summary
		}
	}
	return out
}

func matcherText(m alerts.Matcher) string {
	sign := "="
	if m.Not {
		sign = "!="
	}
	if m.Regexp != nil {
		expr := strings.TrimSuffix(strings.TrimPrefix(m.Regexp.String(), "^(?:"), ")$")
		return m.Attr + sign + "~" + expr
	}
	return m.Attr + sign + strings.Join(m.In, "|")
}

// byWhom is who asks: the name that was given, else the peer's user id.
func byWhom(r *http.Request, given string) string {
	if given != "" {
		return given
	}
	name, _ := r.Context().Value(peerKey{}).(string)
	return name
}

// cleanWords is what a person wrote, without a key that was pasted into it: it is stored, and told to many.
func (a *Agent) cleanWords(text string) string { return a.o.Config.Scrubber.String(text) }

func (a *Agent) ackAlert(w http.ResponseWriter, r *http.Request) {
	var asked AckRequest
	if !readBody(w, r, &asked) {
		return
	}
	if asked.Target == "" {
		http.Error(w, "no target: the id of an incident, a rule, or the fingerprint of an alert", http.StatusBadRequest)
		return
	}
	by, note := a.cleanWords(byWhom(r, asked.By)), a.cleanWords(asked.Note)
	if err := a.alerts.Ack(r.Context(), asked.Target, by, note); err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"acknowledged": asked.Target})
}

func (a *Agent) silence(w http.ResponseWriter, r *http.Request) {
	var asked SilenceRequest
	if !readBody(w, r, &asked) {
		return
	}
	wanted := alerting.Silence{Match: map[string][]string{}, Reason: a.cleanWords(asked.Reason), By: a.cleanWords(byWhom(r, asked.By)), Until: asked.Until}
	for attr, values := range asked.Match {
		wanted.Match[attr] = values
	}
	if asked.For != "" {
		length, err := time.ParseDuration(asked.For)
		if err != nil || length <= 0 || !asked.Until.IsZero() {
			http.Error(w, fmt.Sprintf("for is %q, want a length such as 2h30m, and no until beside it", asked.For), http.StatusBadRequest)
			return
		}
		wanted.Until = time.Now().Add(length)
	}
	made, err := a.alerts.Silence(r.Context(), wanted)
	if err != nil {
		refuse(w, err)
		return
	}
	a.o.Log.Info("silenced", "silence", made.ID, "by", made.By, "until", made.Until, "reason", made.Reason)
	answer(w, http.StatusCreated, made)
}

func (a *Agent) endSilence(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := a.alerts.EndSilence(r.Context(), id); err != nil {
		refuse(w, err)
		return
	}
	a.o.Log.Info("silence ended", "silence", id, "by", byWhom(r, ""))
	answer(w, http.StatusOK, map[string]string{"ended": id})
}

// refuse answers with what went wrong: asked wrongly, no such thing, or ours.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, alerting.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, alerting.ErrNone):
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}
